//! Whatever the objects say: nothing panics, and what a node is told is consistent.

use crate::support::*;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, route};
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;
use std::collections::BTreeSet;
use weir_mesh::mesh;
use weir_mesh::node::{Node, Role};
use weir_mesh::object::Objects;
use weir_mesh::snapshot::{self, Builder, Snapshot, Type};

/// A value of some field: mostly what fits somewhere, sometimes what fits nowhere.
fn value() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "a",
        "b",
        "c",
        "v1",
        "v2",
        "80",
        "81",
        "0",
        "1",
        "2.5",
        "-1",
        "100",
        "70000",
        "'*'",
        "a.shop.svc.cluster.local",
        "b.prod",
        "shop/g",
        "mesh",
        "GET",
        "/",
        "/a",
        "5s",
        "1h",
        "0s",
        "''",
        "~",
        "{}",
        "[]",
        "yes",
        "r1/z1/*",
        "r1",
        "r2",
        "'(['",
        "\"\\n\"",
        "é",
        "HTTP",
        "TCP",
        "[a, b]",
        "{a: b}",
    ];
    select(KNOWN).prop_map(String::from)
}

fn name() -> impl Strategy<Value = &'static str> {
    select(["a", "b", "c"].as_slice())
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(["shop", "prod", "istio-system"].as_slice())
}

/// One of some texts, in which each `@` becomes a value.
fn filled(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(texts), proptest::collection::vec(value(), 8)).prop_map(|(text, values)| {
        let mut values = values.iter().cycle();
        text.split('@')
            .enumerate()
            .map(|(i, part)| if i == 0 { part.into() } else { format!("{}{part}", values.next().unwrap()) })
            .collect()
    })
}

/// Several texts joined in flow style.
fn some(texts: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(filled(texts), 0..most).prop_map(|parts| parts.join(", "))
}

const MATCHES: &[&str] = &[
    "{uri: {exact: @}}",
    "{uri: {prefix: @}}",
    "{uri: {regex: @}}",
    "{headers: {@: {exact: @}}}",
    "{withoutHeaders: {x: {regex: @}}}",
    "{method: {exact: GET}}",
    "{port: @}",
    "{gateways: [@]}",
    "{sourceLabels: {app: @}}",
    "{uri: {prefix: /}}",
    "{queryParams: {q: {}}, name: @}",
];
const DESTINATIONS: &[&str] = &[
    "{destination: {host: a}, weight: 50}",
    "{destination: {host: a, subset: v1}, weight: 25}",
    "{destination: {host: b, subset: v2}, weight: @}",
    "{destination: {host: @}, weight: @}",
    "{destination: {host: c, port: {number: @}}}",
    "{destination: {host: a, subset: @}, weight: 0.1, headers: {request: {set: {x: @}}}}",
];
const FIELDS: &[&str] = &[
    "timeout: @",
    "retries: {attempts: @, retryOn: @}",
    "rewrite: {uri: @, authority: @}",
    "mirror: {host: @}, mirrorPercentage: {value: @}",
    "fault: {abort: {httpStatus: @, percentage: {value: @}}}",
    "fault: {delay: {fixedDelay: @}}",
    "headers: {response: {add: {@: @}, remove: [@]}}",
    "unknown: @",
    "redirect: {uri: @}",
];
const RULES: &[&str] = &[
    "trafficPolicy: {outlierDetection: {consecutive5xxErrors: @, interval: @}}",
    "subsets: [{name: v1, labels: {version: v1}}, {name: @, trafficPolicy: {connectionPool: {tcp: {maxConnections: @}}}}]",
    "trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: @, to: @}]}}}",
    "trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {@: 60, r2: 40}}]}}}",
    "trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [@, version=v1, topology.kubernetes.io/zone]}}}",
    "exportTo: [@]",
    "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: @}}, portLevelSettings: [{port: {number: @}, outlierDetection: {maxEjectionPercent: @}}]}",
];
const PORTS: &[&str] = &[
    "[{name: http, port: 80}]",
    "[{name: tcp, port: 80}, {port: 81}]",
    "[{name: http, port: 80, targetPort: web}, {name: http-b, port: 81, targetPort: 9000}]",
    "[{port: @}]",
];
const LABELS: &[&str] =
    &["version: v1", "version: v2", "topology.istio.io/locality: r1.z1", "topology.istio.io/locality: r2.z1.s", "istio: gw", "x: @"];
