//! One Envoy without a mesh.

use crate::tools::{envoy, free_port, project};
use anyhow::{Context, Result, bail};
use envoy_types::pb::envoy::config::bootstrap::v3::bootstrap::{DynamicResources, StaticResources};
use envoy_types::pb::envoy::config::bootstrap::v3::{Admin, Bootstrap};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, ApiConfigSource, ApiVersion, GrpcService, Http2ProtocolOptions, Node as EnvoyNode, SocketAddress, address, api_config_source,
};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint};
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{DirectResponseAction, Route, RouteConfiguration, RouteMatch, VirtualHost};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use prost::Message;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;
use weir_mesh::mesh::{self, Module, Options};
use weir_mesh::node::Node;
use weir_mesh::object::{Objects, SourceFile, read};
use weir_mesh::snapshot::{self, Type};

const GATEWAY: &str = "apiVersion: v1
kind: Pod
metadata: {name: gateway-0, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy}]}
status: {podIP: 127.0.0.1, phase: Running, conditions: [{type: Ready, status: 'True'}]}
";
const NODE: &str = "router~127.0.0.1~gateway-0.istio-system~istio-system.svc.cluster.local";

/// A running Envoy. It ends when this is dropped.
pub struct LoneEnvoy {
    child: Child,
    /// Where its listener listens.
    pub gateway: SocketAddr,
    /// Its administration.
    pub admin: SocketAddr,
    /// When it was started.
    pub started: Instant,
    _files: TempDir,
    _control_plane: Option<TcpListener>,
}

impl LoneEnvoy {
    /// The canary demo's gateway, whose control plane takes connections and never answers. Its listener is the one that Weir makes, but
    /// that it answers 200 itself.
    pub fn start() -> Result<LoneEnvoy> {
        let control_plane = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (gateway, admin) = (free_address()?, free_address()?);
        let bootstrap = bootstrap(control_plane.local_addr()?, gateway, admin)?.encode_to_vec();
        LoneEnvoy::run("bootstrap.pb", &bootstrap, [gateway, admin], Some(control_plane))
    }

    /// One that listens and is configured as its JSON says, which is made from the addresses of its listener and its administration.
    pub fn with(bootstrap: impl FnOnce(SocketAddr, SocketAddr) -> serde_json::Value) -> Result<LoneEnvoy> {
        let (gateway, admin) = (free_address()?, free_address()?);
        LoneEnvoy::run("bootstrap.json", bootstrap(gateway, admin).to_string().as_bytes(), [gateway, admin], None)
    }

    fn run(name: &str, bootstrap: &[u8], [gateway, admin]: [SocketAddr; 2], control_plane: Option<TcpListener>) -> Result<LoneEnvoy> {
        let files = TempDir::with_prefix("weir-tests-")?;
        let file = files.path().join(name);
        std::fs::write(&file, bootstrap)?;
        let log = std::fs::File::create(files.path().join("log"))?;
        let mut command = Command::new(envoy().context("no Envoy")?);
        command.arg("-c").arg(&file).args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(LoneEnvoy { child, gateway, admin, started: Instant::now(), _files: files, _control_plane: control_plane })
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port()?).into())
}

impl Drop for LoneEnvoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bootstrap(control_plane: SocketAddr, gateway: SocketAddr, admin: SocketAddr) -> Result<Bootstrap> {
    let grpc = EnvoyGrpc { cluster_name: "weir".into(), ..Default::default() };
    let ads = ApiConfigSource {
        api_type: api_config_source::ApiType::DeltaGrpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(grpc)), ..Default::default() }],
        ..Default::default()
    };
    let listener = Listener { address: Some(socket(gateway)), ..answers_itself(gateway_listener()?)? };
    Ok(Bootstrap {
        node: Some(EnvoyNode { id: NODE.into(), cluster: "gateway".into(), ..Default::default() }),
        admin: Some(Admin { address: Some(socket(admin)), ..Default::default() }),
        dynamic_resources: Some(DynamicResources { ads_config: Some(ads), ..Default::default() }),
        static_resources: Some(StaticResources { clusters: vec![cluster(control_plane)], listeners: vec![listener], ..Default::default() }),
        ..Default::default()
    })
}

/// The listener that Weir makes for the canary demo's gateway, with the canary filter in it.
fn gateway_listener() -> Result<Listener> {
    let mut files = vec![SourceFile { path: "gateway.yaml".into(), text: GATEWAY.into() }];
    for name in ["apps", "traffic", "weir"] {
        let path = project(&format!("deploy/demos/canary/{name}.yaml"));
        files.push(SourceFile { text: std::fs::read_to_string(&path)?, path });
    }
    let module = |name: &str| Module::File { path: format!("/{name}.wasm").into(), sha256: None };
    let modules = ["weir-canary", "weir-locality"].map(|name| (name.to_string(), module(name)));
    let options = Options { modules: modules.into(), marked: true, ..Default::default() };
    let (mesh, _) = mesh::build(&Objects::default().update(read(&files)), &options);
    let node: Node = NODE.parse()?;
    let snapshot = snapshot::build(&mesh, &node);
    let listener = snapshot.resources.get(&Type::Listener).and_then(|listeners| listeners.values().next()).context("a listener")?;
    Ok(Listener::decode(listener.body.clone())?)
}

/// The same with a route of its own, which needs no control plane.
fn answers_itself(mut listener: Listener) -> Result<Listener> {
    let filter = listener.filter_chains.first_mut().and_then(|chain| chain.filters.first_mut()).context("a filter")?;
    let Some(filter::ConfigType::TypedConfig(config)) = &mut filter.config_type else { bail!("a filter with a configuration") };
    let mut manager = HttpConnectionManager::decode(config.value.as_slice())?;
    anyhow::ensure!(manager.http_filters.iter().any(|filter| filter.name.contains("weir-canary")), "the canary filter is in the chain");
    let route = Route {
        r#match: Some(RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".into())), ..Default::default() }),
        action: Some(Action::DirectResponse(DirectResponseAction { status: 200, ..Default::default() })),
        ..Default::default()
    };
    let host = VirtualHost { name: "all".into(), domains: vec!["*".into()], routes: vec![route], ..Default::default() };
    manager.route_specifier = Some(RouteSpecifier::RouteConfig(RouteConfiguration { virtual_hosts: vec![host], ..Default::default() }));
    config.value = manager.encode_to_vec();
    Ok(listener)
}

#[allow(deprecated, reason = "shorter than the protocol options that took its place, and the same")]
fn cluster(address: SocketAddr) -> Cluster {
    let endpoint = Endpoint { address: Some(socket(address)), ..Default::default() };
    let endpoint = LbEndpoint { host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    let endpoints = vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() }];
    Cluster {
        name: "weir".into(),
        load_assignment: Some(ClusterLoadAssignment { cluster_name: "weir".into(), endpoints, ..Default::default() }),
        http2_protocol_options: Some(Http2ProtocolOptions::default()),
        ..Default::default()
    }
}

fn socket(address: SocketAddr) -> Address {
    let port = PortSpecifier::PortValue(address.port().into());
    let socket = SocketAddress { address: address.ip().to_string(), port_specifier: Some(port), ..Default::default() };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}
