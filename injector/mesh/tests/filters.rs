//! Filters: which plugin runs where and in which order, and what stands around them.

use crate::support::*;
use envoy_types::pb::envoy::config::core::v3::async_data_source::Specifier;
use envoy_types::pb::envoy::config::route::v3::Route;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::wasm::v3::plugin_config;
use prost::Message;
use serde_json::json;
use std::sync::Arc;
use weir_mesh::finding::Severity;
use weir_mesh::mesh::{self, Module, Options, Pulls, pull};
use weir_mesh::node::Node;
use weir_mesh::object::Objects;
use weir_mesh::snapshot::Type;

fn plugin(at: &str, fields: &str) -> String {
    istio("WasmPlugin", at, &format!("url: file:///m.wasm\n{fields}"))
}

fn canary(at: &str, hosts: &str) -> String {
    istio(
        "WasmPlugin",
        at,
        &format!("url: oci://hub/weir-canary:v1\npluginConfig: {{version: 1, canaries: [{{hosts: [{hosts}], key: [{{cookie: user}}]}}]}}"),
    )
}

fn locality(at: &str, hosts: &str) -> String {
    istio(
        "WasmPlugin",
        at,
        &format!("url: file:///etc/weir-locality.wasm\npluginConfig: {{version: 1, services: [{{hosts: [{hosts}], servedBy: true}}]}}"),
    )
}

fn outbound(objects: &[String]) -> Vec<String> {
    let told = caller(&[http_service("shop/a"), objects.concat()]);
    told.http("0.0.0.0_80").http_filters.into_iter().map(|filter| filter.name.replace("envoy.filters.http.", "")).collect()
}

/// Where the canary policy of a told proxy looks for users.
fn keys(told: &Told) -> serde_json::Value {
    told.plugin_config("shop.c")["canaries"][0]["key"].clone()
}

fn canary_by(key: &str) -> String {
    let config = format!("pluginConfig: {{version: 1, canaries: [{{hosts: [a]{key}}}]}}");
    istio("WasmPlugin", "shop/c", &format!("url: file:///weir-canary.wasm\n{config}"))
}

#[test]
fn without_keys_of_its_own_a_canary_takes_those_of_the_rules_consistent_hash() {
    for (hash, own, expected) in [
        ("httpHeaderName: x-user", "", json!([{"header": "x-user"}])),
        ("httpCookie: {name: user, ttl: 0s}", "", json!([{"cookie": "user"}])),
        ("httpQueryParameterName: user", "", json!([{"query": "user"}])),
        ("useSourceIp: true", "", json!([{"sourceAddress": {}}])),
        ("useSourceIp: false", "", json!(null)),
        ("httpHeaderName: x-user", ", key: [{cookie: c}]", json!([{"cookie": "c"}])),
    ] {
        let hashed = rule("shop/a", &format!("host: a\ntrafficPolicy: {{loadBalancer: {{consistentHash: {{{hash}}}}}}}"));
        assert_eq!(keys(&caller(&[http_service("shop/a"), hashed, canary_by(own)])), expected, "{hash} {own}");
    }
    let hash = "loadBalancer: {consistentHash: {httpHeaderName: x-user}}";
    for policy in [
        format!("trafficPolicy: {{loadBalancer: {{simple: RANDOM}}, portLevelSettings: [{{port: {{number: 80}}, {hash}}}]}}"),
        format!("subsets: [{{name: v1, labels: {{v: '1'}}}}, {{name: v2, labels: {{v: '2'}}, trafficPolicy: {{{hash}}}}}]"),
    ] {
        let hashed = rule("shop/a", &format!("host: a\n{policy}"));
        assert_eq!(keys(&caller(&[http_service("shop/a"), hashed, canary_by("")])), json!([{"header": "x-user"}]), "{policy}");
    }
}

