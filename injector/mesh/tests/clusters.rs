//! Clusters: names, the rule that holds, policies, load balancing, outlier detection.

use crate::support::*;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use weir_mesh::snapshot::Type;

const A: &str = "outbound|80||a.shop.svc.cluster.local";

fn cluster(objects: &[String]) -> Cluster {
    caller(objects).cluster(A).unwrap()
}

fn with_rule(policy: &str) -> Cluster {
    cluster(&[http_service("shop/a"), rule("shop/a", &format!("host: a\n{policy}"))])
}

fn connections(cluster: &Cluster) -> u32 {
    cluster.circuit_breakers.as_ref().unwrap().thresholds[0].max_connections.unwrap().value
}

fn balancer(cluster: &Cluster) -> String {
    let policy = cluster.load_balancing_policy.as_ref().unwrap().policies[0].typed_extension_config.as_ref().unwrap();
    policy.name.replace("envoy.load_balancing_policies.", "")
}

/// A policy that can be told by its limit.
fn limit(connections: u32) -> String {
    format!("connectionPool: {{tcp: {{maxConnections: {connections}}}}}")
}

fn limited(at: &str, host: &str, connections: u32, more: &str) -> String {
    rule(at, &format!("host: '{host}'\ntrafficPolicy: {{{}}}\n{more}", limit(connections)))
}

// 6
#[test]
fn there_is_one_per_port_and_subset() {
    let service = service("shop/a", "10.0.0.1", "[{name: http, port: 80}, {name: tcp, port: 90}]");
    let rule = rule("shop/a", "host: a\nsubsets: [{name: v1}, {name: v2}]");
    let names = caller(&[service, rule]).names(Type::Cluster);
    let expected = [80, 90].map(|port| ["v1|", "v2|", "|"].map(|subset| format!("outbound|{port}|{subset}a.shop.svc.cluster.local")));
    let own = ["BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster"].map(String::from);
    assert_eq!(names, own.into_iter().chain(expected.into_iter().flatten()).collect::<Vec<_>>());
}

#[test]
fn connecting_takes_no_longer_than_the_longest_try() {
    let [one, two, zero] = ["{attempts: 2, perTryTimeout: 1s}", "{attempts: 2, perTryTimeout: 2500ms}", "{attempts: 2, perTryTimeout: 0s}"];
    let cases: &[(&[&str], &str, u64)] = &[
        (&[], "", 10_000),
        (&[one], "", 1_000),
        (&[one, two], "", 2_500),
        (&[one, "{attempts: 2}"], "", 10_000),
        (&[one, "{attempts: 0, perTryTimeout: 1s}"], "", 10_000),
        (&[zero], "", 10_000),
        (&["{attempts: 2, perTryTimeout: 20s}"], "", 10_000),
        (&[one], "trafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s}}}", 3_000),
    ];
    for (retries, policy, expected) in cases {
        let routes = retries.iter().enumerate().map(|(path, retries)| {
            format!("  - {{match: [{{uri: {{exact: /{path}}}}}], retries: {retries}, route: [{{destination: {{host: a}}}}]}}\n")
        });
        let routes = virtual_service("shop/a", &format!("hosts: [a]\nhttp:\n{}", routes.collect::<String>()));
        let objects = [
            http_service("shop/a"),
            rule("shop/a", &format!("host: a\n{policy}")),
            if retries.is_empty() { String::new() } else { routes },
        ];
        let timeout = cluster(&objects).connect_timeout.unwrap();
        let millis = u64::try_from(timeout.seconds).unwrap() * 1000 + u64::try_from(timeout.nanos).unwrap() / 1_000_000;
        assert_eq!(millis, *expected, "{retries:?} {policy}");
    }
}

#[test]
fn a_gateways_routes_do_not_say_how_long_a_sidecar_connects() {
    let routes = |name: &str, more: &str| virtual_service(name, &format!("hosts: [a]\n{more}"));
    let limited = routes("shop/a", "http: [{retries: {attempts: 2, perTryTimeout: 1s}, route: [{destination: {host: a}}]}]");
    let other = routes("shop/edge", "gateways: [edge]\nhttp: [{route: [{destination: {host: a}}]}]");
    let found = cluster(&[http_service("shop/a"), limited, other]);
    assert_eq!(found.connect_timeout.map(|timeout| timeout.seconds), Some(1));
}

