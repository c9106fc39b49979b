use super::*;
use crate::up::probe::Action;
use container::{Container, Program};
use env::{Value, Variable};
use gateway::Port;
use std::path::PathBuf;
use weir_mesh::object::{SourceFile, read};

fn planned(yaml: &str, images: &[(&str, &str)], zones: &[&str]) -> Plan {
    let read = read(&[SourceFile { path: PathBuf::from("test.yaml"), text: yaml.into() }]);
    assert_eq!(read.findings, []);
    let images = images.iter().map(|(name, program)| (name.to_string(), program.to_string())).collect();
    let zones = zones.iter().map(|zone| zone.parse().unwrap()).collect();
    plan(&Objects::default().update(read), &Options { zones, images })
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn default_gateway() -> Labels {
    labels(&[("app", "istio-ingressgateway"), ("istio", "ingressgateway")])
}

/// Namespace, slot and kind of each pod.
fn shown(plan: &Plan) -> Vec<(&str, &str, Proxy)> {
    plan.pods.iter().map(|pod| (pod.namespace.as_str(), pod.slot.as_str(), pod.proxy)).collect()
}

const REVIEWS: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: books}
spec:
  selector: {app: reviews}
  ports: [{port: 9080, name: http}, {port: 80, targetPort: 8081}, {port: 53, protocol: UDP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1, namespace: books}
spec:
  replicas: 2
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec:
      containers:
      - name: reviews
        image: docker.io/istio/examples-bookinfo-reviews-v1:1.20.3
        ports: [{containerPort: 9080}]
        command: [/opt/reviews, --color]
        args: [red]
        readinessProbe: {httpGet: {path: /health, port: 9080}, periodSeconds: 2}
";

#[test]
fn a_deployment_becomes_pods_spread_over_the_zones_with_a_stand_in_for_an_unknown_image() {
    let plan = planned(REVIEWS, &[], &["a", "b"]);
    let text = |name: &str, value: &str| Variable { name: name.into(), value: Value::Text(value.into()) };
    let field = |name: &str, value: &str| Variable { name: name.into(), value: Value::Field(value.into()) };
    let pod = |number: usize, zone: &str| Pod {
        namespace: "books".into(),
        slot: format!("reviews-v1-{number}"),
        owner: "reviews-v1".into(),
        proxy: Proxy::Sidecar,
        proxy_ports: vec![],
        labels: labels(&[("app", "reviews"), ("version", "v1")]),
        annotations: Labels::new(),
        zone: zone.parse().unwrap(),
        service_account: "default".into(),
        containers: vec![Container {
            name: "reviews".into(),
            image: "docker.io/istio/examples-bookinfo-reviews-v1:1.20.3".into(),
            program: Program::Sample(["stand-in", "--port", "9080", "--port", "8081"].map(String::from).into()),
            env: vec![
                field("POD_NAME", "metadata.name"),
                field("POD_NAMESPACE", "metadata.namespace"),
                text("ZONE", zone),
                text("SERVICE", "reviews"),
                text("VERSION", "v1"),
            ],
            folder: None,
            ports: vec![(None, 9080)],
            readiness: Some(crate::up::probe::Probe {
                action: crate::up::probe::Action::Tcp(9080),
                initial_delay: Duration::ZERO,
                period: Duration::from_secs(10),
                timeout: Duration::from_secs(1),
                failures: 3,
                successes: 1,
            }),
        }],
        grace: Duration::from_secs(30),
    };
    let service =
        Service { namespace: "books".into(), name: "reviews".into(), address: Address::Any, selector: labels(&[("app", "reviews")]) };
    assert_eq!(plan, Plan { pods: vec![pod(0, "a"), pod(1, "b")], services: vec![service], gateways: vec![], notes: vec![] });
}

#[test]
fn a_mapped_image_runs_its_program_with_the_manifests_arguments_and_probe() {
    let plan = planned(REVIEWS, &[("examples-bookinfo-reviews-v1", "/usr/bin/python3")], &["a"]);
    let container = &plan.pods[0].containers[0];
    assert_eq!(container.program, Program::Local(["/usr/bin/python3", "--color", "red"].map(String::from).into()));
    let probe = container.readiness.clone().unwrap();
    let action = crate::up::probe::Action::Http { port: 9080, path: "/health".into(), headers: vec![] };
    assert_eq!((probe.action, probe.period), (action, Duration::from_secs(2)));
}

#[test]
fn the_sample_image_runs_the_sample_with_the_manifests_arguments() {
    let yaml = "
apiVersion: v1
kind: Pod
metadata: {name: colour, labels: {sidecar.istio.io/inject: \"false\"}}
spec: {terminationGracePeriodSeconds: 3, containers: [{name: app, image: registry/weir-sample:1, args: [colour, --colour, green]}]}
";
    let plan = planned(yaml, &[], &["a"]);
    let [pod] = plan.pods.as_slice() else { panic!("{plan:?}") };
    assert_eq!((pod.slot.as_str(), pod.proxy, pod.grace), ("colour", Proxy::None, Duration::from_secs(3)));
    assert_eq!(pod.containers[0].program, Program::Sample(["colour", "--colour", "green"].map(String::from).into()));
}

#[test]
fn each_gateway_selector_is_one_gateway_with_the_ports_of_all_its_gateways() {
    let yaml = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: books}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: canary, namespace: demo}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [demo/canary.localhost]}
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}
";
    let plan = planned(yaml, &[], &["a"]);
    let port = |target, http, hosts: &[&str]| Port { target, http, hosts: hosts.iter().map(ToString::to_string).collect() };
    let ports = [(80, port(80, true, &["*", "canary.localhost"])), (9000, port(9000, false, &["*"]))].into();
    let unserved = ["port 443: HTTPS is not served yet".to_string()].into();
    let namespaces = ["default".to_string(), "demo".to_string()].into();
    let gateway = gateway::Gateway { name: "istio-ingressgateway".into(), namespaces, selector: default_gateway(), ports, unserved };
    assert_eq!(plan.gateways, [gateway]);
    assert_eq!(shown(&plan), [("istio-system", "istio-ingressgateway-0", Proxy::Gateway)]);
    assert_eq!(plan.gateways[0].ports[&80].urls(8080), ["http://canary.localhost:8080/", "http://127.0.0.1:8080/"]);
    assert_eq!(plan.gateways[0].ports[&9000].urls(8081), ["127.0.0.1:8081"]);
}

