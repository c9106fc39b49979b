//! Gateways: selection, ports, hosts, and routes of several VirtualServices for one host.

use crate::support::*;
use weir_mesh::mesh::Mesh;
use weir_mesh::snapshot::Type;

fn gateway(at: &str, port: u16, hosts: &str) -> String {
    istio(
        "Gateway",
        at,
        &format!("selector: {{istio: gw}}\nservers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: [{hosts}]}}]"),
    )
}

/// The gateway's pod in `edge` and two services, with more objects.
fn mesh(objects: &[String]) -> Mesh {
    let base = [pod("edge/gw", "10.1.0.9", "istio: gw"), http_service("shop/a"), http_service("shop/b")].concat();
    build(&[&format!("{base}{}", objects.concat())]).0
}

fn told(objects: &[String]) -> Told {
    router(&mesh(objects), "edge/gw")
}

/// A VirtualService of `shop` for a gateway, created at a second.
fn route(second: u32, name: &str, host: &str, matched: &str, to: &str) -> String {
    let http = format!("{{name: {name}, match: [{matched}], route: [{{destination: {{host: {to}}}}}]}}");
    istio_since(second, "VirtualService", &format!("shop/{name}"), &format!("hosts: ['{host}']\ngateways: [edge/gw]\nhttp: [{http}]"))
}

// 7
#[test]
fn on_a_host_routes_append_oldest_first_and_catch_alls_move_to_the_end() {
    let told = told(&[
        gateway("edge/gw", 80, "'*'"),
        route(1, "all", "a.example", "{uri: {prefix: /}}", "a"),
        route(3, "late", "a.example", "{uri: {prefix: /late}}", "b"),
        route(2, "early", "a.example", "{uri: {exact: /early}}", "b"),
    ]);
    let routes = told.routes("http.80", "a.example:80");
    assert_eq!(lines(&routes), ["early /early -> 80||b.shop", "late /late* -> 80||b.shop", "all /* -> 80||a.shop"]);
    let names: Vec<_> = routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["early", "early", "late", "late", "all", "all"], "also the catch-all's variant for GET and HEAD");
}

// 7
#[test]
fn of_equal_age_the_name_decides_and_several_gateways_of_a_port_join() {
    let both = |name: &str, gateway: &str, to: &str| {
        let spec = format!(
            "hosts: [a.example]\ngateways: [{gateway}]\nhttp: [{{name: {name}, match: [{{uri: {{exact: /{name}}}}}], route: [{{destination: {{host: {to}}}}}]}}]"
        );
        virtual_service(&format!("shop/{name}"), &spec)
    };
    let told = told(&[
        gateway("edge/gw", 80, "a.example"),
        gateway("edge/other", 80, "'*'"),
        both("y", "edge/gw", "a"),
        both("x", "edge/gw", "a"),
        both("z", "edge/other", "b"),
    ]);
    assert_eq!(lines(&told.routes("http.80", "a.example:80")), ["x /x -> 80||a.shop", "y /y -> 80||a.shop", "z /z -> 80||b.shop"]);
}

#[test]
fn a_host_that_two_servers_have_has_its_routes_once() {
    let twice = istio(
        "Gateway",
        "edge/gw",
        "selector: {istio: gw}\nservers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}, {port: {number: 80, protocol: HTTP}, hosts: [a.example]}]",
    );
    let told = told(&[twice, route(1, "all", "a.example", "{uri: {prefix: /x}}", "a")]);
    assert_eq!(lines(&told.routes("http.80", "a.example:80")), ["all /x* -> 80||a.shop"]);
}

// 1
#[test]
fn a_gateway_is_named_within_the_namespace_or_in_full() {
    let own = |name: &str| {
        let spec = format!("hosts: ['*']\ngateways: [{name}]\nhttp: [{{route: [{{destination: {{host: a.shop.svc.cluster.local}}}}]}}]");
        told(&[gateway("edge/gw", 80, "'*'"), virtual_service("edge/v", &spec)]).virtual_hosts("http.80").len()
    };
    for (name, hosts) in [("gw", 1), ("./gw", 1), ("edge/gw", 1), ("other/gw", 0), ("mesh", 0)] {
        assert_eq!(own(name), hosts, "{name}");
    }
}