// 2
#[test]
fn the_rule_is_looked_up_with_the_client_then_the_service_then_the_root() {
    let of = |rules: &[String]| {
        let found = caller(&[http_service("prod/b"), rules.concat()]).cluster("outbound|80||b.prod.svc.cluster.local").unwrap();
        connections(&found)
    };
    let host = "b.prod.svc.cluster.local";
    let (client, service, root) = (limited("shop/r", "*", 1, ""), limited("prod/r", host, 2, ""), limited("istio-system/r", host, 3, ""));
    assert_eq!(of(&[root.clone(), service.clone(), client]), 1, "even * of the client's namespace");
    assert_eq!(of(&[root.clone(), service]), 2);
    assert_eq!(of(std::slice::from_ref(&root)), 3);
    assert_eq!(of(&[limited("other/r", host, 4, "")]), u32::MAX, "no other namespace counts");
}

// 2
#[test]
fn within_a_namespace_the_most_specific_host_holds_alone() {
    let rules = [
        limited("shop/all", "*", 1, "subsets: [{name: x}]"),
        limited("shop/suffix", "*.shop.svc.cluster.local", 2, ""),
        rule("shop/own", "host: a"),
    ];
    assert_eq!(connections(&cluster(&[http_service("shop/a"), rules.concat()])), u32::MAX, "nothing is inherited");
    let without_own = caller(&[http_service("shop/a"), rules[..2].concat()]);
    assert_eq!(connections(&without_own.cluster(A).unwrap()), 2, "the longest wildcard");
    assert_eq!(without_own.cluster("outbound|80|x|a.shop.svc.cluster.local"), None);
}

// 5
#[test]
fn a_rule_holds_where_it_is_exported_to() {
    for (export, expected) in [("'*'", 7), ("shop", 7), ("'.'", u32::MAX), ("other", u32::MAX)] {
        let rule = limited("prod/r", "b", 7, &format!("exportTo: [{export}]"));
        let found = caller(&[http_service("prod/b"), rule]).cluster("outbound|80||b.prod.svc.cluster.local").unwrap();
        assert_eq!(connections(&found), expected, "{export}");
    }
    let own = limited("shop/r", "a", 7, "exportTo: [other]");
    assert_eq!(connections(&cluster(&[http_service("shop/a"), own])), u32::MAX, "not even in its own namespace");
}

// 2
#[test]
fn in_the_root_namespace_private_rules_come_first() {
    let own = pod("istio-system/gw", "10.1.0.9", "app: gw");
    let private = limited("istio-system/private", "a.shop.svc.cluster.local", 1, "exportTo: ['.']");
    let rules = [limited("istio-system/public", "a.shop.svc.cluster.local", 3, ""), limited("shop/r", "a", 2, "")].concat();
    let of = |rules: &str| {
        let mesh = build(&[&own, &http_service("shop/a"), rules]).0;
        connections(&router(&mesh, "istio-system/gw").cluster(A).unwrap())
    };
    assert_eq!(of(&rules), 2, "not the root's public rule: that is tried last");
    assert_eq!(of(&format!("{rules}{private}")), 1);
}

// 3
#[test]
fn rules_of_one_host_are_united_oldest_first() {
    let of = |second: u32, name: &str, spec: &str| istio_since(second, "DestinationRule", name, &format!("host: a\n{spec}"));
    let first = of(1, "shop/z", "subsets: [{name: v1, labels: {from: z}}, {name: v1, labels: {from: twice}}]");
    let second = of(2, "shop/y", &format!("trafficPolicy: {{{}}}\nsubsets: [{{name: v1, labels: {{from: y}}}}, {{name: v2}}]", limit(2)));
    let third = of(3, "shop/x", &format!("trafficPolicy: {{{}}}", limit(3)));
    let pods =
        ["z", "y", "twice"].map(|from| pod(&format!("shop/{from}"), &format!("10.2.0.{}", from.len()), &format!("app: a, from: {from}")));
    let told = caller(&[http_service("shop/a"), third, second, first, pods[0].clone(), pods[2].clone()]);
    assert_eq!(connections(&told.cluster(A).unwrap()), 2, "the first that has a policy");
    assert!(told.cluster("outbound|80|v2|a.shop.svc.cluster.local").is_some());
    let v1 = told.endpoints("outbound|80|v1|a.shop.svc.cluster.local");
    assert_eq!(v1, [(0, vec![":10.2.0.1:8080".to_string()])].into(), "the first subset of a name");
}

