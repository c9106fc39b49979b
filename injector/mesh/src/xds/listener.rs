//! Listeners (LDS) for what a node sends: one port that all is redirected to, and behind it one listener per service port;
//! and the ports of a gateway.

use super::inbound::INBOUND_PORT;
use super::lookup::{cluster_name, port_number};
use super::{View, all_addresses, any, boolean, cluster, http, intervals, socket_address, uint, virtual_host};
use crate::bootstrap::{ADMIN_PORT, HEALTH_PORT, STATS_PORT};
use crate::mesh::service::{Port, Protocol, Service, subset_of};
use crate::mesh::virtual_service::MESH;
use crate::object::gateway::Server;
use crate::object::virtual_service::{L4Match, RouteDestination, TcpRoute};
use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::listener_filter::ConfigType as ListenerFilterConfig;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter};
use envoy_types::pb::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{ClusterSpecifier, WeightedCluster};
use std::collections::{BTreeMap, BTreeSet};

/// Where all that a pod sends is redirected to.
pub(crate) const OUTBOUND_PORT: u16 = 15001;
/// Ports of a pod that are the proxy's own, by Istio's convention: a listener there would be refused.
pub(crate) const OWN_PORTS: [u16; 6] = [ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, 15020, HEALTH_PORT, STATS_PORT];
/// A cluster without endpoints.
pub(crate) const BLACK_HOLE: &str = "BlackHoleCluster";
/// What Envoy's HTTP inspector calls HTTP.
pub(crate) const HTTP_PROTOCOLS: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// A listener and the user's objects that it was made from.
pub(crate) type Made = (Listener, BTreeSet<String>);

/// The listeners of a sidecar for what its pod sends.
pub(crate) struct Outbound<'a> {
    pub listeners: Vec<Made>,
    /// The ports whose services are told apart by the request's host: each has a route configuration of its number.
    pub ports: BTreeSet<u16>,
    /// The ports of services told apart by their address that may speak HTTP: each has a route configuration, [`address_routes`].
    pub services: Vec<(&'a Service, u16)>,
}

/// The name of the route configuration of a service's port that is told apart by its address.
pub(crate) fn address_routes(service: &Service, port: u16) -> String {
    format!("{}:{port}", service.host)
}

/// The listeners of a sidecar for what its pod sends, and the routes that they need.
pub(crate) fn outbound<'a>(view: &View<'a>) -> Outbound<'a> {
    let mut ports: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    let mut services = Vec::new();
    let mut listeners = vec![(virtual_outbound(view), BTreeSet::new())];
    for service in view.mesh.services.values() {
        for port in &service.ports {
            let objects = BTreeSet::from([format!("Service {}/{}", service.namespace, service.name)]);
            match port.protocol {
                Protocol::Http | Protocol::Http2 => ports.entry(port.number).or_default().extend(objects),
                Protocol::Tcp | Protocol::Sniffed => {
                    let own = per_address(view, service, port);
                    match port.protocol {
                        Protocol::Sniffed if own.is_empty() => ports.entry(port.number).or_default().extend(objects.clone()),
                        Protocol::Sniffed => services.push((service, port.number)),
                        _ => {}
                    }
                    listeners.extend(own.into_iter().map(|listener| (listener, objects.clone())));
                }
            }
        }
    }
    ports.retain(|port, _| !OWN_PORTS.contains(port));
    let numbers = ports.keys().copied().collect();
    listeners.extend(ports.into_iter().map(|(port, objects)| (of_port(view, port), objects)));
    Outbound { listeners, ports: numbers, services }
}

/// A server with its Gateway's `namespace/name`.
pub(crate) type NamedServer<'a> = (String, &'a Server);