#[test]
fn a_gateway_that_a_manifest_deploys_gets_no_second_pod() {
    let yaml = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge, namespace: edge}
spec:
  selector: {matchLabels: {gateway: edge}}
  template:
    metadata: {labels: {gateway: edge}, annotations: {inject.istio.io/templates: gateway}}
    spec: {containers: [{name: istio-proxy, image: auto}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {gateway: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
";
    let plan = planned(yaml, &[], &["a"]);
    let pods: Vec<_> = plan.pods.iter().map(|pod| (pod.namespace.as_str(), pod.slot.as_str(), pod.proxy, pod.containers.len())).collect();
    assert_eq!(pods, [("edge", "edge-0", Proxy::Gateway, 0)]);
}

#[test]
fn services_without_an_address_get_one_and_headless_and_external_ones_none() {
    let service = |name: &str, spec: &str| format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n");
    let yaml = [
        service("a", "{ports: [{port: 80}]}"),
        service("b", "{clusterIP: None, ports: [{port: 80}]}"),
        service("c", "{clusterIP: 10.0.0.7, ports: [{port: 80}]}"),
        service("d", "{type: ExternalName, externalName: example.com}"),
    ];
    let plan = planned(&yaml.concat(), &[], &["a"]);
    let addresses: Vec<_> = plan.services.into_iter().map(|service| (service.name, service.address)).collect();
    let expected =
        [("a", Address::Any), ("b", Address::Headless), ("c", Address::Fixed(Ipv4Addr::new(10, 0, 0, 7))), ("d", Address::Elsewhere)];
    assert_eq!(addresses, expected.map(|(name, address)| (name.to_string(), address)));
}

#[test]
fn what_has_no_effect_here_is_noted_once() {
    let yaml = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: {replicas: 0, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: a}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec:
  initContainers: [{name: first, image: c}]
  volumes: [{name: tmp, emptyDir: {}}, {name: data, configMap: {name: c}}]
  containers:
  - name: app
    image: b
    envFrom: [{secretRef: {name: s}}]
    env:
    - {name: X, valueFrom: {secretKeyRef: {name: s, key: k}}}
    - {name: Y, valueFrom: {fieldRef: {fieldPath: spec.nosuch}}}
";
    let plan = planned(yaml, &[], &["a"]);
    assert_eq!(
        plan.notes,
        [
            "Deployment default/a: 0 replicas, so nothing runs",
            "Pod default/b: envFrom of container app is left out: ConfigMaps and Secrets are not known here",
            "Pod default/b: init containers are left out: first",
            "Pod default/b: variable X of container app is left out: only values and fieldRef are known here",
            "Pod default/b: variable Y of container app is empty: there is no field spec.nosuch here",
            "Pod default/b: volumes are left out: data",
        ]
    );
}

#[test]
fn both_selectors_of_istios_default_gateway_mean_one_pod() {
    let gateway = |name: &str, selector: &str, port: u16| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec: {{selector: {{{selector}}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
"
        )
    };
    let plan = planned(&(gateway("a", "istio: ingressgateway", 80) + &gateway("b", "app: istio-ingressgateway", 81)), &[], &["a"]);
    assert_eq!(shown(&plan), [("istio-system", "istio-ingressgateway-0", Proxy::Gateway)]);
    assert_eq!(plan.pods[0].labels, default_gateway());
    let gateways: Vec<_> = plan.gateways.iter().map(|gateway| (gateway.key(), gateway.ports.keys().copied().collect())).collect();
    assert_eq!(gateways, [("app=istio-ingressgateway,istio=ingressgateway".to_string(), vec![80, 81])]);
}

#[test]
fn pods_that_would_have_one_name_get_two() {
    let yaml = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpbin}
spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: a}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: httpbin-0}
spec: {containers: [{name: app, image: b}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: one}
spec: {selector: {gateway: edge.one}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: two}
spec: {selector: {gateway: edge-one}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
";
    let plan = planned(yaml, &[], &["a"]);
    let pods: Vec<_> = plan.pods.iter().map(|pod| pod.slot.as_str()).collect();
    assert_eq!(pods, ["httpbin-0", "httpbin-0-2", "edge-one-0", "edge-one-0-2"]);
    assert_eq!(
        plan.notes,
        [
            "two pods of namespace default have the name httpbin-0: one is httpbin-0-2 here",
            "two pods of namespace istio-system have the name edge-one-0: one is edge-one-0-2 here",
        ]
    );
}

#[test]
fn a_gateways_port_leads_to_the_target_port_of_its_service() {
    let gateway = |container: &str, target: &str| {
        let yaml = format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: istio-ingressgateway, namespace: istio-system}}
spec:
  selector: {{matchLabels: {{istio: ingressgateway}}}}
  template:
    metadata: {{labels: {{istio: ingressgateway}}, annotations: {{inject.istio.io/templates: gateway}}}}
    spec: {{containers: [{container}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: istio-ingressgateway, namespace: istio-system}}
spec: {{type: LoadBalancer, selector: {{istio: ingressgateway}}, ports: [{{port: 80, targetPort: {target}, name: http2}}]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: books}}
spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]}}
"
        );
        let plan = planned(&yaml, &[], &["a"]);
        assert_eq!(shown(&plan), [("istio-system", "istio-ingressgateway-0", Proxy::Gateway)]);
        plan.gateways[0].ports[&80].target
    };
    let named = "{name: istio-proxy, image: auto, ports: [{name: web, containerPort: 8081}]}";
    assert_eq!(gateway("{name: istio-proxy, image: auto}", "8080"), 8080);
    assert_eq!(gateway(named, "web"), 8081);
    assert_eq!(gateway(named, "other"), 80);
}