#[test]
fn a_gateway_hands_out_the_cookie_that_a_sidecar_looks_for() {
    let gateway =
        istio("Gateway", "shop/g", "selector: {app: gw}\nservers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]");
    let route = virtual_service("shop/a", "hosts: [a]\ngateways: [g, mesh]\nhttp: [{route: [{destination: {host: a}}]}]");
    let pods = [pod("shop/gw", "10.1.0.9", "app: gw"), pod("shop/caller", "10.1.0.1", "app: caller")].concat();
    let objects = [http_service("shop/a"), gateway, route, pods, canary_by(", key: [{mint: {name: u, secure: true}}]")].concat();
    let (mesh, findings) = build(&[&objects]);
    assert_eq!(findings, []);
    let cookies = |routes: &[Route]| -> Vec<String> {
        let headers = routes.iter().flat_map(|route| &route.response_headers_to_add).filter_map(|option| option.header.clone());
        headers.map(|header| format!("{}: {}", header.key, header.value)).collect()
    };
    let at_gateway = router(&mesh, "shop/gw");
    assert_eq!(keys(&at_gateway), json!([{"mint": {"name": "u", "secure": true, "sameSite": "Lax"}}]));
    let routes = at_gateway.routes("http.80", "a.shop.svc.cluster.local:80");
    assert_eq!(cookies(&routes), vec!["set-cookie: %FILTER_STATE(wasm.weir_set_cookie:PLAIN)%"; routes.len()]);
    let behind = sidecar(&mesh, "shop/caller");
    assert_eq!(keys(&behind), json!([{"cookie": "u"}]));
    assert_eq!(cookies(&behind.routes("80", "a.shop.svc.cluster.local:80")), Vec::<String>::new());
}

// 25
#[test]
fn plugins_run_by_phase_then_priority_then_age() {
    let found = outbound(&[
        plugin("shop/unspecified", ""),
        plugin("shop/stats", "phase: STATS"),
        plugin("shop/authz", "phase: AUTHZ"),
        plugin("shop/authn", "phase: AUTHN"),
        plugin("shop/high", "phase: AUTHN\npriority: 10"),
        plugin("shop/low", "phase: AUTHN\npriority: -10"),
        plugin("istio-system/root", "phase: STATS"),
    ]);
    let plugins = ["shop.high", "shop.low", "shop.authn", "shop.authz", "istio-system.root", "shop.stats", "shop.unspecified"];
    assert_eq!(found, plugins.into_iter().chain(["fault", "router"]).collect::<Vec<_>>());
}

// 25
#[test]
fn a_plugin_runs_where_its_namespace_and_selector_say() {
    for (at, selector, runs) in [
        ("shop/p", "", true),
        ("shop/p", "selector: {matchLabels: {app: caller}}", true),
        ("shop/p", "selector: {matchLabels: {app: other}}", false),
        ("istio-system/p", "", true),
        ("istio-system/p", "selector: {matchLabels: {app: other}}", false),
        ("other/p", "", false),
    ] {
        let found = outbound(&[plugin(at, selector)]);
        assert_eq!(found.len(), if runs { 3 } else { 2 }, "{at} {selector}: {found:?}");
    }
}

#[test]
fn a_plugins_mode_tells_what_it_sees() {
    let service = service("shop/caller", "10.0.0.5", "[{name: http, port: 90, targetPort: 8080}]");
    for (mode, sees) in [("CLIENT", (true, false)), ("SERVER", (false, true)), ("CLIENT_AND_SERVER", (true, true))] {
        let told = caller(&[http_service("shop/a"), service.clone(), plugin("shop/p", &format!("match: [{{mode: {mode}}}]"))]);
        let has = |listener: &str| told.http(listener).http_filters.iter().any(|filter| filter.name == "shop.p");
        assert_eq!((has("0.0.0.0_80"), has("virtualInbound")), sees, "{mode}");
    }
}

#[test]
fn without_a_plugin_there_is_none_and_no_configuration_of_one() {
    assert_eq!(outbound(&[]), ["fault", "router"]);
    assert_eq!(caller(&[http_service("shop/a")]).names(Type::ExtensionConfig), Vec::<String>::new());
}

#[test]
fn a_native_filter_stands_between_canary_and_locality_and_the_zone_becomes_metadata_last() {
    let found = outbound(&[locality("shop/l", "a"), canary("shop/z", "a")]);
    assert_eq!(found, ["shop.z", "fault", "shop.l", "header_to_metadata", "router"]);
}

