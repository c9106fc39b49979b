//! Endpoints: which pods, in which priority, with which weight.

use crate::support::*;
use std::collections::BTreeMap;

const A: &str = "outbound|80||a.shop.svc.cluster.local";
const OUTLIER: &str = "outlierDetection: {consecutive5xxErrors: 5}";

/// The caller in r1/a/s1, and pods of a in six places; a's rule has this traffic policy.
fn told(policy: &str) -> Told {
    let at =
        |name: &str, ip: &str, locality: &str| pod(&format!("shop/{name}"), ip, &format!("app: a, topology.istio.io/locality: {locality}"));
    let objects = [
        pod("shop/near", "10.1.0.1", "app: near, topology.istio.io/locality: r1.a.s1"),
        http_service("shop/a"),
        at("same", "10.2.0.1", "r1.a.s1"),
        at("subzone", "10.2.0.2", "r1.a.s2"),
        at("zone", "10.2.0.3", "r1.b.s1"),
        at("region", "10.2.0.4", "r2.a.s1"),
        at("third", "10.2.0.5", "r3.a.s1"),
        rule("shop/a", &format!("host: a\ntrafficPolicy: {{{policy}}}")),
    ];
    sidecar(&build(&[&objects.concat()]).0, "shop/near")
}

/// The last digits of the addresses by priority.
fn priorities(told: &Told) -> Vec<Vec<u8>> {
    let found: BTreeMap<u32, Vec<String>> = told.endpoints(A);
    assert!(found.keys().copied().eq(0..found.len() as u32), "no gaps: {found:?}");
    let digit = |endpoint: &String| endpoint.split(['.', ':']).rev().nth(1).unwrap().parse().unwrap();
    let sorted = |endpoints: &Vec<String>| {
        let mut digits: Vec<u8> = endpoints.iter().map(digit).collect();
        digits.sort();
        digits
    };
    found.values().map(sorted).collect()
}

// 15
#[test]
fn without_outlier_detection_there_are_no_priorities() {
    assert_eq!(priorities(&told("loadBalancer: {simple: RANDOM}")), [vec![1, 2, 3, 4, 5]]);
    assert_eq!(priorities(&told("loadBalancer: {localityLbSetting: {enabled: true}}")), [vec![1, 2, 3, 4, 5]]);
}

// 15, 16
#[test]
fn outlier_detection_alone_activates_priorities_by_locality() {
    assert_eq!(priorities(&told(OUTLIER)), [vec![1], vec![2], vec![3], vec![4, 5]]);
}

// 15
#[test]
fn locality_can_be_switched_off() {
    let policy = format!("{OUTLIER}, loadBalancer: {{localityLbSetting: {{enabled: false}}}}");
    assert_eq!(priorities(&told(&policy)), [vec![1, 2, 3, 4, 5]]);
}

// 15
#[test]
fn the_services_traffic_distribution_activates_priorities_too() {
    let close = http_service("shop/a").replace("spec: {", "spec: {trafficDistribution: PreferClose, ");
    let far = pod("shop/far", "10.2.0.9", &format!("app: a, {}", place("r", "b")));
    let near = pod("shop/near", "10.2.0.1", &format!("app: a, {}", place("r", "a")));
    let own = pod("shop/own", "10.1.0.1", &format!("app: own, {}", place("r", "a")));
    let told = sidecar(&build(&[&[close, far, near, own].concat()]).0, "shop/own");
    assert_eq!(priorities(&told), [vec![1], vec![9]]);
}

// 16
#[test]
fn failover_names_the_region_that_comes_before_the_others() {
    let policy = format!("{OUTLIER}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r1, to: r3}}]}}}}");
    assert_eq!(priorities(&told(&policy)), [vec![1], vec![2], vec![3], vec![5], vec![4]]);
    let other = format!("{OUTLIER}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r9, to: r3}}]}}}}");
    assert_eq!(priorities(&told(&other)), [vec![1], vec![2], vec![3], vec![4, 5]]);
}

// 16
#[test]
fn unknown_places_are_equal_places() {
    let objects =
        [http_service("shop/a"), pod("shop/one", "10.2.0.1", "app: a"), rule("shop/a", &format!("host: a\ntrafficPolicy: {{{OUTLIER}}}"))];
    assert_eq!(priorities(&caller(&objects)), [vec![1]]);
}

// 17
#[test]
fn failover_priority_ranks_by_the_first_label_that_differs() {
    let labels = |labels: &str| format!("{OUTLIER}, loadBalancer: {{localityLbSetting: {{failoverPriority: [{labels}]}}}}");
    assert_eq!(priorities(&told(&labels("topology.kubernetes.io/region, topology.kubernetes.io/zone"))), [vec![1, 2], vec![3], vec![4, 5]]);
    assert_eq!(
        priorities(&told(&labels("topology.kubernetes.io/region=r2"))),
        [vec![4], vec![1, 2, 3, 5]],
        "a value overrides the caller's"
    );
    assert_eq!(priorities(&told(&labels("nobody-has-it"))), [vec![1, 2, 3, 4, 5]], "missing equals missing");
}