/// The listeners of a gateway, each with the port that it listens on and its HTTP servers: those of all Gateways that select
/// the workload whose ports lead there.
pub(crate) fn gateway<'a>(view: &View<'a>) -> Vec<(Made, u16, Vec<NamedServer<'a>>)> {
    let mut by_bind: BTreeMap<u16, Vec<NamedServer>> = BTreeMap::new();
    for (name, gateway) in &view.mesh.gateways {
        if subset_of(&gateway.selector, &view.workload.labels) {
            for server in &gateway.servers {
                by_bind.entry(bind_port(view, server.port.number)).or_default().push((name.clone(), server));
            }
        }
    }
    let listener = |(bind, servers): (u16, Vec<NamedServer<'a>>)| {
        let stat_prefix = format!("outbound_{bind}");
        let (http, tcp): (Vec<_>, Vec<_>) = servers.into_iter().partition(|(_, server)| server.is_http());
        let filter = if http.is_empty() {
            gateway_tcp(view, &stat_prefix, &tcp)?
        } else {
            http::outbound(view, &stat_prefix, &gateway_routes(bind), true)
        };
        let objects = http.iter().chain(&tcp).map(|(name, _)| format!("Gateway {name}")).collect();
        let listener = Listener { bind_to_port: None, ..of_all_addresses(view, bind, filter) };
        Some(((listener, objects), bind, http))
    };
    by_bind.retain(|bind, _| !OWN_PORTS.contains(bind));
    by_bind.into_iter().filter_map(listener).collect()
}

/// The name of a gateway port's route configuration, after the port that it listens on.
pub(crate) fn gateway_routes(bind: u16) -> String {
    format!("http.{bind}")
}

/// The port that a gateway's pod listens on for a server's port: the target of a Service with that port, else the port itself.
fn bind_port(view: &View, port: u16) -> u16 {
    let services = view.mesh.services.values().filter(|service| service.selects(&view.workload.namespace, &view.workload.labels));
    services.filter_map(|service| view.workload.target_port(service.port(port)?)).next().unwrap_or(port)
}

fn virtual_outbound(view: &View) -> Listener {
    let own = FilterChainMatch { destination_port: uint(OUTBOUND_PORT.into()), ..Default::default() };
    let black_hole = FilterChain {
        name: "virtualOutbound-blackhole".into(),
        filter_chain_match: Some(own),
        filters: vec![tcp("blackhole", ClusterSpecifier::Cluster(BLACK_HOLE.into()))],
        ..Default::default()
    };
    let pass =
        chain("virtualOutbound-catchall-tcp", vec![tcp(cluster::PASSTHROUGH, ClusterSpecifier::Cluster(cluster::PASSTHROUGH.into()))]);
    let (address, additional_addresses) = all_addresses(view, OUTBOUND_PORT);
    Listener {
        name: "virtualOutbound".into(),
        address,
        additional_addresses,
        use_original_dst: boolean(true),
        filter_chains: vec![black_hole, pass],
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Default::default()
    }
}

/// All HTTP services of a port: told apart by the request's host.
fn of_port(view: &View, port: u16) -> Listener {
    let filter = http::outbound(view, &format!("outbound_{port}"), &port.to_string(), false);
    let mut listener = of_all_addresses(view, port, filter);
    // Requests to a host that is no service of the mesh may speak anything here.
    let pass = chain("passthrough", vec![tcp(cluster::PASSTHROUGH, ClusterSpecifier::Cluster(cluster::PASSTHROUGH.into()))]);
    sniff(&mut listener, pass);
    listener
}

/// A service whose bytes are not known to be HTTP: told apart by its address.
fn per_address(view: &View, service: &Service, port: &Port) -> Vec<Listener> {
    let listener = |address: String| {
        let name = format!("{address}_{}", port.number);
        let bytes = chain("tcp", vec![tcp(&cluster_name(port.number, "", &service.host), tcp_clusters(view, service, port))]);
        if port.protocol == Protocol::Tcp {
            return Listener { filter_chains: vec![bytes], ..named(&name, &address, port.number, Vec::new()) };
        }
        let http = http::outbound(view, &format!("outbound_{}", port.number), &address_routes(service, port.number), false);
        let mut listener = named(&name, &address, port.number, vec![http]);
        sniff(&mut listener, bytes);
        listener
    };
    if !service.addresses.is_empty() {
        return service.addresses.iter().map(|address| listener(address.to_string())).collect();
    }
    // A headless service is called by its pods' addresses.
    let pods = view.mesh.pods(service).filter(|pod| pod.ready);
    let same_port = pods.filter(|pod| pod.target_port(port) == Some(port.number));
    same_port.map(|pod| listener(pod.address.to_string())).collect()
}

/// HTTP takes the listener's own chain, everything else `otherwise`.
fn sniff(listener: &mut Listener, otherwise: FilterChain) {
    for chain in &mut listener.filter_chains {
        chain.filter_chain_match =
            Some(FilterChainMatch { application_protocols: HTTP_PROTOCOLS.map(String::from).into(), ..Default::default() });
    }
    listener.default_filter_chain = Some(otherwise);
    listener.listener_filters.push(http_inspector());
}