#[test]
fn weirs_filters_run_next_to_the_route_alone_from_their_modules_with_a_vm_of_their_own() {
    let service = service("shop/caller", "10.0.0.5", "[{name: http, port: 90, targetPort: 8080}]");
    let told = caller(&[http_service("shop/a"), service, canary("shop/c", "a")]);
    assert!(told.http("virtualInbound").http_filters.iter().all(|filter| filter.name != "shop.c"));
    let wasm = format!("{:?}", Wasm::decode(told.extension("shop.c").unwrap().typed_config.unwrap().value.as_slice()).unwrap());
    assert!(wasm.contains("/modules/weir-canary.wasm") && wasm.contains("vm_id: \"weir-canary\""), "{wasm}");
}

#[test]
fn a_module_with_another_digest_than_its_plugin_names_does_not_run() {
    let image = |digest: &str| [http_service("shop/a"), canary("shop/c", "a") + &format!("  sha256: '{digest}'\n")].concat();
    let with = |digest: &str| image(digest).replace("oci://hub/weir-canary:v1", "file:///etc/weir/weir-canary.wasm");
    for (digest, expected) in [("00AB", &["shop.c", "fault", "router"][..]), ("00ac", &["fault", "router"])] {
        assert_eq!(outbound(&[with(digest)]), expected, "{digest}");
    }
    assert_eq!(findings(&[&with("00ab")]), [""; 0]);
    let expected = "WasmPlugin shop/c spec.sha256: the module weir-canary has the digest 00ab, not 00ac; the plugin has no effect";
    let found = findings(&[&with("00ac")]);
    assert!(found.len() == 1 && found[0].contains(": error ") && found[0].ends_with(expected), "{found:?}");
    assert_eq!(outbound(&[image("00ac")]).len(), 3, "the digest is the image's");
    let foreign = [http_service("shop/a"), plugin("shop/p", "sha256: '00'")].concat();
    for (text, name) in [(&image("00ac"), "c"), (&foreign, "p")] {
        let found = findings(&[text]);
        assert!(found.len() == 1 && found[0].contains(&format!(": warning [IST0106] WasmPlugin shop/{name} spec.sha256: ")), "{found:?}");
    }
}

#[test]
fn a_canary_filter_runs_on_the_routes_of_its_hosts_alone() {
    let told = caller(&[http_service("shop/a"), http_service("shop/b"), canary("shop/c", "a")]);
    let filter = told.http("0.0.0.0_80").http_filters.remove(0);
    assert!(filter.disabled, "{filter:?}");
    let runs = |host: &str| told.routes("80", host).iter().all(|route| route.typed_per_filter_config.contains_key(&filter.name));
    let [a, b] = ["a", "b"].map(|name| format!("{name}.shop.svc.cluster.local:80"));
    assert_eq!((runs(&a), runs(&b), runs("allow_any")), (true, false, false));
    assert_eq!(told.plugin_config(&filter.name)["routed"], true);
}

#[test]
fn a_canary_policy_is_sent_the_full_names_of_the_destinations() {
    let spec =
        "hosts: [a]\nhttp: [{route: [{destination: {host: b}, weight: 1}, {destination: {host: c.prod.svc.cluster.local}, weight: 1}]}]";
    let told = caller(&[http_service("shop/a"), http_service("shop/b"), virtual_service("shop/a", spec), canary("shop/c", "a")]);
    let hosts = &told.plugin_config("shop.c")["canaries"][0]["hosts"];
    assert_eq!(*hosts, serde_json::json!(["a.shop.svc.cluster.local", "b.shop.svc.cluster.local", "c.prod.svc.cluster.local"]));
}