// 5
#[test]
fn a_virtual_service_counts_where_it_is_exported_to_the_gateways_namespace() {
    for (export, hosts) in [("'*'", 1), ("edge", 1), ("'.'", 0), ("shop", 0)] {
        let spec = format!("hosts: ['*']\ngateways: [edge/gw]\nexportTo: [{export}]\nhttp: [{{route: [{{destination: {{host: a}}}}]}}]");
        let told = told(&[gateway("edge/gw", 80, "'*'"), virtual_service("shop/v", &spec)]);
        assert_eq!(told.virtual_hosts("http.80").len(), hosts, "{export}");
    }
}

#[test]
fn the_narrower_of_the_servers_host_and_the_routes_is_served() {
    for (server, host, expected) in [
        ("'*'", "a.example", vec!["a.example"]),
        ("'*.example'", "*", vec!["*.example"]),
        ("a.example, b.example", "*.example", vec!["a.example", "b.example"]),
        ("a.example", "b.example", vec![]),
        ("shop/a.example", "a.example", vec!["a.example"]),
        ("./a.example", "a.example", vec![]),
    ] {
        let told = told(&[gateway("edge/gw", 80, server), route(1, "r", host, "{uri: {prefix: /}}", "a")]);
        let domains: Vec<_> = told.virtual_hosts("http.80").into_iter().flat_map(|host| host.domains).collect();
        assert_eq!(domains, expected, "{server} {host}");
    }
}

// 22
#[test]
fn a_port_is_bound_where_the_service_leads_to_else_as_it_is() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: edge}\nspec: {selector: {istio: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}\n";
    let through = told(&[gateway("edge/gw", 80, "'*'"), service.to_string()]);
    assert_eq!(
        (through.names(Type::Listener), through.names(Type::RouteConfiguration)),
        (vec!["0.0.0.0_8080".to_string()], vec!["http.8080".to_string()])
    );
    assert_eq!(told(&[gateway("edge/gw", 9080, "'*'"), service.to_string()]).names(Type::Listener), ["0.0.0.0_9080"]);
}

// 22
#[test]
fn two_ports_that_lead_to_one_share_its_listener() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: edge}\nspec: {selector: {istio: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}\n";
    let other = route(1, "direct", "b.example", "{uri: {prefix: /}}", "b").replace("edge/gw", "edge/direct");
    let told = told(&[
        gateway("edge/gw", 80, "a.example"),
        gateway("edge/direct", 8080, "b.example"),
        service.to_string(),
        route(1, "through", "a.example", "{uri: {prefix: /}}", "a"),
        other,
    ]);
    assert_eq!(told.names(Type::Listener), ["0.0.0.0_8080"]);
    let names: Vec<_> = told.virtual_hosts("http.8080").into_iter().map(|host| host.name).collect();
    assert_eq!(names, ["a.example:8080", "b.example:8080"]);
}

// 22
#[test]
fn the_selector_matches_workloads_of_any_namespace_and_no_others() {
    let mesh = mesh(&[gateway("far/gw", 80, "'*'"), pod("edge/other", "10.1.0.8", "istio: other")]);
    assert_eq!(router(&mesh, "edge/gw").names(Type::Listener), ["0.0.0.0_80"]);
    assert_eq!(router(&mesh, "edge/other").names(Type::Listener), Vec::<String>::new());
}

#[test]
fn an_https_redirect_asks_for_tls_and_a_server_of_tls_is_reported() {
    let redirecting = istio(
        "Gateway",
        "edge/gw",
        "selector: {istio: gw}\nservers: [{port: {number: 80, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}, {port: {number: 443, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}]",
    );
    let found = told(&[redirecting.clone(), route(1, "r", "a.example", "{uri: {prefix: /}}", "a")]);
    assert_eq!(found.virtual_hosts("http.80")[0].require_tls, 2, "all");
    assert!(findings(&[&redirecting])[0].contains("spec.servers[1].port.protocol: Weir serves no HTTPS"));
}

