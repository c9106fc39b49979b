//! Many pods, of which some have a proxy that is connected and takes all it is told.

use crate::connect::{tls, tls_stream};
use crate::replicas::{self, NAME, Replica};
use anyhow::{Context, Result, bail, ensure};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use weir_tests::cluster::Cluster;

const NAMESPACE: &str = "crowd";
/// Pods of one Service.
const EACH: usize = 20;
const AT_ONCE: usize = 8;
const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENERS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

/// Writes the pods, with a Service for every 20, and connects the proxies; they stay while the result does.
pub async fn gather(cluster: &Cluster, client: &Client, replicas: &[Replica], pods: usize, proxies: usize) -> Result<JoinSet<Result<()>>> {
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    let account = || cluster.kubectl(&["get", "serviceaccount", "default", "-n", NAMESPACE]).ok();
    cluster.wait("the account of the pods", || Ok(account()))?;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    for number in 0..pods.div_ceil(EACH) {
        let service = json!({"metadata": {"name": format!("s{number}")},
            "spec": {"selector": {"app": format!("s{number}")}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
        services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
    }
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let made: Vec<Pod> = stream::iter(0..pods).map(|number| make(&api, number)).buffer_unordered(AT_ONCE).try_collect().await?;
    println!("{pods} pods in {} Services: {}", pods.div_ceil(EACH), replicas::memory(replicas).await?);

    let connector = tls(cluster, &["h2"])?;
    let mut connected = JoinSet::new();
    let (told, mut tells) = mpsc::channel(proxies.max(1));
    for (number, pod) in made.iter().take(proxies).enumerate() {
        let replica = replicas.get(number % replicas.len()).context("a replica")?;
        let (id, token) = identity(client, pod).await?;
        connected.spawn(proxy(connector.clone(), replica.proxies, id, token, told.clone()));
    }
    let start = Instant::now();
    for _ in 0..proxies {
        let wait = Duration::from_secs(60);
        tokio::select! {
            told = tells.recv() => told.context("a proxy")?,
            Some(ended) = connected.join_next() => ended??,
            () = tokio::time::sleep(wait) => anyhow::bail!("a proxy was told nothing for {wait:?}"),
        }
    }
    println!("{proxies} proxies connected, all told after {:.1} s: {}", start.elapsed().as_secs_f64(), replicas::memory(replicas).await?);
    Ok(connected)
}

/// A pod that no node runs, and that is ready nevertheless.
async fn make(api: &Api<Pod>, number: usize) -> Result<Pod> {
    let name = format!("p{number}");
    let labels = json!({"app": format!("s{}", number / EACH), "version": "v1", "pod-template-hash": "6f9c8d7b5"});
    let container = json!({"name": "app", "image": "example/app:1", "ports": [{"containerPort": 8080}]});
    let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": {"schedulerName": "nobody", "containers": [container]}});
    let made = api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let ip = format!("198.19.{}.{}", 128 + number / 250, 1 + number % 250);
    let status: Value =
        json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}]}});
    let told = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    ensure!(made.metadata.uid == told.metadata.uid, "{name} changed");
    Ok(told)
}

/// A pod's node id and token.
async fn identity(client: &Client, pod: &Pod) -> Result<(String, String)> {
    let name = pod.metadata.name.as_deref().context("a name")?;
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("an address")?;
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod.metadata.uid});
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": ["weir"], "boundObjectRef": bound}}))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let token = accounts.create_token_request("default", &PostParams::default(), &request).await?;
    let token = token.status.context("a token")?.token;
    Ok((format!("sidecar~{ip}~{name}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local"), token))
}

/// Asks for all as an Envoy does, takes all, and tells when it was told of its routes.
async fn proxy(connector: TlsConnector, address: SocketAddr, id: String, token: String, told: mpsc::Sender<()>) -> Result<()> {
    let connector = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move { anyhow::Ok(TokioIo::new(tls_stream(&connector, address).await?)) }
    });
    let channel = Endpoint::try_from(format!("http://{NAME}"))?.connect_with_connector(connector).await?;
    let (send, requests) = mpsc::channel(16);
    let node = Node { id, ..Node::default() };
    for kind in [CLUSTERS, LISTENERS] {
        ask(&send, DeltaDiscoveryRequest { node: Some(node.clone()), type_url: kind.into(), ..Default::default() }).await?;
    }
    let mut request = tonic::Request::new(ReceiverStream::new(requests));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let mut answers = AggregatedDiscoveryServiceClient::new(channel).delta_aggregated_resources(request).await?.into_inner();
    let (mut names, mut knows) = (BTreeSet::new(), false);
    while let Some(answer) = answers.message().await? {
        let taken = DeltaDiscoveryRequest { type_url: answer.type_url.clone(), response_nonce: answer.nonce, ..Default::default() };
        ask(&send, taken).await?;
        let new = |name: &&String| !names.contains(*name);
        let (kind, wanted): (_, Vec<String>) = match answer.type_url.as_str() {
            CLUSTERS => (ENDPOINTS, answer.resources.iter().map(|resource| &resource.name).filter(new).cloned().collect()),
            LISTENERS => (ROUTES, ["80".to_string()].iter().filter(new).cloned().collect()),
            ROUTES if !knows => {
                knows = true;
                told.send(()).await?;
                continue;
            }
            _ => continue,
        };
        names.extend(wanted.iter().cloned());
        if !wanted.is_empty() {
            ask(&send, DeltaDiscoveryRequest { type_url: kind.into(), resource_names_subscribe: wanted, ..Default::default() }).await?;
        }
    }
    bail!("the stream ended")
}

async fn ask(send: &mpsc::Sender<DeltaDiscoveryRequest>, request: DeltaDiscoveryRequest) -> Result<()> {
    send.send(request).await.context("the stream ended")
}
