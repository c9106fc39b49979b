//! Passports and who may be in a canary: what each proxy's filter and routes are told.

use crate::support::*;
use serde_json::{Value, json};
use weir_mesh::mesh::{self, Mesh, Options, Secrets};
use weir_mesh::object::Objects;

const SECRETS: [&str; 2] = ["a", "b"];

fn mesh(objects: &[String]) -> Mesh {
    let gateway =
        istio("Gateway", "shop/g", "selector: {app: gw}\nservers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]");
    let routes = virtual_service(
        "shop/a",
        "hosts: [a]\ngateways: [g, mesh]\nhttp: [{route: [{destination: {host: a, subset: v1}, weight: 90}, {destination: {host: a, subset: v2}, weight: 10}]}]",
    );
    let subsets = rule("shop/a", "host: a\nsubsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]");
    let pods = [pod("shop/gw", "10.1.0.9", "app: gw"), pod("shop/caller", "10.1.0.1", "app: caller")].concat();
    let all = [http_service("shop/a"), http_service("shop/b"), gateway, routes, subsets, pods, objects.concat()].concat();
    let options = Options { secrets: Secrets(SECRETS.map(|secret| secret.repeat(64)).into()), ..options() };
    let (mesh, findings) = mesh::build(&Objects::default().update(read(&[&all])), &options);
    assert_eq!(findings, []);
    mesh
}

fn plugin(name: &str, config: &str) -> String {
    istio("WasmPlugin", &format!("shop/{name}"), &format!("url: oci://hub/weir-canary:v1\npluginConfig: {{version: 1, {config}}}"))
}

/// The filters' names, those in brackets that run on some routes alone.
fn filters(told: &Told, listener: &str) -> Vec<String> {
    let filters = told.http(listener).http_filters.into_iter();
    filters.map(|filter| if filter.disabled { format!("({})", filter.name) } else { filter.name }).collect()
}

const PASSPORT: &str = "passport: {key: [{cookie: user}], override: [{header: {name: x-tester, exact: 'yes'}, subset: v2}]}";

#[test]
fn a_gateway_makes_passports_for_every_request_and_sidecars_read_them() {
    let mesh = mesh(&[plugin("c", &format!("{PASSPORT}, canaries: [{{hosts: [a], key: [{{header: x-user}}]}}]"))]);
    let secrets = json!(SECRETS.map(|secret| secret.repeat(64)));
    let gateway = router(&mesh, "shop/gw");
    let sent = gateway.plugin_config("shop.c");
    let expected = json!({
        "key": [{"cookie": "user"}], "override": [{"header": {"name": "x-tester", "exact": "yes"}, "subset": "v2"}], "edge": true,
        "secrets": secrets,
    });
    assert_eq!((&sent["passport"], &sent["routed"]), (&expected, &Value::Null));
    assert_eq!(filters(&gateway, "0.0.0.0_80")[0], "shop.c");

    let caller = sidecar(&mesh, "shop/caller");
    let sent = caller.plugin_config("shop.c");
    assert_eq!((&sent["passport"], &sent["routed"]), (&json!({"secrets": secrets}), &json!(true)));
    assert_eq!(filters(&caller, "0.0.0.0_80")[0], "(shop.c)");
    for told in [&gateway.routes("http.80", "a.shop.svc.cluster.local:80"), &caller.routes("80", "a.shop.svc.cluster.local:80")] {
        let named = lines(told).into_iter().filter(|line| line.contains("x-weir-subset")).count();
        assert_eq!(named, 2, "{:#?}", lines(told));
    }
}

#[test]
fn of_several_filters_at_a_gateway_the_first_makes_them_and_those_behind_read_them() {
    let plain = plugin("d", "canaries: [{hosts: [b], key: [{header: x-user}]}]");
    let mesh = mesh(&[plugin("c", &format!("{PASSPORT}, canaries: []")), plain.clone(), plugin("b", "canaries: [{hosts: [a]}]")]);
    let gateway = router(&mesh, "shop/gw");
    let passport = |told: &Told, name: &str| told.plugin_config(name)["passport"].clone();
    // Of one age, they run by name.
    assert_eq!(passport(&gateway, "shop.b"), Value::Null, "it stands where a client's own baggage still is");
    assert_eq!(passport(&gateway, "shop.c")["edge"], true);
    assert_eq!(passport(&gateway, "shop.d")["edge"], Value::Null);
    let caller = sidecar(&mesh, "shop/caller");
    for name in ["shop.b", "shop.c", "shop.d"] {
        assert_eq!(passport(&caller, name)["secrets"].as_array().unwrap().len(), 2, "{name}");
    }
}

#[test]
fn a_route_out_of_the_mesh_takes_the_passport_away_also_where_no_plugin_runs() {
    let elsewhere = istio(
        "WasmPlugin",
        "shop/c",
        &format!(
            "selector: {{matchLabels: {{app: gw}}}}\nurl: oci://hub/weir-canary:v1\npluginConfig: {{version: 1, {PASSPORT}, canaries: []}}"
        ),
    );
    let told = sidecar(&mesh(&[elsewhere]), "shop/caller");
    assert_eq!(filters(&told, "0.0.0.0_80"), ["fault", "header_to_metadata", "router"].map(|name| format!("envoy.filters.http.{name}")));
    let [out] = told.routes("80", "allow_any").try_into().unwrap();
    assert_eq!(out.request_headers_to_remove, ["baggage"]);
    assert!(out.typed_per_filter_config.contains_key("envoy.filters.http.header_to_metadata"));
    let without = sidecar(&mesh(&[]), "shop/caller");
    let [out] = without.routes("80", "allow_any").try_into().unwrap();
    assert_eq!((out.request_headers_to_remove.len(), out.typed_per_filter_config.len()), (0, 0), "no plugin, no cost");
    assert_eq!(filters(&without, "0.0.0.0_80").len(), 2);
}