#[test]
fn a_gateway_passes_bytes_where_a_tcp_route_leads() {
    let tcp = "selector: {istio: gw}\nservers: [{port: {number: 3306, protocol: TCP}, hosts: ['*']}]";
    let spec = "hosts: ['*']\ngateways: [edge/gw]\ntcp: [{match: [{port: 3306}], route: [{destination: {host: a, port: {number: 80}}}]}]";
    let told = told(&[istio("Gateway", "edge/gw", tcp), virtual_service("shop/v", spec)]);
    assert!(format!("{:?}", told.listener("0.0.0.0_3306").unwrap()).contains("tcp_proxy"));
}

#[test]
fn hosts_have_no_case() {
    let gateway = gateway("edge/gw", 80, "Shop.example, shop.example");
    let found = told(&[gateway, route(1, "r", "shop.example", "{uri: {prefix: /}}", "a")]);
    assert_eq!(found.domains("http.80", "shop.example:80"), ["shop.example"], "twice would make Envoy refuse the port");
    assert_eq!(lines(&found.routes("http.80", "shop.example:80")).len(), 1);
}

#[test]
fn an_https_redirect_holds_for_hosts_without_routes_too() {
    let redirecting = istio(
        "Gateway",
        "edge/gw",
        "selector: {istio: gw}\nservers: [{port: {number: 80, protocol: HTTP}, hosts: [shop/r.example], tls: {httpsRedirect: true}}]",
    );
    let found = told(&[redirecting]);
    let hosts = found.virtual_hosts("http.80");
    assert_eq!((hosts.len(), hosts[0].domains[0].as_str(), hosts[0].require_tls), (1, "r.example", 2));
}

// 8
#[test]
fn a_regular_expression_of_anything_is_a_catch_all() {
    let gateway = gateway("edge/gw", 80, "'*'");
    let any = route(1, "any", "a.example", "{uri: {regex: '.*'}}", "a");
    let special = route(2, "special", "a.example", "{uri: {prefix: /special}}", "b");
    assert_eq!(
        lines(&told(&[gateway, any, special]).routes("http.80", "a.example:80")),
        ["special /special* -> 80||b.shop", "any ~.* -> 80||a.shop"]
    );
}

#[test]
fn a_gateway_trusts_as_many_proxies_in_front_of_it_as_its_pod_says() {
    let of = |role: fn(&Mesh, &str) -> Told, config: &str| {
        let annotations = format!("namespace: edge, annotations: {{proxy.istio.io/config: '{config}'}}");
        let gw = pod("edge/gw", "10.1.0.9", "istio: gw").replace("namespace: edge", &annotations);
        let (mesh, findings) = build(&[&[gw, http_service("shop/a"), gateway("edge/gw", 80, "'*'")].concat()]);
        let manager = role(&mesh, "edge/gw").http("0.0.0.0_80");
        let findings: Vec<_> = findings.iter().map(ToString::to_string).filter(|finding| finding.contains("proxy.istio.io")).collect();
        (manager.use_remote_address.unwrap().value, manager.xff_num_trusted_hops, findings)
    };
    for (config, expected) in [
        ("gatewayTopology: {numTrustedProxies: 2}", 2),
        (r#"{"concurrency": 4, "gatewayTopology": {"numTrustedProxies": 1}}"#, 1),
        ("gatewayTopology: {numTrustedProxies: 0}", 0),
        ("concurrency: 4", 0),
        ("concurrency: many", 0),
    ] {
        assert_eq!(of(router, config), (true, expected, vec![]), "{config}");
    }
    assert_eq!(of(sidecar, "gatewayTopology: {numTrustedProxies: 2}"), (false, 0, vec![]));
    let (_, trusted, findings) = of(router, "gatewayTopology: {numTrustedProxies: -1}");
    let expected = "warning Pod edge/gw metadata.annotations.proxy.istio.io/config: gatewayTopology.numTrustedProxies: invalid value: \
                    integer `-1`, expected u32; no proxy in front of it is trusted";
    assert!(trusted == 0 && findings.len() == 1 && findings[0].ends_with(expected), "{findings:?}");
}