#[test]
fn a_locality_policy_is_sent_the_nodes_place_and_the_other_zones_nearest_first() {
    let at = |name: &str, ip: &str, region: &str, zone: &str| pod(&format!("shop/{name}"), ip, &format!("app: a, {}", place(region, zone)));
    let objects = [
        pod("shop/own", "10.1.0.1", &format!("app: own, {}", place("r", "b"))),
        http_service("shop/a"),
        at("a1", "10.2.0.1", "s", "a"),
        at("a2", "10.2.0.2", "r", "c"),
        at("a3", "10.2.0.3", "r", "b"),
        at("a4", "10.2.0.4", "r", "a"),
        locality("shop/l", "a"),
    ];
    let told = sidecar(&build(&[&objects.concat()]).0, "shop/own");
    let expected = serde_json::json!({
        "version": 1, "routed": true, "locality": {"region": "r", "zone": "b"},
        "services": [{"hosts": ["a.shop.svc.cluster.local"], "zones": [["r/a", "r/c"], ["s/a"]]}],
    });
    assert_eq!(told.plugin_config("shop.l"), expected);
}

#[test]
fn each_service_of_a_locality_policy_is_looked_at_on_its_own() {
    let objects = [http_service("shop/a"), http_service("shop/b"), locality("shop/l", "a, b")].concat();
    let services = caller(&[objects]).plugin_config("shop.l")["services"].clone();
    assert_eq!(services.as_array().unwrap().len(), 2);
}

#[test]
fn what_a_rule_distributes_is_not_spilled() {
    let spills = locality("shop/l", "a").replace("servedBy: true", "spill: {targetUtilization: 0.7}");
    let rule = |setting: &str| {
        let policy = format!("host: a\ntrafficPolicy: {{loadBalancer: {{localityLbSetting: {{{setting}}}}}}}");
        istio("DestinationRule", "shop/a", &policy)
    };
    let spill =
        |rule: String| caller(&[http_service("shop/a"), spills.clone(), rule]).plugin_config("shop.l")["services"][0]["spill"].clone();
    assert_eq!(spill(rule("enabled: true")), serde_json::json!({"targetUtilization": 0.7}));
    assert_eq!(spill(rule("distribute: [{from: '*', to: {'r/*': 100}}]")), serde_json::Value::Null);
}

#[test]
fn zones_come_in_the_order_of_failover_priority() {
    let at = |name: &str, ip: &str, zone: &str, net: &str| {
        pod(&format!("shop/{name}"), ip, &format!("app: a, net: '{net}', {}", place("r", zone)))
    };
    let rule = "host: a\ntrafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: [net]}}}";
    let objects = [
        pod("shop/own", "10.1.0.1", &format!("app: own, net: '1', {}", place("r", "a"))),
        http_service("shop/a"),
        at("a1", "10.2.0.1", "b", "2"),
        at("a2", "10.2.0.2", "c", "1"),
        at("a3", "10.2.0.3", "c", "2"),
        istio("DestinationRule", "shop/a", rule),
        locality("shop/l", "a"),
    ];
    let told = sidecar(&build(&[&objects.concat()]).0, "shop/own");
    assert_eq!(told.plugin_config("shop.l")["services"][0]["zones"], serde_json::json!([["r/c"], ["r/b"]]));
}