pub(crate) fn http_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.http_inspector".into(),
        config_type: any(HttpInspector::default()).map(ListenerFilterConfig::TypedConfig),
        ..Default::default()
    }
}

fn tcp_clusters(view: &View, service: &Service, port: &Port) -> ClusterSpecifier {
    let concerns = |matched: &L4Match| {
        matched.port.is_none_or(|wanted| wanted == port.number)
            && (matched.gateways.is_empty() || matched.gateways.iter().any(|name| name == MESH))
    };
    let owners: Vec<_> = view.virtual_services(MESH).filter(|owner| !owner.tcp.is_empty()).collect();
    let mut routes = virtual_host::candidates(&owners, &service.host).into_iter().flat_map(|owner| &owner.tcp);
    let found = routes.find(|route| route.matches.is_empty() || route.matches.iter().any(concerns));
    match found {
        Some(TcpRoute { route, .. }) if !route.is_empty() => tcp_destinations(view, route, port.number),
        _ => ClusterSpecifier::Cluster(cluster_name(port.number, "", &service.host)),
    }
}

fn tcp_destinations(view: &View, choices: &[RouteDestination], port: u16) -> ClusterSpecifier {
    let name = |choice: &RouteDestination| {
        cluster_name(port_number(view.mesh, &choice.destination, port), &choice.destination.subset, &choice.destination.host)
    };
    if let [only] = choices {
        return ClusterSpecifier::Cluster(name(only));
    }
    // The same shares as for HTTP, so that fractions of a weight count; nothing to hold still here, as no connection has a user.
    let weights: Vec<f64> = choices.iter().map(|choice| choice.weight.unwrap_or_default()).collect();
    let shares = choices.iter().zip(intervals::shares(&weights)).filter(|(_, share)| *share > 0);
    let weight = |share: usize| u32::try_from(share).unwrap_or_default();
    let clusters =
        shares.map(|(choice, share)| ClusterWeight { name: name(choice), weight: weight(share), ..Default::default() }).collect();
    ClusterSpecifier::WeightedClusters(WeightedCluster { clusters })
}

fn gateway_tcp(view: &View, stat_prefix: &str, servers: &[NamedServer]) -> Option<Filter> {
    let concerns = |matched: &L4Match, gateway: &String, port: u16| {
        matched.port.is_none_or(|wanted| wanted == port) && (matched.gateways.is_empty() || matched.gateways.contains(gateway))
    };
    servers.iter().filter(|(_, server)| server.is_tcp()).find_map(|(gateway, server)| {
        let port = server.port.number;
        let mut routes = view.virtual_services(gateway).flat_map(|owner| &owner.tcp);
        let found =
            routes.find(|route| route.matches.is_empty() || route.matches.iter().any(|matched| concerns(matched, gateway, port)))?;
        Some(tcp(stat_prefix, tcp_destinations(view, &found.route, port)))
    })
}

/// A listener for all that goes to a port. Its name is Istio's.
fn of_all_addresses(view: &View, port: u16, filter: Filter) -> Listener {
    let (address, additional_addresses) = all_addresses(view, port);
    Listener { address, additional_addresses, ..named(&format!("0.0.0.0_{port}"), "", port, vec![filter]) }
}

fn named(name: &str, address: &str, port: u16, filters: Vec<Filter>) -> Listener {
    Listener {
        name: name.into(),
        address: Some(socket_address(address, port)),
        // Reached through virtualOutbound.
        bind_to_port: boolean(false),
        filter_chains: if filters.is_empty() { Vec::new() } else { vec![chain("http", filters)] },
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Default::default()
    }
}

pub(crate) fn chain(name: &str, filters: Vec<Filter>) -> FilterChain {
    FilterChain { name: name.into(), filters, ..Default::default() }
}

pub(crate) fn tcp(stat_prefix: &str, clusters: ClusterSpecifier) -> Filter {
    let proxy = TcpProxy { stat_prefix: stat_prefix.into(), cluster_specifier: Some(clusters), ..Default::default() };
    Filter { name: "envoy.filters.network.tcp_proxy".into(), config_type: any(proxy).map(filter::ConfigType::TypedConfig) }
}
