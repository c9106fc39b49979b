//! Listeners of sidecars, outbound and inbound, and what is spoken there.

use crate::support::*;
use envoy_types::pb::envoy::config::core::v3::{Address, address};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
use weir_mesh::snapshot::Type;

fn chains(listener: &Listener) -> Vec<String> {
    let chain = |chain: &envoy_types::pb::envoy::config::listener::v3::FilterChain| {
        let matched = chain.filter_chain_match.clone().unwrap_or_default();
        let port = matched.destination_port.map_or(String::new(), |port| format!("{} ", port.value));
        let sniffed = if matched.application_protocols.is_empty() { "" } else { "if HTTP " };
        let filter = chain.filters[0].name.rsplit('.').next().unwrap();
        format!("{port}{sniffed}{filter}")
    };
    listener.filter_chains.iter().chain(&listener.default_filter_chain).map(chain).collect()
}

fn tcp_clusters(listener: &Listener) -> ClusterSpecifier {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    let mut proxies = chains.flat_map(|chain| &chain.filters).filter_map(unpack::<TcpProxy>);
    proxies.next_back().unwrap().cluster_specifier.unwrap()
}

// 21
#[test]
fn the_protocol_decides_between_a_listener_for_the_port_and_one_for_the_address() {
    let ports = "[{name: http-a, port: 80}, {name: tcp-b, port: 90}, {port: 100}, {name: x, port: 110, appProtocol: grpc}, {port: 3306}, {name: http, port: 53, protocol: UDP}]";
    let told = caller(&[service("shop/a", "10.0.0.1", ports)]);
    assert_eq!(
        told.names(Type::Listener),
        ["0.0.0.0_110", "0.0.0.0_80", "10.0.0.1_100", "10.0.0.1_3306", "10.0.0.1_90", "virtualInbound", "virtualOutbound"]
    );
    assert_eq!(told.names(Type::RouteConfiguration), ["110", "80", "a.shop.svc.cluster.local:100"]);
    assert_eq!(told.domains("a.shop.svc.cluster.local:100", "a.shop.svc.cluster.local:100"), ["*"], "its address says which service");
    assert_eq!(chains(&told.listener("0.0.0.0_80").unwrap()), ["if HTTP http_connection_manager", "tcp_proxy"]);
    assert_eq!(chains(&told.listener("10.0.0.1_90").unwrap()), ["tcp_proxy"]);
    assert_eq!(chains(&told.listener("10.0.0.1_100").unwrap()), ["if HTTP http_connection_manager", "tcp_proxy"]);
}

#[test]
fn ports_of_the_proxys_own_get_no_listener() {
    let ports = "[{name: http-a, port: 15021}, {name: http-b, port: 15001}, {name: status-port, port: 15020}]";
    let told = caller(&[service("shop/a", "10.0.0.1", ports)]);
    assert_eq!(told.names(Type::Listener), ["10.0.0.1_15020", "virtualInbound", "virtualOutbound"]);
    let gateway = istio("Gateway", "shop/g", "selector: {istio: gw}\nservers: [{port: {number: 15000, protocol: HTTP}, hosts: ['*']}]");
    let found = findings(&[&[service("shop/a", "10.0.0.1", ports), gateway.clone()].concat()]);
    for part in [
        "Gateway shop/g spec.servers[0].port.protocol: port 15000 is the proxy's own",
        "Service shop/a spec.ports[0].port: port 15021 is the proxy's own",
        "Service shop/a spec.ports[1].port: port 15001 is the proxy's own",
    ] {
        assert!(found.iter().any(|finding| finding.contains(part)), "{part}: {found:#?}");
    }
    assert_eq!(found.len(), 3, "{found:#?}");
}

/// Where a listener listens.
fn addresses(listener: &Listener) -> Vec<String> {
    let all = [&listener.address].into_iter().chain(listener.additional_addresses.iter().map(|additional| &additional.address));
    let text = |address: &Address| match address.address.as_ref() {
        Some(address::Address::SocketAddress(socket)) => socket.address.clone(),
        other => format!("{other:?}"),
    };
    all.flatten().map(text).collect()
}