#[test]
fn who_served_is_told_by_envoy_itself() {
    let objects = [http_service("shop/a"), pod("shop/one", "10.2.0.1", &format!("app: a, {}", place("r", "z"))), locality("shop/l", "a")];
    let told = caller(&objects);
    let route = told.routes("80", "a.shop.svc.cluster.local:80").remove(0);
    let header = route.response_headers_to_add[0].header.clone().unwrap();
    assert_eq!((header.key.as_str(), header.value.as_str()), ("x-weir-served-by", "%UPSTREAM_HOST_NAME%"));
    assert!(format!("{:?}", told.assignment("outbound|80||a.shop.svc.cluster.local")).contains(r#"hostname: "z/10.2.0.1:8080""#));
}

#[test]
fn a_filter_of_ours_runs_on_the_routes_of_its_hosts_alone() {
    let told = caller(&[http_service("shop/a"), http_service("shop/b"), locality("shop/l", "a")]);
    let filters = told.http("0.0.0.0_80").http_filters;
    assert!(filters.iter().any(|filter| filter.name == "shop.l" && filter.disabled));
    let runs = |host: &str| told.routes("80", host).remove(0).typed_per_filter_config.contains_key("shop.l");
    assert_eq!((runs("a.shop.svc.cluster.local:80"), runs("b.shop.svc.cluster.local:80")), (true, false));
}

#[test]
fn a_locality_policy_gives_clusters_priorities_and_zones_to_choose_from() {
    let cluster = "outbound|80||a.shop.svc.cluster.local";
    let objects = [http_service("shop/a"), pod("shop/one", "10.2.0.1", &format!("app: a, {}", place("r", "z")))];
    let with = caller(&[objects.concat(), locality("shop/l", "a")]);
    let balancer = |told: &Told| format!("{:?}", told.cluster(cluster).unwrap().load_balancing_policy);
    assert!(balancer(&with).contains("envoy.load_balancing_policies.subset"));
    assert!(format!("{:?}", with.assignment(cluster)).contains("r/z"), "the endpoints' metadata");
    let again = caller(&[objects.concat(), locality("shop/l", "a")]);
    assert_eq!(with.0, again.0, "maps are encoded in one order");
    let route = with.routes("80", "a.shop.svc.cluster.local:80").remove(0);
    assert!(format!("{:?}", action(&route).metadata_match).contains("fallback_list"));
    let without = caller(&objects);
    assert!(balancer(&without).contains("least_request") && !format!("{:?}", without.assignment(cluster)).contains("r/z"));
}

#[test]
fn steering_headers_from_outside_are_removed_before_any_filter_and_never_leave() {
    let told = caller(&[http_service("shop/a"), service("shop/caller", "10.0.0.5", "[{name: http, port: 90, targetPort: 8080}]")]);
    for listener in ["0.0.0.0_80", "virtualInbound"] {
        let early = format!("{:?}", told.http(listener).early_header_mutation_extensions);
        assert!(early.contains("envoy.http.early_header_mutation.header_mutation"), "{listener}");
    }
    let removed = told.route_configuration("80").unwrap().request_headers_to_remove;
    assert_eq!(removed, ["x-weir-bucket", "x-weir-subset", "x-weir-zone"]);
}

/// The code of a plugin's filter, and whether the proxy rejects it while it lacks the module.
fn code(resource: &weir_mesh::snapshot::Resource) -> (String, bool) {
    let extension = envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig::decode(resource.body.clone()).unwrap();
    let wasm = Wasm::decode(extension.typed_config.unwrap().value.as_slice()).unwrap().config.unwrap();
    let Some(plugin_config::Vm::VmConfig(vm)) = wasm.vm else { panic!("no VM") };
    let place = match vm.code.unwrap().specifier.unwrap() {
        Specifier::Local(source) => format!("{:?}", source.specifier.unwrap()),
        Specifier::Remote(source) => format!("{} is {}", source.http_uri.unwrap().uri, source.sha256),
    };
    (place, vm.nack_on_code_cache_miss)
}

#[test]
fn a_proxy_that_lacks_a_module_gets_it_from_the_control_plane() {
    let objects = [http_service("shop/a"), pod("shop/caller", "10.1.0.1", "app: caller"), canary("shop/p", "a")].concat();
    let modules = [("weir-canary".to_string(), Module::Served { sha256: "00ab".into() })].into();
    let mesh = mesh::build(&Objects::default().update(read(&[&objects])), &Options { modules, ..options() }).0;
    let resource = |has: &[&str]| {
        let modules = has.iter().map(|sha256| sha256.to_string()).collect();
        let node = Node { modules, .."sidecar~10.1.0.1~caller.shop~shop.svc.cluster.local".parse().unwrap() };
        let snapshot = weir_mesh::snapshot::build(&mesh, &node);
        snapshot.resources[&Type::ExtensionConfig]["shop.p"].clone()
    };
    let near = resource(&["00ab", "00cd"]);
    assert_eq!(code(&near), (r#"Filename("/etc/weir/proxy/modules/00ab.wasm")"#.into(), false));
    assert_eq!(near.update(7), near);
    let far = resource(&["00cd"]);
    assert_eq!(code(&far), ("https://weir/modules/00ab.wasm is 00ab".into(), false), "its listener waits for it");
    let update = far.update(7);
    assert_eq!(code(&update), ("https://weir/modules/00ab.wasm?attempt=7 is 00ab".into(), true));
    assert_eq!((&update.version, update.body == far.update(8).body), (&far.version, false));
}

#[test]
fn what_is_pulled_is_told_by_url_digest_and_where_the_policy_is_always_by_object_and_generation() {
    let source = |fields: &str| {
        let objects = Objects::default().update(read(&[&plugin("shop/p", "").replace("url: file:///m.wasm", fields)]));
        let found = objects.iter().find_map(|object| pull::source(object));
        found.map(|source| (source.sha256, source.revision))
    };
    let (once, always) =
        (|sha256: &str| Some((sha256.to_string(), String::new())), Some((String::new(), "WasmPlugin shop/p 0".to_string())));
    for (fields, expected) in [
        ("url: oci://hub/m:v1", once("")),
        ("url: hub.example/m:v1\n  sha256: AB", once("ab")),
        ("url: oci://hub:5000/m", always.clone()),
        ("url: oci://hub/m:latest", always.clone()),
        ("url: oci://hub/m:latest\n  imagePullPolicy: IfNotPresent", once("")),
        ("url: oci://hub/m:v1\n  imagePullPolicy: Always", always.clone()),
        ("url: oci://hub/m@sha256:00", once("")),
        ("url: https://hub/m.wasm", always.clone()),
        ("url: https://hub/m.wasm\n  sha256: ab", once("ab")),
        ("url: file:///m.wasm", None),
        ("url: ftp://hub/m.wasm", None),
        ("url: oci://hub/weir-canary:v1", None),
    ] {
        assert_eq!(source(fields), expected, "{fields}");
    }
}

#[test]
fn a_plugin_whose_module_cannot_be_pulled_fails_as_it_says() {
    let found = |fields: &str, severity| {
        let text = plugin("shop/p", "").replace("url: file:///m.wasm", &format!("url: oci://hub/m:v1\n  {fields}"));
        let objects = [http_service("shop/a"), pod("shop/caller", "10.1.0.1", "app: caller"), text].concat();
        let objects = Objects::default().update(read(&[&objects]));
        let source = objects.iter().find_map(|object| pull::source(object)).unwrap();
        let pulled = pull::Pulled { source, module: None, problem: Some((severity, "no".into())) };
        let pulls = Pulls::Known(Arc::new([("WasmPlugin shop/p".to_string(), pulled)].into()));
        let (mesh, findings) = mesh::build(&objects, &Options { pulls, ..options() });
        let filter = sidecar(&mesh, "shop/caller").extension("shop.p").map(|filter| filter.typed_config.unwrap().type_url);
        (findings[0].message.clone(), filter)
    };
    let fault = Some("type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault".to_string());
    let (closed, no_effect) = ("no; requests get 503, since its failStrategy is not FAIL_OPEN", "no; the plugin has no effect");
    assert_eq!(found("", Severity::Error), (closed.into(), fault.clone()));
    assert_eq!(found("failStrategy: FAIL_RELOAD", Severity::Error), (closed.into(), fault));
    assert_eq!(found("failStrategy: FAIL_OPEN", Severity::Error), (no_effect.into(), None));
    assert_eq!(found("", Severity::Warning), (no_effect.into(), None), "it is on its way");
}

#[test]
fn a_plugin_whose_module_nobody_pulls_has_no_effect_and_says_why() {
    for (fields, expected) in [
        (
            "url: oci://hub/m:v1",
            "warning WasmPlugin shop/p spec.url: modules are pulled on a cluster alone; here the url begins with file://; the plugin has no effect",
        ),
        (
            "url: ftp://hub/m",
            r#"warning WasmPlugin shop/p spec.url: "ftp://hub/m" is no url of a module: expected oci://, https://, http:// or file://; the plugin has no effect"#,
        ),
        (
            "url: file:///m.wasm\n  imagePullSecret: s",
            "warning WasmPlugin shop/p spec.imagePullSecret: Weir may not read Secrets, so the image is pulled without credentials; the field has no effect",
        ),
    ] {
        let found = findings(&[&plugin("shop/p", "").replace("url: file:///m.wasm", fields)]);
        assert!(found.len() == 1 && found[0].ends_with(expected.trim_start_matches("warning ")), "{found:?}");
    }
}