/// Where somebody else names the endpoints of a service, and they are no pods.
#[test]
fn a_route_to_a_service_outside_the_mesh_takes_it_away_too() {
    let elsewhere = |address: &str| {
        let service = service("shop/elsewhere", "10.0.0.9", "[{name: http, port: 80}]").replace("selector: {app: elsewhere}, ", "");
        let slice = format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: e, namespace: shop, labels: {{kubernetes.io/service-name: elsewhere}}}}\naddressType: IPv4\nports: [{{name: http, port: 8080}}]\nendpoints: [{{addresses: [{address}]}}]\n"
        );
        let out = virtual_service("shop/out", "hosts: [out.example]\ngateways: [g]\nhttp: [{route: [{destination: {host: elsewhere}}]}]");
        mesh(&[service, slice, out, plugin("c", &format!("{PASSPORT}, canaries: []"))])
    };
    let leaves = |routes: Vec<envoy_types::pb::envoy::config::route::v3::Route>| {
        assert!(!routes.is_empty());
        routes.iter().all(|route| route.request_headers_to_remove == ["baggage"])
    };
    let (outside, inside) = (elsewhere("192.0.2.1"), elsewhere("10.1.0.1"));
    let host = "elsewhere.shop.svc.cluster.local:80";
    assert!(leaves(sidecar(&outside, "shop/caller").routes("80", host)));
    assert!(!leaves(sidecar(&inside, "shop/caller").routes("80", host)));
    assert!(!leaves(sidecar(&outside, "shop/caller").routes("80", "b.shop.svc.cluster.local:80")));
    let last = |mesh: &Mesh| filters(&router(mesh, "shop/gw"), "0.0.0.0_80").iter().rev().nth(1).unwrap().clone();
    assert!(leaves(router(&outside, "shop/gw").routes("http.80", "out.example:80")));
    assert_eq!(last(&outside), "envoy.filters.http.header_to_metadata");
    assert!(!leaves(router(&inside, "shop/gw").routes("http.80", "out.example:80")));
    assert_eq!(last(&inside), "envoy.filters.http.fault");
}

#[test]
fn who_may_not_get_a_canary_has_a_route_to_the_stable() {
    for (policy, stable) in
        [("deny: [{header: {name: x, exact: y}}]", "v1"), ("stable: v2, allow: [{cookie: {name: x, oneOf: [y, z]}}]", "v2")]
    {
        let mesh = mesh(&[plugin("c", &format!("canaries: [{{hosts: [a], {policy}}}]"))]);
        let routes = sidecar(&mesh, "shop/caller").routes("80", "a.shop.svc.cluster.local:80");
        assert_eq!(lines(&routes)[0], format!("/* x-weir-subset=.stable -> 80|{stable}|a.shop"));
    }
    let mesh = mesh(&[plugin("c", "canaries: [{hosts: [a], key: [{cookie: user}]}]")]);
    let routes = sidecar(&mesh, "shop/caller").routes("80", "a.shop.svc.cluster.local:80");
    assert!(!lines(&routes).concat().contains("x-weir-subset"));
}

#[test]
fn a_filter_is_told_who_calls_where_a_rule_asks() {
    let mesh = mesh(&[plugin("c", "canaries: [{hosts: [a], allow: [{source: {workload: front}}]}]")]);
    assert_eq!(sidecar(&mesh, "shop/caller").plugin_config("shop.c")["caller"], json!({"namespace": "shop", "workload": "caller"}));
    let other = self::mesh(&[plugin("c", "canaries: [{hosts: [a], allow: [{cookie: {name: x, exact: y}}]}]")]);
    assert_eq!(sidecar(&other, "shop/caller").plugin_config("shop.c")["caller"], Value::Null);
}

#[test]
fn a_workload_is_called_as_its_deployment() {
    let owned = |hash: &str, kind: &str, owner: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop, labels: {{pod-template-hash: {hash}}}, ownerReferences: [{{apiVersion: v1, kind: {kind}, name: {owner}, uid: u, controller: true}}]}}\nstatus: {{podIP: 10.1.0.7}}\n"
        )
    };
    for (object, expected) in [
        (owned("6c8f", "ReplicaSet", "front-6c8f"), "front"),
        (owned("6c8f", "ReplicaSet", "front-other"), "front-other"),
        (owned("x", "StatefulSet", "front"), "front"),
        (pod("shop/p", "10.1.0.7", "app: p"), "p"),
    ] {
        let (mesh, _) = build(&[&object]);
        assert_eq!(mesh.workload("shop", "p").unwrap().owner, expected, "{object}");
    }
}

#[test]
fn a_canary_that_may_be_held_back_has_routes_without_it() {
    let mesh = mesh(&[plugin("c", "canaries: [{hosts: [a], key: [{cookie: user}], governor: {}}]")]);
    let told = sidecar(&mesh, "shop/caller");
    let routes = told.routes("80", "a.shop.svc.cluster.local:80");
    let expected = [
        "/* x-weir-subset=.stable -> 80|v1|a.shop",
        "/* x-weir-subset=!v2 -> 80|v1|a.shop=1000 80|v1|a.shop=9000",
        "/* -> 80|v2|a.shop=1000 80|v1|a.shop=9000",
    ];
    assert_eq!(lines(&routes), expected);
    let sent = &told.plugin_config("shop.c")["canaries"][0];
    assert_eq!((&sent["stable"], &sent["governor"]), (&json!("v1"), &json!({"proxies": 2})), "the destination listed first, for two pods");
}
