//! Findings: names that lead nowhere, and objects that are refused.

use crate::support::*;
use std::path::Path;
use weir_mesh::finding::Severity;
use weir_mesh::mesh;
use weir_mesh::object::{self, Objects, SourceFile};

/// The demos' files, with a change to one of them, and what is found.
fn demos(file: &str, from: &str, to: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/demos");
    let mut files = Vec::new();
    for demo in ["bookinfo", "canary", "locality"] {
        for name in ["apps.yaml", "traffic.yaml", "weir.yaml"] {
            let path = format!("{demo}/{name}");
            if let Ok(mut text) = std::fs::read_to_string(folder.join(&path)) {
                if path == file {
                    assert!(text.contains(from), "{path} has no {from:?}");
                    text = text.replacen(from, to, 1);
                }
                files.push(SourceFile { path: path.into(), text });
            }
        }
    }
    assert_eq!(files.len(), 8);
    let mut read = object::read(&files);
    let mut found = std::mem::take(&mut read.findings);
    found.extend(mesh::build(&Objects::default().update(read), &options()).1);
    found.iter().map(ToString::to_string).collect()
}

/// The line (from 1) of the first of a file's lines that holds a text.
fn line_of(file: &str, text: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/demos").join(file);
    std::fs::read_to_string(path).unwrap().lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn nothing_is_wrong_with_the_demos() {
    assert_eq!(demos("", "", ""), Vec::<String>::new());
}

#[test]
fn a_misspelt_host_subset_or_gateway_is_found_at_its_line() {
    let file = "bookinfo/traffic.yaml";
    for (text, from, to, expected) in [
        (
            "host: productpage",
            "host: productpage",
            "host: prodctpage",
            "warning [IST0101] VirtualService bookinfo/bookinfo spec.http[0].route[0].destination.host: there is no service prodctpage.bookinfo.svc.cluster.local; the route answers 503 (is productpage.bookinfo.svc.cluster.local meant?)",
        ),
        (
            "subset: v2",
            "subset: v2",
            "subset: v22",
            "warning [IST0101] VirtualService bookinfo/reviews spec.http[0].route[0].destination.subset: no DestinationRule for reviews.bookinfo.svc.cluster.local lists the subset \"v22\"; the route answers 503",
        ),
        (
            "- bookinfo-gateway",
            "- bookinfo-gateway",
            "- bookinfo-gatewy",
            "warning [IST0101] VirtualService bookinfo/bookinfo spec.gateways[0]: there is no Gateway bookinfo/bookinfo-gatewy, so the routes have no effect there: check the name, or write NAMESPACE/NAME",
        ),
    ] {
        let found = demos(file, from, to);
        assert_eq!(found.len(), 1, "{found:?}");
        let start = format!("{file}:{}:", line_of(file, text));
        assert!(found[0].starts_with(&start), "{} does not start with {start}", found[0]);
        assert_eq!(found[0].split_once(": ").unwrap().1, expected);
    }
}

#[test]
fn three_misspelt_names_are_three_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/demos/bookinfo");
    let [apps, traffic] = ["apps.yaml", "traffic.yaml"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    let broken =
        traffic.replacen("host: productpage", "host: x", 1).replacen("subset: v2", "subset: x", 1).replacen("- bookinfo-gateway", "- x", 1);
    let found = findings(&[&apps, &broken]);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn only_the_route_to_a_missing_host_answers_503() {
    let http = "[{match: [{uri: {exact: /a}}], route: [{destination: {host: nowhere}}]}, {route: [{destination: {host: a}}]}]";
    let told = caller(&[http_service("shop/a"), virtual_service("shop/a", &format!("hosts: [a]\nhttp: {http}"))]);
    let found = lines(&told.routes("80", "a.shop.svc.cluster.local:80"));
    assert_eq!(found, ["/a -> 80||nowhere.shop", "/* -> 80||a.shop"]);
    assert_eq!(told.cluster("outbound|80||nowhere.shop.svc.cluster.local"), None, "so Envoy answers 503");
}

#[test]
fn all_places_that_name_hosts_are_looked_at() {
    let http = "[{route: [{destination: {host: a, port: {number: 81}}}], mirror: {host: m1}, mirrors: [{destination: {host: m2}}]}]";
    let objects = [
        http_service("shop/a"),
        virtual_service("shop/a", &format!("hosts: [a]\nhttp: {http}\ntcp: [{{route: [{{destination: {{host: t}}}}]}}]")),
        rule("shop/r", "host: nowhere"),
    ];
    let found = findings(&[&objects.concat()]);
    for part in [
        "DestinationRule shop/r spec.host: there is no service nowhere.shop.svc.cluster.local",
        "spec.http[0].route[0].destination.port.number: the service a.shop.svc.cluster.local has no port 81",
        "spec.http[0].mirror.host: there is no service m1",
        "spec.http[0].mirrors[0].destination.host: there is no service m2",
        "spec.tcp[0].route[0].destination.host: there is no service t",
    ] {
        assert!(found.iter().any(|finding| finding.contains(part)), "{part}: {found:?}");
    }
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn hosts_and_gateways_that_lead_nowhere_are_found() {
    let gateway = "selector: {istio: gw}\nservers: [{port: {number: 80, protocol: HTTP}, hosts: [a.example]}, {port: {number: 80, protocol: TCP}, hosts: ['*']}]";
    let route = "http: [{route: [{destination: {host: reviews}}]}]";
    let base = [http_service("shop/reviews"), service("shop/two", "10.0.0.7", "[{name: http-a, port: 8080}, {name: http-b, port: 9090}]")];
    for (objects, expected) in [
        (
            vec![virtual_service("shop/v", &format!("hosts: [reviewz]\n{route}"))],
            vec![
                "[IST0101] VirtualService shop/v spec.hosts[0]: there is no service reviewz.shop.svc.cluster.local, so no request has this host (is reviews.shop.svc.cluster.local meant?)",
            ],
        ),
        (
            vec![virtual_service("shop/v", &format!("hosts: [reviews.shop, api.example]\n{route}"))],
            vec![
                "[IST0101] VirtualService shop/v spec.hosts[0]: this is the host reviews.shop alone, and not the service: for that, write reviews.shop.svc.cluster.local",
            ],
        ),
        (
            vec![istio("Gateway", "shop/g", gateway), virtual_service("shop/v", &format!("hosts: [b.example]\ngateways: [g]\n{route}"))],
            vec![
                "spec.servers[1].port.protocol: another server of this Gateway has HTTP on port 80",
                "[IST0132] VirtualService shop/v spec.hosts[0]: Gateway shop/g has no server for b.example",
            ],
        ),
        (
            vec![virtual_service(
                "shop/v",
                "hosts: [reviews]\nhttp: [{match: [{gateways: [mesh, gww]}], route: [{destination: {host: reviews}}]}]",
            )],
            vec!["spec.http[0].match[0].gateways[1]: there is no Gateway shop/gww"],
        ),
        (
            vec![
                virtual_service("shop/a", &format!("hosts: [reviews]\n{route}")),
                virtual_service("shop/b", &format!("hosts: [reviews]\n{route}")),
            ],
            vec!["[IST0109] VirtualService shop/b spec.hosts[0]: VirtualService shop/a has this host already"],
        ),
        (
            vec![virtual_service("shop/v", "hosts: [reviews]\nhttp: [{route: [{destination: {host: two}}], mirror: {host: nope}}]")],
            vec![
                "spec.http[0].mirror.host: there is no service nope.shop.svc.cluster.local; nothing is mirrored",
                "[IST0112] VirtualService shop/v spec.http[0].route[0].destination: the service two.shop.svc.cluster.local has several ports, and none is 80, where requests come in",
            ],
        ),
        (vec![virtual_service("shop/v", "hosts: [two]\nhttp: [{route: [{destination: {host: two}}]}]")], vec![]),
        (
            vec![
                rule("shop/any", "host: '*'\nsubsets: [{name: v1}]"),
                rule("shop/own", "host: reviews"),
                virtual_service("shop/v", "hosts: [reviews]\nhttp: [{route: [{destination: {host: reviews, subset: v1}}]}]"),
            ],
            vec!["spec.http[0].route[0].destination.subset: no DestinationRule for reviews.shop.svc.cluster.local lists the subset \"v1\""],
        ),
    ] {
        let found = findings(&[&[base.concat(), objects.concat()].concat()]);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for part in expected {
            assert!(found.iter().any(|finding| finding.contains(part)), "{part}: {found:#?}");
        }
    }
}

#[test]
fn a_policy_for_a_host_that_is_not_there_is_found() {
    let canary = "url: file:///weir-canary.wasm\npluginConfig: {version: 1, canaries: [{hosts: [a], key: [{cookie: u}]}, {hosts: ['*.example', revews], key: [{cookie: u}]}]}\nmatch: [{mode: CLIENT, ports: [{number: 80}]}]";
    let text = [http_service("shop/a"), http_service("shop/reviews"), istio("WasmPlugin", "shop/c", canary)].concat();
    let found = findings(&[&text]);
    for (finding, part) in found.iter().zip([
        "spec.pluginConfig.canaries[1].hosts[0]: there is no service *.example, so",
        "spec.pluginConfig.canaries[1].hosts[1]: there is no service revews.shop.svc.cluster.local, so the policy has no effect for it (is reviews.shop.svc.cluster.local meant?)",
        "spec.match[0].ports: Weir does not tell ports apart",
    ]) {
        assert!(finding.contains(part), "{part}: {found:?}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn what_envoy_would_refuse_as_a_whole_is_refused_in_its_object() {
    let route = "route: [{destination: {host: a}}]";
    for (http, field) in [
        (format!("[{{match: [{{uri: {{regex: '*'}}}}], {route}}}]"), "http[0].match[0].uri.regex"),
        (format!("[{{match: [{{headers: {{a: {{regex: '('}}}}}}], {route}}}]"), "http[0].match[0].headers.a.regex"),
        (format!("[{{match: [{{headers: {{'a b': {{}}}}}}], {route}}}]"), "http[0].match[0].headers.a b"),
        (format!("[{{match: [{{queryParams: {{a: {{regex: 'a(?=b)'}}}}}}], {route}}}]"), "http[0].match[0].queryParams.a.regex"),
        (format!("[{{{route}, fault: {{abort: {{percentage: {{value: 1}}}}}}}}]"), "http[0].fault.abort"),
        (format!("[{{{route}, fault: {{delay: {{fixedDelay: 0s}}}}}}]"), "http[0].fault.delay.fixedDelay"),
        (format!("[{{{route}, mirror: {{host: a}}, mirrorPercentage: {{value: 101}}}}]"), "http[0].mirrorPercentage.value"),
        (format!("[{{{route}, rewrite: {{uriRegexRewrite: {{match: '[', rewrite: /}}}}}}]"), "http[0].rewrite.uriRegexRewrite.match"),
        (format!("[{{{route}, headers: {{request: {{add: {{'': a}}}}}}}}]"), "http[0].headers.request.add."),
        (format!("[{{{route}, headers: {{response: {{set: {{a: \"1\\n2\"}}}}}}}}]"), "http[0].headers.response.set.a"),
        (format!("[{{{route}, headers: {{response: {{add: {{a: '100%'}}}}}}}}]"), "http[0].headers.response.add.a"),
        (format!("[{{{route}, retries: {{attempts: 1, backoff: 0s}}}}]"), "http[0].retries.backoff"),
        ("[{redirect: {uri: /, redirectCode: 200}}]".into(), "http[0].redirect.redirectCode"),
        ("[{redirect: {}}]".into(), "http[0].redirect"),
        ("[{directResponse: {status: 99}}]".into(), "http[0].directResponse.status"),
        ("[{route: [{destination: {host: 'a b'}}]}]".into(), "http[0].route[0].destination.host"),
        ("[{route: [{destination: {host: '*'}}]}]".into(), "http[0].route[0].destination.host"),
        ("[{}]".into(), "http[0]"),
        (format!("[{{match: [{{uri: {{prefix: ''}}}}], {route}}}]"), "http[0].match[0].uri.prefix"),
        (format!("[{{match: [{{headers: {{a: {{prefix: ''}}}}}}], {route}}}]"), "http[0].match[0].headers.a.prefix"),
        (format!("[{{match: [{{queryParams: {{a: {{prefix: ''}}}}}}], {route}}}]"), "http[0].match[0].queryParams.a.prefix"),
        (format!("[{{match: [{{headers: {{x-a: {{bogus: ''}}}}}}], {route}}}]"), "http[0].match[0].headers.x-a.bogus"),
        ("[{delegate: {name: foo}}]".into(), "http[0].delegate"),
        (format!("[{{{route}, headers: {{request: {{set: {{x-a: {}}}}}}}}}]", "a".repeat(16_385)), "http[0].headers.request.set.x-a"),
        (
            format!("[{{route: [{{destination: {{host: a}}, headers: {{request: {{add: {{x-a: {}}}}}}}}}]}}]", "a".repeat(16_385)),
            "http[0].route[0].headers.request.add.x-a",
        ),
        (format!("[{{{route}, fault: {{abort: {{grpcStatus: NOPE}}}}}}]"), "http[0].fault.abort.grpcStatus"),
        (format!("[{{{route}, fault: {{abort: {{grpcStatus: UNAVAILABLE, httpStatus: 500}}}}}}]"), "http[0].fault.abort"),
        (format!("[{{{route}, fault: {{abort: {{http2Error: x}}}}}}]"), "http[0].fault.abort"),
        (format!("[{{redirect: {{uri: /}}, {route}}}]"), "http[0]"),
    ] {
        let text = format!("{}{}", http_service("shop/a"), virtual_service("shop/v", &format!("hosts: [a]\nhttp: {http}")));
        let found = build(&[&text]).1;
        let errors: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert_eq!(errors.len(), 1, "{http}: {found:?}");
        assert_eq!(errors[0].field, format!("spec.{field}"), "{}", errors[0]);
    }
}

#[test]
fn a_gateway_without_a_protocol_or_with_a_strange_host_is_refused() {
    let found = findings(&[&istio("Gateway", "shop/g", "servers: [{port: {number: 80}, hosts: ['a*b']}]")]);
    assert!(found[0].contains("servers[0].port.protocol") && found[1].contains("servers[0].hosts[0]"), "{found:?}");
}

#[test]
fn a_rule_for_some_workloads_does_not_become_one_for_all() {
    let all = "host: a\ntrafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}";
    let before = Objects::default().update(read(&[&http_service("shop/a"), &rule("shop/r", all)]));
    let some = format!("{all}\nworkloadSelector: {{matchLabels: {{app: b}}}}");
    let read = read(&[&http_service("shop/a"), &rule("shop/r", &some)]);
    let found: Vec<_> = read.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "1/f.yaml:8:21: error [IST0106] DestinationRule shop/r spec.workloadSelector: Weir does not do this yet, and without it the object would mean something else"
        ]
    );
    assert_eq!(before.update(read).iter().count(), 2, "the last good state stays");
}

#[test]
fn what_kubernetes_would_refuse_is_refused() {
    let ports = |ports: &str| service("shop/a", "10.0.0.1", ports);
    let container = "spec: {containers: [{name: app, ports: [{name: web, containerPort: 0}]}]}";
    let deployment =
        format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec: {{selector: {{}}, template: {{{container}}}}}\n");
    for (text, field) in [
        (http_service("shop/'*'"), "metadata.name"),
        (http_service("shop/Upper"), "metadata.name"),
        (http_service("shop/1a"), "metadata.name"),
        (http_service("shop/a.b"), "metadata.name"),
        (http_service(&format!("shop/{}", "a".repeat(64))), "metadata.name"),
        (http_service("shop/''"), "metadata.name"),
        (http_service("Shop/a"), "metadata.namespace"),
        (http_service("a.b/a"), "metadata.namespace"),
        (pod("shop/../a", "10.0.0.1", ""), "metadata.name"),
        (pod("shop/A", "10.0.0.1", ""), "metadata.name"),
        (virtual_service("shop/a_b", "hosts: [a]"), "metadata.name"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n".into(), "metadata.name"),
        (ports("[{port: 0}]"), "spec.ports[0].port"),
        (ports("[{port: 65536}]"), "spec.ports[0].port"),
        (ports("[{port: -1, targetPort: 80}]"), "spec.ports[0].port"),
        (ports("[{port: 80}, {name: b, port: 80}]"), "spec.ports[1].port"),
        (ports("[{port: 80, targetPort: 0}]"), "spec.ports[0].targetPort"),
        (ports("[{port: 80, targetPort: '0'}]"), "spec.ports[0].targetPort"),
        (ports("[{port: 80, targetPort: ''}]"), "spec.ports[0].targetPort"),
        (pod("shop/a", "10.0.0.1", "").replace("containerPort: 8080", "containerPort: 0"), "spec.containers[0].ports[0].containerPort"),
        (deployment, "spec.template.spec.containers[0].ports[0].containerPort"),
    ] {
        let read = read(&[&text]);
        let errors = read.findings.iter().filter(|found| found.severity == Severity::Error);
        let errors: Vec<_> = errors.map(|found| found.field.as_str()).collect();
        assert_eq!((errors, read.objects.len()), (vec![field], 0), "{text}");
    }
}

#[test]
fn names_and_ports_of_all_kinds_are_taken() {
    let udp = "[{port: 53, targetPort: web, protocol: UDP}, {port: 53, targetPort: 65535, protocol: TCP}]";
    let objects = [
        service("shop/a-1", "10.0.0.1", udp),
        pod("shop/1.a-b", "10.0.0.1", ""),
        virtual_service("shop/a.b", "hosts: [a]"),
        "---\napiVersion: networking.k8s.io/v1\nkind: IPAddress\nmetadata: {name: 'fd00::1'}\n".into(),
    ];
    let read = read(&[&objects.concat()]);
    assert_eq!((read.findings.len(), read.objects.len()), (0, 4), "{:?}", read.findings);
}
