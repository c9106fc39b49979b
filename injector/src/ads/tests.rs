//! The whole server with a gRPC client, over real sockets.

use super::nodes::Nodes;
use super::service::Ads;
use super::status::State;
use crate::canary::engine::Canaries;
use crate::listen;
use crate::proxy_status;
use crate::world::World;
use envoy_types::pb::envoy::config::core::v3::Node as NodeMessage;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use weir_mesh::snapshot::{Resource, Snapshot, Type};

const NODE: &str = "sidecar~198.18.1.2~a-0.shop~shop.svc.cluster.local";

/// A world in which the node has these resources, as `(type, name, version)`.
fn world(resources: &[(Type, &str, &str)]) -> Arc<World> {
    let mut snapshot = Snapshot::default();
    for (kind, name, version) in resources {
        let resource = Resource {
            name: name.to_string(),
            version: version.to_string(),
            body: "body".into(),
            objects: vec![],
            fetches: false,
            stands_in: false,
        };
        snapshot.resources.entry(*kind).or_default().insert(name.to_string(), Arc::new(resource));
    }
    Arc::new(World::of([(NODE.parse().unwrap(), Arc::new(snapshot))]))
}

struct Server {
    publish: watch::Sender<Arc<World>>,
    client: AggregatedDiscoveryServiceClient<Channel>,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start(first: Arc<World>) -> Server {
        let (publish, world) = watch::channel(first);
        let ads = Ads { world, nodes: Nodes::default(), tokens: None, canaries: Canaries::unheard() };
        let tcp = listen::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let unix = listen::unix(&folder.path().join("serve.sock")).unwrap();
        tokio::spawn(listen::serve_tcp(tcp, ads.clone(), listen::never()));
        tokio::spawn(listen::serve_unix(unix, ads, listen::never()));
        let client = AggregatedDiscoveryServiceClient::connect(format!("http://{address}")).await.unwrap();
        Server { publish, client, folder }
    }

    async fn delta(&self) -> (mpsc::Sender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>) {
        let (send, receive) = mpsc::channel(8);
        let answers = self.client.clone().delta_aggregated_resources(ReceiverStream::new(receive)).await.unwrap();
        (send, answers.into_inner())
    }

    /// Polls until the node's types stand so.
    async fn stands(&self, expected: &[(&str, State)]) {
        let mut last = None;
        for _ in 0..500 {
            let syncz = proxy_status::ask(&self.folder.path().join("serve.sock")).await.unwrap();
            last = syncz.nodes.into_iter().next();
            if let Some(node) = &last
                && node.node == NODE
                && expected.iter().all(|(kind, state)| node.types[*kind].state == *state)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("expected {expected:?}, got {last:?}");
    }
}

fn node(id: &str) -> Option<NodeMessage> {
    Some(NodeMessage { id: id.to_string(), ..NodeMessage::default() })
}

fn ask(kind: Type) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { node: node(NODE), type_url: kind.url().to_string(), ..DeltaDiscoveryRequest::default() }
}

/// The next response.
async fn hear<T>(answers: &mut Streaming<T>) -> T {
    timeout(Duration::from_secs(5), answers.message()).await.expect("no response in time").unwrap().expect("the stream ended")
}

/// The next response as `added - removed`, acknowledged.
async fn next(send: &mpsc::Sender<DeltaDiscoveryRequest>, answers: &mut Streaming<DeltaDiscoveryResponse>) -> String {
    let answer = hear(answers).await;
    let added: Vec<_> = answer.resources.iter().map(|resource| format!("{}={}", resource.name, resource.version)).collect();
    let (type_url, response_nonce) = (answer.type_url, answer.nonce);
    send.send(DeltaDiscoveryRequest { type_url, response_nonce, ..DeltaDiscoveryRequest::default() }).await.unwrap();
    format!("{} - {}", added.join(" "), answer.removed_resources.join(" "))
}

#[tokio::test]
async fn a_node_follows_the_world_and_is_shown() {
    let server = Server::start(world(&[(Type::Cluster, "a", "1"), (Type::Cluster, "b", "1")])).await;
    let (send, mut answers) = server.delta().await;
    send.send(ask(Type::Cluster)).await.unwrap();
    assert_eq!(next(&send, &mut answers).await, "a=1 b=1 - ");
    server.stands(&[("CDS", State::Synced), ("LDS", State::NotSent)]).await;
    server.publish.send_replace(world(&[(Type::Cluster, "a", "2")]));
    assert_eq!(next(&send, &mut answers).await, "a=2 - ");
    assert_eq!(next(&send, &mut answers).await, " - b");
    server.stands(&[("CDS", State::Synced)]).await;
}

