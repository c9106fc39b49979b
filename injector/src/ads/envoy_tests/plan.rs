//! What the real Envoy is to have, as protobuf messages.

use crate::world::World;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::rbac::v3::Rbac as Rules;
use envoy_types::pb::envoy::config::rbac::v3::rbac::Action;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::google::protobuf::{Any, Duration as ProtoDuration};
use prost::{Message, Name};
use sha2::Digest;
use std::net::SocketAddr;
use std::sync::Arc;
use weir_mesh::snapshot::{Resource, Snapshot, Type};

pub use core::api_config_source::ApiType;

/// The Envoy's node id.
const NODE: &str = "sidecar~198.18.1.2~a-0.shop~shop.svc.cluster.local";

/// What the Envoy is to have: clusters by name with connect timeout, all to the same upstream, and where its only route leads.
#[derive(Clone)]
pub struct Plan {
    /// Name and connect timeout in seconds; Envoy rejects a timeout of 0.
    pub clusters: Vec<(String, i64)>,
    /// The cluster that the only route names; empty for no route at all.
    pub route: String,
    /// The endpoint of all clusters.
    pub upstream: SocketAddr,
    /// Delta or state of the world.
    pub protocol: ApiType,
    /// The listener's filters by ECDS, those that exist with their configuration.
    pub filters: Vec<(&'static str, Option<Resource>)>,
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn ads() -> Option<core::ConfigSource> {
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        initial_fetch_timeout: Some(ProtoDuration { seconds: 5, nanos: 0 }),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(Default::default())),
        ..Default::default()
    })
}

fn address(address: SocketAddr) -> Option<core::Address> {
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(address.port().into())),
        ..Default::default()
    };
    Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) })
}

/// A filter's resource.
pub fn extension(name: &str, filter: Any) -> Resource {
    let body = core::TypedExtensionConfig { name: name.into(), typed_config: Some(filter) }.encode_to_vec();
    let version = sha2::Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    Resource { name: name.into(), version, body: body.into(), objects: vec![format!("Test {name}")], fetches: false, stands_in: false }
}

/// A filter that lets everything pass: it denies what a rule names, and there is none.
pub fn passing() -> Any {
    any(&Rbac { rules: Some(Rules { action: Action::Deny.into(), ..Rules::default() }), ..Rbac::default() })
}

/// A filter that answers everything with 403: it allows what a rule names, and there is none.
pub fn denying() -> Any {
    any(&Rbac { rules: Some(Rules::default()), ..Rbac::default() })
}

/// A filter that Envoy rejects: of another type than the listener expects.
pub fn invalid() -> Any {
    any(&Router::default())
}

impl Plan {
    /// The world that tells this to the Envoy.
    pub fn world(&self) -> Arc<World> {
        Arc::new(World::of([(NODE.parse().unwrap(), Arc::new(self.snapshot()))]))
    }

    /// The Envoy's bootstrap.
    pub fn bootstrap(&self, ads: SocketAddr) -> serde_json::Value {
        let api_type = if self.protocol == ApiType::DeltaGrpc { "DELTA_GRPC" } else { "GRPC" };
        let source = serde_json::json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
        let socket = |address: SocketAddr| serde_json::json!({"socket_address": {"address": address.ip(), "port_value": address.port()}});
        serde_json::json!({
            "node": {"id": NODE, "cluster": "a"},
            "admin": {"address": socket(([127, 0, 0, 1], 0).into())},
            "dynamic_resources": {
                "cds_config": source, "lds_config": source,
                "ads_config": {"api_type": api_type, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "weir",
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.2s"}}}}]}},
            "static_resources": {"clusters": [{
                "name": "weir", "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
                "load_assignment": {"cluster_name": "weir", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(ads)}}]}]}}]}
        })
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut add = |kind: Type, name: &str, body: Vec<u8>| {
            let version = sha2::Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
            let resource = Resource {
                name: name.to_string(),
                version,
                body: body.into(),
                objects: vec![format!("Test {name}")],
                fetches: false,
                stands_in: false,
            };
            snapshot.resources.entry(kind).or_default().insert(name.to_string(), Arc::new(resource));
        };
        for (name, timeout) in &self.clusters {
            add(Type::Cluster, name, cluster(name, *timeout).encode_to_vec());
            add(Type::ClusterLoadAssignment, name, endpoints(name, self.upstream).encode_to_vec());
        }
        add(Type::Listener, "l", self.listener().encode_to_vec());
        if !self.route.is_empty() {
            add(Type::RouteConfiguration, "r", routes(&self.route).encode_to_vec());
        }
        for resource in self.filters.iter().filter_map(|(_, resource)| resource.clone()) {
            snapshot.resources.entry(Type::ExtensionConfig).or_default().insert(resource.name.clone(), Arc::new(resource));
        }
        snapshot
    }

    fn listener(&self) -> listener::Listener {
        let discovery = core::ExtensionConfigSource {
            config_source: ads(),
            default_config: Some(passing()),
            type_urls: vec![Rbac::type_url(), Wasm::type_url(), HttpFault::type_url()],
            ..Default::default()
        };
        let filter = |name: &str, config| hcm::HttpFilter { name: name.into(), config_type: Some(config), ..Default::default() };
        let discovered = |(name, _): &(&str, _)| filter(name, hcm::http_filter::ConfigType::ConfigDiscovery(discovery.clone()));
        let mut http_filters: Vec<_> = self.filters.iter().map(discovered).collect();
        http_filters.push(filter("envoy.filters.http.router", hcm::http_filter::ConfigType::TypedConfig(any(&Router::default()))));
        let rds = hcm::Rds { config_source: ads(), route_config_name: "r".into() };
        let manager = hcm::HttpConnectionManager {
            stat_prefix: "l".into(),
            http_filters,
            route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(rds)),
            ..Default::default()
        };
        let filter = listener::Filter {
            name: "envoy.filters.network.http_connection_manager".into(),
            config_type: Some(listener::filter::ConfigType::TypedConfig(any(&manager))),
        };
        listener::Listener {
            name: "l".into(),
            address: address(([127, 0, 0, 1], 0).into()),
            filter_chains: vec![listener::FilterChain { filters: vec![filter], ..Default::default() }],
            ..Default::default()
        }
    }
}

fn cluster(name: &str, timeout: i64) -> Cluster {
    Cluster {
        name: name.into(),
        connect_timeout: Some(ProtoDuration { seconds: timeout, nanos: 0 }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: ads(), ..Default::default() }),
        ..Default::default()
    }
}

fn endpoints(name: &str, upstream: SocketAddr) -> endpoint::ClusterLoadAssignment {
    let host = endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint { address: address(upstream), ..Default::default() });
    let lb_endpoints = vec![endpoint::LbEndpoint { host_identifier: Some(host), ..Default::default() }];
    let endpoints = vec![endpoint::LocalityLbEndpoints { lb_endpoints, ..Default::default() }];
    endpoint::ClusterLoadAssignment { cluster_name: name.into(), endpoints, ..Default::default() }
}

fn routes(to: &str) -> route::RouteConfiguration {
    let action =
        route::RouteAction { cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(to.into())), ..Default::default() };
    let all = route::Route {
        r#match: Some(route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".into())),
            ..Default::default()
        }),
        action: Some(route::route::Action::Route(action)),
        ..Default::default()
    };
    let host = route::VirtualHost { name: "all".into(), domains: vec!["*".into()], routes: vec![all], ..Default::default() };
    route::RouteConfiguration { name: "r".into(), virtual_hosts: vec![host], ..Default::default() }
}
