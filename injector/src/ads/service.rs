//! Drives ADS streams: what a node says and what changes in the world goes to the stream's state machine, its answers go to the node.

use super::nodes::{Connected, Nodes};
use super::status::{Rejection, short};
use super::stream::{Protocol, Push, Request};
use super::{delta, sotw};
use crate::canary::engine::Canaries;
use crate::kubernetes::tokens::{Pod, Refused, Tokens, may};
use crate::modules;
use crate::world::World;
use envoy_types::pb::envoy::config::core::v3::Node as NodeMessage;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::protobuf::Value;
use envoy_types::pb::google::protobuf::value::Kind;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};
use weir_mesh::bootstrap::MODULES;
use weir_mesh::node::Node;
use weir_mesh::snapshot::Type;

/// How long routes wait at most until a node has taken the clusters that they name.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of a node's modules so many count.
const MOST_MODULES: usize = 64;
/// How long a stream may take to say for whom it is, with the review of its token.
const GREETING: Duration = Duration::from_secs(10);
/// Responses to a node that does not read them.
const BACKLOG: usize = 16;

/// The service, cheap to clone.
#[derive(Clone)]
pub struct Ads {
    /// The world as it stands.
    pub world: watch::Receiver<Arc<World>>,
    /// Who is connected.
    pub nodes: Nodes,
    /// Who says who a node is; without it a node is who it says it is.
    pub tokens: Option<Tokens>,
    /// What proxies tell of canaries.
    pub canaries: Canaries,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        request: tonic::Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let mut named = sotw::Named::default();
        let read = move |request| named.read(request);
        self.open(request, Protocol::Sotw, |request| request.node.as_ref(), read, sotw::write)
    }

    async fn delta_aggregated_resources(
        &self,
        request: tonic::Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.open(request, Protocol::Delta, |request| request.node.as_ref(), delta::read, delta::write)
    }
}

impl Ads {
    /// The first message of a stream and the node that it is for. Nothing is read from who shows no token.
    async fn greet<Asked>(
        &self,
        inbound: &mut Streaming<Asked>,
        node_of: fn(&Asked) -> Option<&NodeMessage>,
        authorization: Option<&str>,
    ) -> Result<Option<(Asked, Node)>, Status> {
        let shown = match &self.tokens {
            Some(tokens) => Some(tokens.shown(authorization).await.map_err(|refused| status(&refused))?),
            None => None,
        };
        let Some(first) = inbound.message().await? else { return Ok(None) };
        let node = identify(node_of(&first), shown)?;
        Ok(Some((first, node)))
    }

    /// Answers a stream at once and drives it in a task of its own, until the node leaves or the server ends.
    fn open<Asked, Answer>(
        &self,
        request: tonic::Request<Streaming<Asked>>,
        protocol: Protocol,
        node_of: fn(&Asked) -> Option<&NodeMessage>,
        mut read: impl FnMut(Asked) -> Option<Request> + Send + 'static,
        write: fn(Push) -> Answer,
    ) -> Result<Response<ReceiverStream<Result<Answer, Status>>>, Status>
    where
        Asked: Send + 'static,
        Answer: Send + 'static,
    {
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_string);
        let (mut inbound, ads) = (request.into_inner(), self.clone());
        let (send, receive) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            let greeted = timeout(GREETING, ads.greet(&mut inbound, node_of, authorization.as_deref())).await;
            let (first, node) = match greeted.unwrap_or_else(|_| Err(Status::deadline_exceeded("the stream began without a request"))) {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                Err(status) => {
                    tracing::warn!("a stream was refused: {}", status.message());
                    let _ = send.send(Err(status)).await;
                    return;
                }
            };
            tracing::info!(%node, "connected");
            let mut driver =
                Driver { connected: ads.nodes.connect(node, protocol), world: ads.world, send, write, held: None, again: None };
            let mut next = Some(first);
            while let Some(message) = next.take() {
                // A type that Weir does not serve is left alone: any answer would keep the node from going on without.
                if let Some(request) = read(message)
                    && !driver.hear(request).await
                {
                    break;
                }
                if !driver.is_told() && !driver.follow().await {
                    break;
                }
                next = loop {
                    let step = tokio::select! {
                        message = inbound.message() => break message.ok().flatten(),
                        changed = driver.world.changed() => if changed.is_ok() { driver.follow().await } else { false },
                        () = sleep_until(driver.held.unwrap_or_else(Instant::now)), if driver.held.is_some() => driver.release().await,
                        () = sleep_until(driver.again.unwrap_or_else(Instant::now)), if driver.again.is_some() => driver.ask_again().await,
                    };
                    if !step {
                        break None;
                    }
                };
            }
            tracing::info!(node = %driver.connected.connection.node, "disconnected");
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

/// The node that a stream is for; if a token was shown, it must be that of the token's pod.
fn identify(node: Option<&NodeMessage>, shown: Option<Pod>) -> Result<Node, Status> {
    let node = node.ok_or_else(|| Status::invalid_argument("the first request of a stream names no node"))?;
    let id: Node = node.id.parse().map_err(|error: weir_mesh::node::BadNodeId| Status::invalid_argument(error.to_string()))?;
    let node = Node { modules: modules_of(node), ..id };
    if let Some(pod) = shown {
        may(pod, &node).map_err(|refused| status(&refused))?;
    }
    Ok(node)
}

/// One stream with its way out. The methods return false when the node is gone.
struct Driver<Answer> {
    connected: Connected,
    world: watch::Receiver<Arc<World>>,
    send: mpsc::Sender<Result<Answer, Status>>,
    write: fn(Push) -> Answer,
    /// When to send what is held back.
    held: Option<Instant>,
    /// When to ask whether the node has the modules by now that it lacked.
    again: Option<Instant>,
}

impl<Answer: Send> Driver<Answer> {
    async fn hear(&mut self, request: Request) -> bool {
        let outcome = self.connected.connection.stream().request(request);
        for (kind, rejection) in &outcome.rejections {
            log(&self.connected.connection.node, *kind, rejection);
        }
        self.send(outcome.pushes).await
    }