// 4
#[test]
fn a_subset_replaces_fields_and_a_port_replaces_all() {
    let service = service("shop/a", "10.0.0.1", "[{name: http, port: 80}, {name: http-b, port: 81}]");
    let random = "loadBalancer: {simple: RANDOM}";
    let rule = rule(
        "shop/a",
        &format!(
            "host: a\ntrafficPolicy: {{{}, {random}, portLevelSettings: [{{port: {{number: 81}}, {}}}]}}\nsubsets: [{{name: v1, trafficPolicy: {{{}}}}}, {{name: v2, trafficPolicy: {{portLevelSettings: [{{port: {{number: 80}}, loadBalancer: {{simple: ROUND_ROBIN}}}}]}}}}]",
            limit(1),
            limit(2),
            limit(3)
        ),
    );
    let told = caller(&[service, rule]);
    let of = |port: u16, subset: &str| {
        let found = told.cluster(&format!("outbound|{port}|{subset}|a.shop.svc.cluster.local")).unwrap();
        (connections(&found), balancer(&found))
    };
    let is = |connections: u32, balancer: &str| (connections, balancer.to_string());
    assert_eq!(of(80, ""), is(1, "random"));
    assert_eq!(of(81, ""), is(2, "least_request"), "the port inherits nothing");
    assert_eq!(of(80, "v1"), is(3, "random"), "the subset inherits what it does not set");
    assert_eq!(of(81, "v1"), is(3, "least_request"), "the subset overrides the port of the rule");
    assert_eq!(of(80, "v2"), is(u32::MAX, "round_robin"));
    assert_eq!(of(81, "v2"), is(2, "least_request"));
}

// 19
#[test]
fn the_balancer_is_least_request_unless_the_rule_says_otherwise() {
    for (simple, expected) in
        [("UNSPECIFIED", "least_request"), ("LEAST_CONN", "least_request"), ("ROUND_ROBIN", "round_robin"), ("RANDOM", "random")]
    {
        assert_eq!(balancer(&with_rule(&format!("trafficPolicy: {{loadBalancer: {{simple: {simple}}}}}"))), expected, "{simple}");
    }
    assert_eq!(balancer(&cluster(&[http_service("shop/a")])), "least_request");
    assert_eq!(balancer(&with_rule("trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}")), "ring_hash");
}

// 19
#[test]
fn outlier_detection_switches_the_panic_threshold_off() {
    let panic = |cluster: Cluster| cluster.common_lb_config.map(|common| common.healthy_panic_threshold.unwrap().value);
    assert_eq!(panic(cluster(&[http_service("shop/a")])), None, "Envoy's default of 50 %");
    assert_eq!(panic(with_rule("trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}")), Some(0.0));
    assert_eq!(panic(with_rule("trafficPolicy: {outlierDetection: {minHealthPercent: 30}}")), Some(30.0));
}

// 19
#[test]
fn outlier_detection_says_only_what_the_rule_says() {
    let of = |fields: &str| with_rule(&format!("trafficPolicy: {{outlierDetection: {{{fields}}}}}")).outlier_detection.unwrap();
    let found = of("consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 5s, maxEjectionPercent: 100");
    assert_eq!(found.consecutive_5xx.unwrap().value, 3);
    assert_eq!(found.enforcing_consecutive_5xx.unwrap().value, 100);
    assert_eq!((found.interval.unwrap().seconds, found.base_ejection_time.unwrap().seconds), (1, 5));
    assert_eq!(found.max_ejection_percent.unwrap().value, 100);
    assert_eq!(found.enforcing_success_rate.unwrap().value, 0, "Istio switches it off");
    let found = of("consecutive5xxErrors: 0, consecutiveGatewayErrors: 2");
    assert_eq!((found.enforcing_consecutive_5xx.unwrap().value, found.consecutive_gateway_failure.unwrap().value), (0, 2));
    assert_eq!(found.max_ejection_percent, None, "Envoy's 10 %");
}

// 23
#[test]
fn a_headless_service_is_reached_by_address_but_not_its_subsets_and_not_from_gateways() {
    let objects = [
        service("shop/a", "None", "[{name: http, port: 80}]"),
        rule("shop/a", "host: a\nsubsets: [{name: v1}]"),
        pod("shop/gw", "10.1.0.9", "istio: gw"),
    ];
    let discovery = |told: &Told, name: &str| match told.cluster(name).unwrap().cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(kind).unwrap(),
        other => panic!("{other:?}"),
    };
    let told = caller(&objects);
    assert_eq!(discovery(&told, A), DiscoveryType::OriginalDst);
    assert_eq!(discovery(&told, "outbound|80|v1|a.shop.svc.cluster.local"), DiscoveryType::Eds);
    assert_eq!(told.names(Type::ClusterLoadAssignment), ["outbound|80|v1|a.shop.svc.cluster.local"]);
    let gateway = router(&build(&[&objects.concat()]).0, "shop/gw");
    assert_eq!(discovery(&gateway, A), DiscoveryType::Eds);
}