#[test]
fn a_pod_listens_by_the_families_of_its_addresses() {
    let both = |first: &str, second: &str| format!("'{first}', podIPs: [{{ip: '{first}'}}, {{ip: '{second}'}}]");
    let service = service("shop/a", "10.0.0.1", "[{name: http, port: 80}, {name: tcp, port: 90}], clusterIPs: [10.0.0.1, 'fd00::1']");
    for (ips, expected) in [
        ("10.1.0.1".into(), &["0.0.0.0"][..]),
        ("'fd00::2'".into(), &["::"]),
        (both("10.1.0.1", "fd00::2"), &["0.0.0.0", "::"]),
        (both("fd00::2", "10.1.0.1"), &["::", "0.0.0.0"]),
    ] {
        let told = sidecar(&build(&[&pod("shop/p", &ips, "app: p"), &service]).0, "shop/p");
        for name in ["virtualOutbound", "virtualInbound", "0.0.0.0_80"] {
            assert_eq!(addresses(&told.listener(name).unwrap()), expected, "{name} of {ips}");
        }
        assert!(told.listener("10.0.0.1_90").is_some() && told.listener("fd00::1_90").is_some(), "{:?}", told.names(Type::Listener));
    }
}

// 23
#[test]
fn what_nobody_knows_passes_and_a_loop_does_not() {
    let outbound = caller(&[]).listener("virtualOutbound").unwrap();
    assert_eq!(chains(&outbound), ["15001 tcp_proxy", "tcp_proxy"]);
    assert_eq!(tcp_clusters(&outbound), ClusterSpecifier::Cluster("PassthroughCluster".into()));
}

// 23
#[test]
fn what_reaches_a_pod_has_a_chain_per_target_port() {
    let ports = "[{name: http, port: 80, targetPort: web}, {name: tcp, port: 90}, {port: 100, targetPort: 101}]";
    let told = caller(&[service("shop/caller", "10.0.0.1", ports)]);
    let inbound = told.listener("virtualInbound").unwrap();
    assert_eq!(
        chains(&inbound),
        [
            "15006 tcp_proxy",
            "90 tcp_proxy",
            "101 if HTTP http_connection_manager",
            "101 tcp_proxy",
            "8080 http_connection_manager",
            "tcp_proxy"
        ]
    );
    for cluster in ["inbound|8080||", "inbound|90||", "inbound|101||"] {
        assert!(told.cluster(cluster).is_some(), "{cluster}");
    }
}

#[test]
fn a_headless_service_of_bytes_is_told_by_its_pods_addresses() {
    let pods = [pod("shop/one", "10.2.0.1", "app: db"), pod("shop/two", "10.2.0.2", "app: db")].concat();
    let told = caller(&[service("shop/db", "None", "[{name: tcp, port: 3306}]"), pods]);
    assert_eq!(told.names(Type::Listener), ["10.2.0.1_3306", "10.2.0.2_3306", "virtualInbound", "virtualOutbound"]);
}

#[test]
fn a_tcp_route_splits_connections_by_weight() {
    let to = |route: &str| {
        let spec = format!("hosts: [db]\ntcp: [{{match: [{{port: 1}}], route: [{{destination: {{host: never}}}}]}}, {{route: [{route}]}}]");
        let told = caller(&[service("shop/db", "10.0.0.1", "[{name: tcp, port: 3306}]"), virtual_service("shop/db", &spec)]);
        match tcp_clusters(&told.listener("10.0.0.1_3306").unwrap()) {
            ClusterSpecifier::Cluster(name) => vec![(name, 0)],
            ClusterSpecifier::WeightedClusters(weighted) => {
                weighted.clusters.into_iter().map(|cluster| (cluster.name, cluster.weight)).collect()
            }
        }
    };
    let cluster = |subset: &str| format!("outbound|3306|{subset}|db.shop.svc.cluster.local");
    assert_eq!(to("{destination: {host: db, subset: v1}}"), [(cluster("v1"), 0)]);
    let two = "{destination: {host: db, subset: v1}, weight: 0.75}, {destination: {host: db, subset: v2}, weight: 0.25}, {destination: {host: db, subset: v3}}";
    assert_eq!(to(two), [(cluster("v1"), 7500), (cluster("v2"), 2500)]);
}

#[test]
fn tcp_weights_of_nothing_are_refused() {
    let spec = "hosts: [db]\ntcp: [{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}, {}]";
    let found = findings(&[&virtual_service("shop/db", spec)]);
    assert!(found[0].contains("spec.tcp[0].route: the weights") && found[1].contains("spec.tcp[1]: the route leads nowhere"), "{found:?}");
}