const SERVERS: &[&str] = &[
    "{port: {number: 80, protocol: HTTP}, hosts: ['*']}",
    "{port: {number: @, protocol: @}, hosts: [@]}",
    "{port: {number: 81, protocol: TCP}, hosts: ['*', a.example]}",
];
const POLICIES: &[&str] = &[
    "url: file:///weir-canary.wasm\npluginConfig: {version: 1, canaries: [{hosts: [@], stable: @, key: [{cookie: u}], override: [{header: {name: x, exact: y}, subset: @}]}]}",
    "url: file:///weir-locality.wasm\npluginConfig: {version: @, services: [{hosts: [@, '*'], servedBy: true}]}",
    "url: file:///other.wasm\npriority: @\nphase: AUTHN\nmatch: [{mode: SERVER}]",
];

fn virtual_service_object() -> impl Strategy<Value = String> {
    let http = (some(MATCHES, 3), some(DESTINATIONS, 4), some(FIELDS, 2)).prop_map(|(matches, destinations, fields)| {
        let matches = if matches.is_empty() { String::new() } else { format!("match: [{matches}], ") };
        format!("{{{matches}route: [{destinations}], {fields}}}")
    });
    let hosts = select(["a", "b", "'*'", "'*.shop.svc.cluster.local'", "api.example", "a, b", "A, a"].as_slice());
    let gateways = select(["", "gateways: [shop/g]\n", "gateways: [shop/g, mesh]\n", "exportTo: ['.']\n"].as_slice());
    (namespace(), name(), hosts, gateways, proptest::collection::vec(http, 1..4)).prop_map(|(namespace, name, hosts, gateways, http)| {
        virtual_service(&format!("{namespace}/{name}"), &format!("hosts: [{hosts}]\n{gateways}http: [{}]", http.join(", ")))
    })
}

fn object() -> impl Strategy<Value = String> {
    let host = select(["a", "b", "'*'", "'*.cluster.local'", "a.shop.svc.cluster.local"].as_slice());
    let rules = (namespace(), name(), host, filled(RULES))
        .prop_map(|(namespace, name, host, rest)| rule(&format!("{namespace}/{name}"), &format!("host: {host}\n{rest}")));
    let ips = select(["10.0.0.1", "10.0.0.2", "None", ""].as_slice());
    let services = (namespace(), name(), ips, filled(PORTS))
        .prop_map(|(namespace, name, ip, ports)| service(&format!("{namespace}/{name}"), ip, &ports));
    let pods = (namespace(), name(), 0u8..9, filled(LABELS)).prop_map(|(namespace, name, ip, labels)| {
        pod(&format!("{namespace}/{name}-{ip}"), &format!("10.9.0.{ip}"), &format!("app: {name}, {labels}"))
    });
    let gateways =
        some(SERVERS, 3).prop_map(|servers| istio("Gateway", "shop/g", &format!("selector: {{istio: gw}}\nservers: [{servers}]")));
    let plugins = (namespace(), name(), filled(POLICIES))
        .prop_map(|(namespace, name, spec)| istio("WasmPlugin", &format!("{namespace}/{name}"), &spec));
    prop_oneof![4 => virtual_service_object(), 3 => rules, 2 => services, 4 => pods, 1 => gateways, 1 => plugins]
}

/// Two services, a caller and a gateway that are always there, and some objects more, each in a file of its own: one that is
/// no YAML takes no other with it.
fn objects() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(object(), 0..14).prop_map(|mut objects| {
        let base = [
            http_service("shop/a"),
            http_service("shop/b"),
            pod("shop/caller", "10.1.0.1", "app: caller, topology.istio.io/locality: r1.z1"),
            pod("shop/gw", "10.1.0.2", "istio: gw"),
        ];
        objects.insert(0, base.concat());
        objects
    })
}

fn told(files: &[String]) -> Vec<Snapshot> {
    let (mesh, _) = build(&files.iter().map(String::as_str).collect::<Vec<_>>());
    vec![sidecar(&mesh, "shop/caller").0, router(&mesh, "shop/gw").0]
}

fn decoded<T: Message + Default>(snapshot: &Snapshot, kind: Type) -> Vec<T> {
    snapshot.resources.get(&kind).into_iter().flatten().map(|(_, resource)| T::decode(resource.body.clone()).unwrap()).collect()
}