// 23
#[test]
fn the_app_is_called_from_an_address_that_the_redirection_knows() {
    let told = caller(&[service("shop/caller", "10.0.0.5", "[{name: http, port: 80, targetPort: 8080}]")]);
    let inbound = told.cluster("inbound|8080||").unwrap();
    assert_eq!(inbound.upstream_bind_config.unwrap().source_address.unwrap().address, "127.0.0.6");
}

#[test]
fn out_of_bounds_values_are_refused_where_they_stand() {
    for (policy, field) in [
        ("outlierDetection: {maxEjectionPercent: 101}", "outlierDetection.maxEjectionPercent"),
        ("outlierDetection: {interval: 0s}", "outlierDetection.interval"),
        ("connectionPool: {tcp: {connectTimeout: 0s}}", "connectionPool.tcp.connectTimeout"),
        ("loadBalancer: {consistentHash: {httpHeaderName: ''}}", "loadBalancer.consistentHash.httpHeaderName"),
        ("loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 99}}]}}", "loadBalancer.localityLbSetting.distribute[0].to"),
        ("outlierDetection: {interval: 10us}", "outlierDetection.interval"),
    ] {
        let found = findings(&[&http_service("shop/a"), &rule("shop/a", &format!("host: a\ntrafficPolicy: {{{policy}}}"))]);
        let start = format!("error [IST0106] DestinationRule shop/a spec.trafficPolicy.{field}: ");
        assert!(found.iter().any(|finding| finding.contains(&start)), "{policy}: {found:?}");
    }
}

#[test]
fn a_limit_of_nothing_is_no_limit() {
    let pool =
        "tcp: {maxConnections: 0}, http: {http1MaxPendingRequests: 0, http2MaxRequests: 0, maxRetries: 0, maxRequestsPerConnection: 0}";
    let found = with_rule(&format!("trafficPolicy: {{connectionPool: {{{pool}}}, outlierDetection: {{maxEjectionPercent: 0}}}}"));
    let limits = &found.circuit_breakers.as_ref().unwrap().thresholds[0];
    for limit in [limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries] {
        assert_eq!(limit.unwrap().value, u32::MAX, "0 would let nothing pass");
    }
    assert_eq!(found.outlier_detection.unwrap().max_ejection_percent, None);
}

#[test]
fn local_failures_count_apart_where_they_are_split() {
    let of = |more: &str| {
        let outlier = with_rule(&format!("trafficPolicy: {{outlierDetection: {{{more}}}}}")).outlier_detection.unwrap();
        let value = |value: Option<envoy_types::pb::google::protobuf::UInt32Value>| value.map(|value| value.value);
        [
            outlier.consecutive_local_origin_failure,
            outlier.enforcing_consecutive_local_origin_failure,
            outlier.enforcing_local_origin_success_rate,
        ]
        .map(value)
    };
    assert_eq!(of("splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3"), [Some(3), Some(100), Some(0)]);
    assert_eq!(of("splitExternalLocalOriginErrors: true"), [None, None, Some(0)]);
    assert_eq!(of("consecutiveLocalOriginFailures: 3"), [None, None, None]);
}

#[test]
fn passthrough_goes_to_the_address_that_the_caller_asked_for() {
    let rule = rule("shop/a", "host: a\ntrafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}");
    let told = caller(&[http_service("shop/a"), rule]);
    let found = told.cluster(A).unwrap();
    assert_eq!(found.cluster_discovery_type, Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())));
    assert!(found.load_balancing_policy.is_none() && !told.names(Type::ClusterLoadAssignment).contains(&A.to_string()));
}

#[test]
fn a_cluster_names_the_rule_that_holds_as_istios_does() {
    let named = |cluster: Cluster| Some(format!("{:?}", cluster.metadata?.filter_metadata["istio"].fields["config"].kind));
    let path = "Some(StringValue(\"/apis/networking.istio.io/v1/namespaces/shop/destination-rule/a\"))";
    assert_eq!(named(with_rule("")), Some(path.to_string()));
    assert_eq!(named(cluster(&[http_service("shop/a")])), None);
}