fn programs_of(containers: &str) -> Vec<Program> {
    let yaml = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{containers}]}}\n");
    planned(&yaml, &[], &["a"]).pods[0].containers.iter().map(|container| container.program.clone()).collect()
}

#[test]
fn stand_ins_of_one_pod_do_not_listen_on_the_same_port() {
    let stand_in = |arguments: &[&str]| Program::Sample([&["stand-in"], arguments].concat().iter().map(ToString::to_string).collect());
    let port = "ports: [{containerPort: 8080}]";
    for (first, second, programs) in [
        ("", "", [stand_in(&["--no-port"]), stand_in(&["--no-port"])]),
        (port, "", [stand_in(&["--port", "8080"]), stand_in(&["--no-port"])]),
        (port, port, [stand_in(&["--port", "8080"]), stand_in(&["--no-port"])]),
    ] {
        let containers = format!("{{name: a, image: a, {first}}}, {{name: b, image: b, {second}}}");
        assert_eq!(programs_of(&containers), programs, "{containers}");
    }
}

#[test]
fn an_image_option_without_use_is_told() {
    let plan = planned(REVIEWS, &[("nosuch", "/bin/true")], &["a"]);
    assert_eq!(plan.notes, ["--image nosuch: no container uses it; the images are docker.io/istio/examples-bookinfo-reviews-v1:1.20.3"]);
}

#[test]
fn a_probe_of_a_port_that_does_not_exist_never_succeeds_and_zero_means_the_default() {
    let probe = |probe: &str| {
        let yaml = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{{name: app, image: weir-sample, readinessProbe: {probe}}}]}}\n"
        );
        let plan = planned(&yaml, &[], &["a"]);
        (plan.pods[0].containers[0].readiness.clone().unwrap(), plan.notes)
    };
    let why = "container app has no port nosuch".to_string();
    let (impossible, notes) = probe("{httpGet: {port: nosuch}}");
    assert_eq!(impossible, readiness::default(Action::Impossible(why.clone())));
    assert_eq!(notes, [format!("Pod default/a: the readiness probe can never succeed: {why}")]);
    let zeros = probe("{tcpSocket: {port: 80}, periodSeconds: 0, timeoutSeconds: 0, failureThreshold: 0, successThreshold: 0}");
    assert_eq!(zeros, (readiness::default(Action::Tcp(80)), vec![]));
}