/// The clusters that routes name, and the checks of the routes themselves.
fn check_routes(routes: &RouteConfiguration) -> Vec<String> {
    let mut named = Vec::new();
    let domains: Vec<String> = routes.virtual_hosts.iter().flat_map(|host| &host.domains).map(|domain| domain.to_lowercase()).collect();
    assert_eq!(domains.iter().collect::<BTreeSet<_>>().len(), domains.len(), "a domain twice: {domains:?}");
    for host in &routes.virtual_hosts {
        assert!(!host.domains.is_empty() && !host.name.is_empty());
        for found in &host.routes {
            let Some(route::Action::Route(action)) = &found.action else { continue };
            match action.cluster_specifier.as_ref().unwrap() {
                ClusterSpecifier::Cluster(name) => named.push(name.clone()),
                ClusterSpecifier::WeightedClusters(weighted) => {
                    let total: u32 = weighted.clusters.iter().map(|cluster| cluster.weight.unwrap().value).sum();
                    assert_eq!(total, 10_000);
                    assert!(weighted.clusters.iter().all(|cluster| cluster.weight.unwrap().value > 0));
                    named.extend(weighted.clusters.iter().map(|cluster| cluster.name.clone()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    named
}

fn check(snapshot: &Snapshot, text: &str) {
    let clusters: BTreeSet<String> = snapshot.resources.get(&Type::Cluster).into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let known: BTreeSet<&str> = clusters.iter().filter_map(|name| name.rsplit('|').next()).collect();
    for routes in decoded::<RouteConfiguration>(snapshot, Type::RouteConfiguration) {
        for name in check_routes(&routes) {
            let parts: Vec<&str> = name.split('|').collect();
            // A cluster of a service that is there, without a subset, is missing only where the port is none of the service's.
            let is_whole = parts.get(2).is_none_or(|subset| subset.is_empty());
            let port_exists = clusters
                .iter()
                .any(|cluster| cluster.starts_with(&parts[..2.min(parts.len())].join("|")) && cluster.ends_with(parts[parts.len() - 1]));
            assert!(
                !is_whole || clusters.contains(&name) || !known.contains(parts[parts.len() - 1]) || !port_exists,
                "{name} is missing\n{text}"
            );
        }
    }
    for assignment in decoded::<ClusterLoadAssignment>(snapshot, Type::ClusterLoadAssignment) {
        assert!(clusters.contains(&assignment.cluster_name));
        let priorities: BTreeSet<u32> = assignment.endpoints.iter().map(|group| group.priority).collect();
        assert!(priorities.iter().copied().eq(0..priorities.len() as u32), "a gap between priorities: {priorities:?}\n{text}");
        assert!(assignment.endpoints.iter().all(|group| group.load_balancing_weight.unwrap().value > 0));
    }
    let listeners = snapshot.resources.get(&Type::Listener).map_or(0, |listeners| listeners.len());
    assert!(listeners == 0 || snapshot.resources.contains_key(&Type::Cluster));
}

/// Kind, namespace and name of a file's first object.
fn key(file: &str) -> String {
    let line = |start: &str| {
        file.lines().find(|line| line.starts_with(start)).unwrap_or_default().split(", labels").next().unwrap_or_default().to_string()
    };
    line("kind") + &line("metadata")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn snapshots_are_consistent_whatever_the_objects_say(files in objects()) {
        for snapshot in told(&files) {
            check(&snapshot, &files.concat());
        }
    }

    #[test]
    fn the_same_objects_give_the_same_bytes_in_any_order(mut files in objects()) {
        // Of two objects with one key the later counts: with each there once the order does not matter.
        let mut seen: BTreeSet<String> = [key(&http_service("shop/b"))].into();
        files.retain(|file| seen.insert(key(file)));
        let forwards = told(&files);
        prop_assert_eq!(&forwards, &told(&files));
        files.reverse();
        prop_assert_eq!(forwards, told(&files));
    }

    #[test]
    fn what_nodes_share_is_what_each_would_be_told_alone(files in objects()) {
        let mesh = std::sync::Arc::new(build(&files.iter().map(String::as_str).collect::<Vec<_>>()).0);
        let builder = Builder::new(mesh.clone());
        for (workload, role) in mesh.workloads.iter().flat_map(|workload| [(workload, Role::Sidecar), (workload, Role::Router)]) {
            let (pod, namespace) = (workload.name.clone(), workload.namespace.clone());
            let node = Node { role, ip: workload.address, pod, namespace, domain: "cluster.local".into(), modules: Default::default() };
            prop_assert_eq!(builder.snapshot(&node), snapshot::build(&mesh, &node), "{}", node);
        }
    }

    #[test]
    fn nothing_panics_after_any_change_of_a_line(files in objects(), line in any::<prop::sample::Index>(), other in "[ -~]{0,12}") {
        let text = files.concat();
        let mut lines: Vec<&str> = text.lines().collect();
        let at = line.index(lines.len());
        lines[at] = &other;
        let before = Objects::default().update(read(&[&text]));
        let after = before.update(read(&[&lines.join("\n")]));
        let (mesh, _) = mesh::build(&after, &options());
        for workload in &mesh.workloads {
            let at = format!("{}/{}", workload.namespace, workload.name);
            check(&sidecar(&mesh, &at).0, &text);
            check(&router(&mesh, &at).0, &text);
        }
    }
}
