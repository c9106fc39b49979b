use super::*;
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
        proxy: Proxy::Sidecar,
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
metadata: {name: canary}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [demo/canary.localhost]}
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}
";
    let plan = planned(yaml, &[], &["a"]);
    let port = |http, hosts: &[&str]| Port { tls: false, http, hosts: hosts.iter().map(ToString::to_string).collect() };
    let selector = labels(&[("istio", "ingressgateway")]);
    let ports = [(80, port(true, &["*", "canary.localhost"])), (9000, port(false, &["*"]))].into();
    assert_eq!(plan.gateways, [gateway::Gateway { name: "istio-ingressgateway".into(), selector, ports }]);
    let pods: Vec<_> = plan.pods.iter().map(|pod| (pod.namespace.as_str(), pod.slot.as_str(), pod.proxy)).collect();
    assert_eq!(pods, [("istio-system", "istio-ingressgateway-0", Proxy::Gateway)]);
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
spec: {containers: [{name: app, image: b, envFrom: [{secretRef: {name: s}}], env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}
";
    let plan = planned(yaml, &[], &["a"]);
    assert_eq!(
        plan.notes,
        [
            "Deployment default/a: 0 replicas, so nothing runs",
            "b: envFrom of container app is left out: ConfigMaps and Secrets are not known here",
            "b: variable X of container app is left out: only values and fieldRef are known here",
        ]
    );
}