#[tokio::test]
async fn a_node_that_becomes_known_is_told_then_and_one_that_goes_keeps_what_it_has() {
    let server = Server::start(world(&[])).await;
    let (send, mut answers) = server.delta().await;
    send.send(ask(Type::Listener)).await.unwrap();
    server.stands(&[("LDS", State::NotSent)]).await;
    server.publish.send_replace(world(&[(Type::Listener, "l", "1")]));
    assert_eq!(next(&send, &mut answers).await, "l=1 - ");
    server.publish.send_replace(world(&[]));
    server.publish.send_replace(world(&[(Type::Listener, "l", "2")]));
    assert_eq!(next(&send, &mut answers).await, "l=2 - ");
}

#[tokio::test]
async fn routes_are_sent_after_a_second_though_the_node_never_takes_the_clusters() {
    let server = Server::start(world(&[(Type::Cluster, "a", "1"), (Type::RouteConfiguration, "r", "1")])).await;
    let (send, mut answers) = server.delta().await;
    send.send(ask(Type::Cluster)).await.unwrap();
    send.send(DeltaDiscoveryRequest { resource_names_subscribe: vec!["r".into()], ..ask(Type::RouteConfiguration) }).await.unwrap();
    let names = |answer: DeltaDiscoveryResponse| answer.resources.into_iter().map(|resource| resource.name).collect::<Vec<_>>();
    assert_eq!(names(hear(&mut answers).await), ["a"]);
    let start = std::time::Instant::now();
    assert_eq!(names(hear(&mut answers).await), ["r"]);
    assert!(start.elapsed() > Duration::from_millis(500));
}

#[tokio::test]
async fn the_state_of_the_world_lists_everything() {
    let server = Server::start(world(&[(Type::Cluster, "a", "1"), (Type::Cluster, "b", "1")])).await;
    let (send, receive) = mpsc::channel(8);
    let mut answers = server.client.clone().stream_aggregated_resources(ReceiverStream::new(receive)).await.unwrap().into_inner();
    let request = DiscoveryRequest { node: node(NODE), type_url: Type::Cluster.url().to_string(), ..DiscoveryRequest::default() };
    send.send(request.clone()).await.unwrap();
    let first = hear(&mut answers).await;
    assert_eq!(first.resources.len(), 2);
    send.send(DiscoveryRequest { version_info: first.version_info.clone(), response_nonce: first.nonce, ..request }).await.unwrap();
    server.stands(&[("CDS", State::Synced)]).await;
    server.publish.send_replace(world(&[(Type::Cluster, "a", "1"), (Type::Cluster, "b", "2")]));
    let second = hear(&mut answers).await;
    assert_eq!(second.resources.len(), 2);
    assert_ne!(second.version_info, first.version_info);
}

#[tokio::test]
async fn a_type_that_is_not_served_is_left_alone() {
    let server = Server::start(world(&[(Type::Cluster, "a", "1")])).await;
    let (send, mut answers) = server.delta().await;
    let type_url = "type.googleapis.com/envoy.service.runtime.v3.Runtime".to_string();
    send.send(DeltaDiscoveryRequest { type_url, resource_names_subscribe: vec!["x".into()], ..ask(Type::Cluster) }).await.unwrap();
    send.send(ask(Type::Cluster)).await.unwrap();
    assert_eq!(next(&send, &mut answers).await, "a=1 - ", "the stream goes on");
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_refused_with_the_reason() {
    let server = Server::start(world(&[])).await;
    for (id, reason) in
        [(None, "the first request of a stream names no node"), (Some("\u{0}~~"), "node id \"\\0~~\": expected sidecar~IP~")]
    {
        let (send, mut answers) = server.delta().await;
        send.send(DeltaDiscoveryRequest { node: id.and_then(node), ..ask(Type::Cluster) }).await.unwrap();
        let status = timeout(Duration::from_secs(5), answers.message()).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(reason), "{status}");
    }
}

#[tokio::test]
async fn the_socket_of_a_killed_process_is_replaced_but_not_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = listen::unix(&path).unwrap();
    assert_eq!(listen::unix(&path).unwrap_err().to_string(), format!("another process listens on {} (--socket)", path.display()));
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_who_has_it() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let error = listen::tcp(address).await.unwrap_err().to_string();
    let (start, end) = (format!("cannot listen on {address}, where "), format!(" (process {}) listens", std::process::id()));
    assert!(error.starts_with(&start) && error.ends_with(&end), "{error}");
}