// 18
#[test]
fn distribute_gives_shares_and_excludes_failover() {
    let distribute = |from: &str, to: &str| {
        format!("{OUTLIER}, loadBalancer: {{localityLbSetting: {{distribute: [{{from: '{from}', to: {{{to}}}}}]}}}}")
    };
    let weights = |told: &Told| told.weights(A).into_iter().map(|(place, weight)| format!("{place}={weight}")).collect::<Vec<_>>();
    let found = told(&distribute("r1/*", "'r1/a/*': 80, 'r2/*': 20"));
    assert_eq!(weights(&found), ["r1/a=40000", "r1/a=40000", "r2/a=20000"], "split by endpoints; r1/b and r3 get nothing");
    assert_eq!(priorities(&found), [vec![1, 2, 4]]);
    let unconcerned = told(&distribute("r9/*", "'r1/*': 100"));
    assert_eq!(priorities(&unconcerned), [vec![1, 2, 3, 4, 5]], "nobody's share: all alike, without failover");
}

// 18
#[test]
fn distribute_needs_no_outlier_detection_and_weights_the_balancer() {
    let found = told("loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {'r1/*': 90, 'r2/*': 10}}]}}");
    assert_eq!(found.weights(A).iter().map(|(_, weight)| weight).sum::<u32>(), 100_000);
    let balancer = format!("{:?}", found.cluster(A).unwrap().load_balancing_policy);
    let plain = format!("{:?}", told(OUTLIER).cluster(A).unwrap().load_balancing_policy);
    assert_ne!(balancer, plain, "locality weights are obeyed only where the balancer is told so");
}

// 20
#[test]
fn a_pods_place_is_its_own_label_else_its_nodes() {
    let zone_of = |labels: &str| {
        let found = caller(&[http_service("shop/a"), pod("shop/one", "10.2.0.1", &format!("app: a, {labels}"))]);
        found.weights(A)[0].0.clone()
    };
    let node = place("r", "z");
    assert_eq!(zone_of(&node), "r/z");
    assert_eq!(zone_of(&format!("topology.istio.io/locality: own.zone, {node}")), "own/zone");
    assert_eq!(zone_of(&format!("istio-locality: old.zone, {node}")), "old/zone");
    assert_eq!(zone_of(&format!("topology.istio.io/locality: '', {node}")), "r/z");
    assert_eq!(zone_of("failure-domain.beta.kubernetes.io/region: r, failure-domain.beta.kubernetes.io/zone: z"), "r/z");
    assert_eq!(zone_of("unrelated: label"), "/");
}

// 24
#[test]
fn only_ready_pods_that_stay_are_endpoints() {
    let going = pod("shop/going", "10.2.0.3", "app: a").replace("metadata: {", "metadata: {deletionTimestamp: '2026-01-01T00:00:00Z', ");
    let objects = [
        http_service("shop/a"),
        pod("shop/ready", "10.2.0.1", "app: a"),
        pod("shop/unready", "10.2.0.2", "app: a").replace("'True'", "'False'"),
        going,
        pod("other/stranger", "10.2.0.4", "app: a"),
        pod("shop/unrelated", "10.2.0.5", "app: b"),
    ];
    assert_eq!(caller(&objects).endpoints(A), [(0, vec![":10.2.0.1:8080".to_string()])].into());
}

#[test]
fn a_subset_has_the_pods_with_its_labels_and_a_named_port_is_the_containers() {
    let objects = [
        service("shop/a", "10.0.0.1", "[{name: http, port: 80, targetPort: web}]"),
        rule("shop/a", "host: a\nsubsets: [{name: v1, labels: {version: v1}}, {name: none, labels: {version: v9}}]"),
        pod("shop/one", "10.2.0.1", "app: a, version: v1"),
        pod("shop/two", "10.2.0.2", "app: a, version: v2"),
    ];
    let told = caller(&objects);
    assert_eq!(told.endpoints(A)[&0], [":10.2.0.1:8080", ":10.2.0.2:8080"]);
    assert_eq!(told.endpoints("outbound|80|v1|a.shop.svc.cluster.local")[&0], [":10.2.0.1:8080"]);
    assert!(told.endpoints("outbound|80|none|a.shop.svc.cluster.local").is_empty());
}

#[test]
fn a_service_without_a_selector_has_the_endpoints_of_its_slices() {
    let service = |more: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: a, namespace: shop}}\nspec: {{clusterIP: 10.0.0.1{more}, ports: [{{name: https, port: 443, targetPort: 9}}, {{name: http, port: 80}}]}}\n"
        )
    };
    let slice = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a, namespace: shop, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{name: https, port: 6443, protocol: TCP}, {name: http, port: 8080}]
endpoints: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.2], conditions: {ready: false}}, {addresses: [192.0.2.3], zone: z, conditions: {ready: true}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a6, namespace: shop, labels: {kubernetes.io/service-name: a}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ['2001:db8::1']}]
";
    let told = caller(&[service(""), slice.into()]);
    assert_eq!(told.endpoints(A), BTreeMap::from([(0, vec![":192.0.2.1:8080".into(), "z:192.0.2.3:8080".into()])]));
    let https = told.endpoints("outbound|443||a.shop.svc.cluster.local");
    assert_eq!(https, BTreeMap::from([(0, vec![":192.0.2.1:6443".into(), "z:192.0.2.3:6443".into()])]));
    assert!(told.listener("10.0.0.1_443").is_some());
    let selects = caller(&[service(", selector: {app: a}"), slice.into()]);
    assert_eq!(selects.endpoints(A), BTreeMap::new(), "what a selector finds is known from the pods");
}
