//! What reaches a pod: one listener, with a filter chain per port that a Service names.

use super::listener::{BLACK_HOLE, HTTP_PROTOCOLS, chain, http_inspector, tcp};
use super::{View, all_addresses, any, cluster, http, uint};
use crate::mesh::service::{Protocol, Service};
use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::listener_filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{FilterChain, FilterChainMatch, Listener, ListenerFilter};
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
use std::collections::BTreeMap;

/// Where all that reaches a pod is redirected to.
pub(crate) const INBOUND_PORT: u16 = 15006;

fn services<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Service> {
    let pod = view.workload;
    view.mesh.services.values().filter(|service| service.selects(&pod.namespace, &pod.labels))
}

/// The user's objects that the listener is made from.
pub(crate) fn objects(view: &View) -> Vec<String> {
    services(view).map(|service| format!("Service {}/{}", service.namespace, service.name)).collect()
}

/// The ports of the pod that Services name, with what is spoken there.
pub(crate) fn ports(view: &View) -> BTreeMap<u16, Protocol> {
    let pod = view.workload;
    let mut ports = BTreeMap::new();
    for service in services(view) {
        for port in &service.ports {
            if let Some(target) = pod.target_port(port) {
                ports.entry(target).or_insert(port.protocol);
            }
        }
    }
    ports
}

/// The listener.
pub(crate) fn listener(view: &View) -> Listener {
    let own = chain("virtualInbound-blackhole", vec![tcp("blackhole", ClusterSpecifier::Cluster(BLACK_HOLE.into()))]);
    let mut chains = vec![matching(own, INBOUND_PORT, false)];
    for (port, protocol) in ports(view) {
        let name = format!("0.0.0.0_{port}");
        let bytes = chain(&name, vec![tcp(&cluster::inbound_name(port), ClusterSpecifier::Cluster(cluster::inbound_name(port)))]);
        let requests = chain(&format!("{name}-http"), vec![http::inbound(view, port)]);
        match protocol {
            Protocol::Tcp => chains.push(matching(bytes, port, false)),
            Protocol::Http | Protocol::Http2 => chains.push(matching(requests, port, false)),
            Protocol::Sniffed => chains.extend([matching(requests, port, true), matching(bytes, port, false)]),
        }
    }
    let passthrough = tcp(cluster::INBOUND_PASSTHROUGH, ClusterSpecifier::Cluster(cluster::INBOUND_PASSTHROUGH.into()));
    let original_dst = ListenerFilter {
        name: "envoy.filters.listener.original_dst".into(),
        config_type: any(OriginalDst::default()).map(ConfigType::TypedConfig),
        ..Default::default()
    };
    let (address, additional_addresses) = all_addresses(view, INBOUND_PORT);
    Listener {
        name: "virtualInbound".into(),
        address,
        additional_addresses,
        filter_chains: chains,
        default_filter_chain: Some(chain("virtualInbound-catchall-tcp", vec![passthrough])),
        listener_filters: vec![original_dst, http_inspector()],
        // A protocol in which the server speaks first is not held up for long.
        listener_filters_timeout: super::millis(100),
        continue_on_listener_filters_timeout: true,
        traffic_direction: TrafficDirection::Inbound.into(),
        ..Default::default()
    }
}

fn matching(chain: FilterChain, port: u16, only_http: bool) -> FilterChain {
    let protocols = if only_http { HTTP_PROTOCOLS.map(String::from).into() } else { Vec::new() };
    let chain_match = FilterChainMatch { destination_port: uint(port.into()), application_protocols: protocols, ..Default::default() };
    FilterChain { filter_chain_match: Some(chain_match), ..chain }
}