    /// Whether the node has a snapshot, as old as it may be.
    fn is_told(&self) -> bool {
        self.connected.connection.stream().is_told()
    }

    /// Brings the node up to the world as it stands.
    async fn follow(&mut self) -> bool {
        let connection = self.connected.connection.clone();
        let world = self.world.borrow_and_update().clone();
        let Some(snapshot) = world.snapshot(&connection.node).await else { return true };
        let pushes = connection.stream().update(snapshot);
        self.send(pushes).await
    }

    async fn release(&mut self) -> bool {
        let pushes = self.connected.connection.stream().release();
        tracing::debug!(node = %self.connected.connection.node, pushes = pushes.len(), "no answer in time, going on");
        self.send(pushes).await
    }

    async fn ask_again(&mut self) -> bool {
        self.again = None;
        let pushes = self.connected.connection.stream().ask_again();
        self.send(pushes).await
    }

    async fn send(&mut self, pushes: Vec<Push>) -> bool {
        let (holds, asks_again) = {
            let stream = self.connected.connection.stream();
            (stream.holds(), stream.asks_again())
        };
        self.again = asks_again.map(|after| self.again.unwrap_or_else(|| Instant::now() + after));
        self.held = holds.then(|| self.held.unwrap_or_else(|| Instant::now() + PATIENCE));
        for push in pushes {
            tracing::debug!(node = %self.connected.connection.node, kind = short(push.kind), add = push.add.len(), remove = push.remove.len(), nonce = push.nonce, "push");
            if self.send.send(Ok((self.write)(push))).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// The sha256 of the modules that a node says it has in files.
fn modules_of(node: &NodeMessage) -> BTreeSet<String> {
    let listed = node.metadata.as_ref().and_then(|metadata| metadata.fields.get(MODULES)?.kind.as_ref());
    let Some(Kind::ListValue(list)) = listed else { return BTreeSet::new() };
    let text = |value: &Value| if let Some(Kind::StringValue(sha256)) = &value.kind { Some(sha256.clone()) } else { None };
    list.values.iter().filter_map(text).filter(|sha256| modules::is_digest(sha256)).take(MOST_MODULES).collect()
}

fn status(refused: &Refused) -> Status {
    let message = refused.to_string();
    match refused {
        Refused::NoToken | Refused::Invalid(_) | Refused::NoPod => Status::unauthenticated(message),
        Refused::Other { .. } => Status::permission_denied(message),
        Refused::Unreviewed(_) => Status::unavailable(message),
    }
}

fn log(node: &Node, kind: Type, rejection: &Rejection) {
    let objects = if rejection.objects.is_empty() { "no object of yours".to_string() } else { rejection.objects.join(", ") };
    tracing::warn!(%node, "rejected {} {}, made from {objects}: {}; it keeps what it had", short(kind), rejection.name, rejection.reason);
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::google::protobuf::{ListValue, Struct};

    #[test]
    fn a_node_tells_the_digests_of_its_modules() {
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.into())) };
        let node =
            |value: Value| NodeMessage { metadata: Some(Struct { fields: [(MODULES.to_string(), value)].into() }), ..Default::default() };
        let digest = modules::digest(b"a");
        let values = vec![text(&digest), text("../x"), Value { kind: Some(Kind::NumberValue(1.0)) }, text(&digest.to_uppercase())];
        let list = Value { kind: Some(Kind::ListValue(ListValue { values })) };
        assert_eq!(modules_of(&node(list)), [digest.clone()].into());
        assert_eq!(modules_of(&node(text(&digest))), BTreeSet::new());
        assert_eq!(modules_of(&NodeMessage::default()), BTreeSet::new());
    }
}
