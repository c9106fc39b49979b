//! What governors are told of the whole mesh, and which canaries there are.

use crate::support::*;
use serde_json::{Value, json};
use weir_mesh::mesh::canary::{Name, Order, Orders};
use weir_mesh::mesh::{self, Mesh, Options};
use weir_mesh::object::Objects;

const ROUTES: &str = "hosts: [a]\nhttp:
- {match: [{uri: {prefix: /x}}], route: [{destination: {host: a, subset: v1}, weight: 1}, {destination: {host: a, subset: v2}, weight: 1}]}
- {route: [{destination: {host: a, subset: v1}, weight: 90}, {destination: {host: a, subset: v2}, weight: 10}]}";

fn name(canary: &str) -> Name {
    Name { service: "a.shop.svc.cluster.local".into(), canary: canary.into() }
}

fn build_with(config: &str, orders: Orders) -> (Mesh, Vec<String>) {
    let subsets = rule("shop/a", "host: a\nsubsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]");
    let plugin = istio(
        "WasmPlugin",
        "shop/c",
        &format!(
            "url: oci://hub/weir-canary:v1\nselector: {{matchLabels: {{app: caller}}}}\npluginConfig: {{version: 1, canaries: [{{hosts: [a], {config}}}]}}"
        ),
    );
    let pods = [pod("shop/caller", "10.1.0.1", "app: caller"), pod("shop/other", "10.1.0.2", "app: other")].concat();
    let all = [http_service("shop/a"), virtual_service("shop/a", ROUTES), subsets, pods, plugin].concat();
    let options = Options { report_to: Some("weir".into()), orders, ..options() };
    let (mesh, findings) = mesh::build(&Objects::default().update(read(&[&all])), &options);
    (mesh, findings.iter().map(ToString::to_string).collect())
}

fn sent(mesh: &Mesh) -> Value {
    sidecar(mesh, "shop/caller").plugin_config("shop.c")
}

#[test]
fn the_canaries_of_a_mesh_are_what_routes_name_beside_the_stable() {
    let (mesh, findings) = build_with("governor: {latency: false}", Orders::new());
    assert_eq!(findings, [""; 0]);
    let [canary] = mesh.canaries.as_slice() else { panic!("{:?}", mesh.canaries) };
    assert_eq!((&canary.name, canary.namespace.as_str(), canary.stable.as_str()), (&name("v2"), "shop", "v1"));
    assert_eq!((&canary.weights, canary.governor.as_ref().map(|governor| governor.latency)), (&vec![50.0, 10.0], Some(false)));
    assert_eq!(canary.virtual_services, ["VirtualService shop/a".to_string()].into());
    let concerned = ["caller", "other"].map(|pod| canary.concerns(&mesh, mesh.workload("shop", pod).unwrap()));
    assert_eq!(concerned, [true, false]);

    let (mesh, _) = build_with("stable: v2", Orders::new());
    let names: Vec<_> = mesh.canaries.iter().map(|canary| (canary.name.to_string(), canary.governor.is_some())).collect();
    assert_eq!(names, [("a.shop.svc.cluster.local/v1".to_string(), false)]);
}

#[test]
fn proxies_are_told_where_to_report_and_what_holds_in_the_whole_mesh() {
    let (mesh, _) = build_with("governor: {orders: [{canary: v2, share: 9}]}", Orders::new());
    assert!(sidecar(&mesh, "shop/caller").extension("shop.c").is_none(), "nobody else orders");
    let (mesh, _) = build_with("governor: {}", Orders::new());
    assert_eq!((&sent(&mesh)["reportTo"], &sent(&mesh)["canaries"][0]["governor"]), (&json!("weir"), &json!({"proxies": 1})));
    let order = |share| Order { share, round: 5, since: 9, why: "told to".into() };
    let other = Name { service: "b.shop.svc.cluster.local".into(), canary: "v2".into() };
    let (mesh, findings) = build_with("governor: {}", [(name("v2"), order(0)), (other, order(0))].into());
    assert_eq!(sent(&mesh)["canaries"][0]["governor"]["orders"], json!([{"canary": "v2", "share": 0, "since": 9, "round": 5}]));
    let expected = "0/f.yaml:13:5: warning [CanaryHeldBack] VirtualService shop/a spec.http: the canary v2 of a.shop.svc.cluster.local is held back: told to";
    assert_eq!(findings, [expected]);
    for (share, severity) in [(313, Some("info")), (10_000, None)] {
        let (_, findings) = build_with("governor: {}", [(name("v2"), order(share))].into());
        assert_eq!(findings.iter().map(|finding| finding.split(' ').nth(1)).next().flatten(), severity, "{findings:?}");
    }
    let (mesh, _) = build_with("key: [{cookie: user}]", Orders::new());
    assert_eq!(sent(&mesh)["reportTo"], Value::Null, "there is nothing to report");
}
