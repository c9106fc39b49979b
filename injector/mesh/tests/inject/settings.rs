//! What annotations and values change.

use super::*;

fn proxy_of(name: &str, value: &str) -> Value {
    container(&injected(&annotated(&[(name, value)])).pod, "istio-proxy").clone()
}

fn command(name: &str, value: &str) -> String {
    let command = proxy_of(name, value)["command"].clone();
    command.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn annotations_set_the_proxys_command() {
    for (name, value, expected) in [
        ("sidecar.istio.io/logLevel", "debug", "--log-level debug --concurrency 2 "),
        ("sidecar.istio.io/componentLogLevel", "http:debug,misc:off", "--component-log-level http:debug,misc:off --concurrency"),
        ("proxy.istio.io/config", "concurrency: 4", "--log-level warning --concurrency 4 --drain-time-s 45 "),
        ("proxy.istio.io/config", "{concurrency: 0}", "--log-level warning --drain-time-s 45 "),
        ("proxy.istio.io/config", "drainDuration: 2m", "--drain-time-s 120 "),
    ] {
        let command = command(name, value);
        assert!(command.contains(expected), "{name}: {command}");
    }
    assert_eq!(proxy_of("sidecar.istio.io/proxyImage", "mirror/envoy:1")["image"], "mirror/envoy:1");
}

#[test]
fn one_annotation_for_resources_puts_all_in_the_place_of_the_values() {
    assert_eq!(proxy_of("sidecar.istio.io/proxyCPU", "1")["resources"], json!({"requests": {"cpu": "1"}}));
    let all = annotated(&[
        ("sidecar.istio.io/proxyCPU", "10m"),
        ("sidecar.istio.io/proxyCPULimit", "1.5"),
        ("sidecar.istio.io/proxyMemory", "64Mi"),
        ("sidecar.istio.io/proxyMemoryLimit", "1e9"),
    ]);
    let expected = json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1.5", "memory": "1e9"}});
    assert_eq!(container(&injected(&all).pod, "istio-proxy")["resources"], expected);
}

#[test]
fn annotations_set_the_redirection() {
    let traffic = |name: &str| format!("traffic.sidecar.istio.io/{name}");
    for (name, value, name_of_flag, expected) in [
        ("includeInboundPorts", "80, 443", "--inbound-ports", "80,443"),
        ("includeInboundPorts", "", "--inbound-ports", ""),
        ("excludeInboundPorts", "22", "--exclude-inbound-ports", "22"),
        ("includeOutboundPorts", "*", "--outbound-ports", "*"),
        ("excludeOutboundPorts", "5432", "--exclude-outbound-ports", "5432"),
        ("includeOutboundIPRanges", "10.0.0.0/8", "--outbound-ranges", "10.0.0.0/8"),
        ("excludeOutboundIPRanges", "10.1.0.0/16,10.2.0.0/16", "--exclude-outbound-ranges", "10.1.0.0/16,10.2.0.0/16"),
    ] {
        let pod = injected(&annotated(&[(&traffic(name), value)])).pod;
        assert_eq!(flag(&pod, name_of_flag).as_deref(), Some(expected), "{name}");
    }
    let pod = injected(&annotated(&[("sidecar.istio.io/interceptionMode", "NONE")])).pod;
    assert_eq!((flag(&pod, "--redirect"), flag(&pod, "--inbound-ports")), (None, None));
    assert_eq!(container(&pod, "weir-init")["securityContext"], container(&pod, "istio-proxy")["securityContext"]);
}

#[test]
fn annotations_set_when_the_proxy_is_ready() {
    let readiness =
        |name: &str, value: &str| proxy_of(&format!("readiness.status.sidecar.istio.io/{name}"), value)["readinessProbe"].clone();
    assert_eq!(readiness("initialDelaySeconds", "7")["initialDelaySeconds"], 7);
    assert_eq!(readiness("periodSeconds", "3")["periodSeconds"], 3);
    assert_eq!(readiness("failureThreshold", "9")["failureThreshold"], 9);
    let without = proxy_of("status.sidecar.istio.io/port", "0");
    assert_eq!((without.get("readinessProbe"), without.get("startupProbe")), (None, None));
}

#[test]
fn volumes_and_a_bootstrap_of_the_users_are_mounted() {
    let pod = annotated(&[
        ("sidecar.istio.io/userVolume", r#"{"certs": {"secret": {"secretName": "s"}}, "data": {"emptyDir": {}}}"#),
        ("sidecar.istio.io/userVolumeMount", r#"[{"name": "certs", "mountPath": "/certs", "readOnly": true}]"#),
        ("sidecar.istio.io/bootstrapOverride", "more"),
    ]);
    let injected = injected(&pod).pod;
    assert_eq!(names(&injected, "volumes"), ["data", "weir-proxy", "weir-token", "weir-bootstrap-override", "certs"]);
    assert_eq!(injected["spec"]["volumes"][3], json!({"name": "weir-bootstrap-override", "configMap": {"name": "more"}}));
    assert_eq!(injected["spec"]["volumes"][4], json!({"name": "certs", "secret": {"secretName": "s"}}));
    let mounts = |name: &str| container(&injected, name)["volumeMounts"].as_array().unwrap().last().cloned();
    assert_eq!(mounts("istio-proxy"), Some(json!({"name": "certs", "mountPath": "/certs", "readOnly": true})));
    assert_eq!(
        mounts("weir-init"),
        Some(json!({"name": "weir-bootstrap-override", "mountPath": "/etc/weir/bootstrap-override", "readOnly": true}))
    );
    assert_eq!(flag(&injected, "--bootstrap-override").as_deref(), Some("/etc/weir/bootstrap-override/custom_bootstrap.json"));
    assert_eq!(weir_mesh::inject::uninject(&injected), Some(pod), "the pod's own volume stays");
}

#[test]
fn broken_annotations_are_named_with_what_they_should_be() {
    for (name, value, expected) in [
        ("sidecar.istio.io/proxyImage", " ", "\" \" is not an image's name"),
        ("sidecar.istio.io/logLevel", "loud", "\"loud\" is not trace, debug, info, warning, error, critical or off"),
        ("sidecar.istio.io/componentLogLevel", "http", "\"http\" is not a list such as upstream:debug,http:trace"),
        ("sidecar.istio.io/proxyCPU", "lots", "\"lots\" is not a quantity such as 100m, 2 or 128Mi"),
        ("sidecar.istio.io/proxyMemoryLimit", "-1", "\"-1\" is not a quantity such as 100m, 2 or 128Mi"),
        (
            "sidecar.istio.io/userVolume",
            "[{\"emptyDir\": {}}]",
            "\"[{\\\"emptyDir\\\": {}}]\" is not a JSON object that gives for each volume's name its source, such as {\"emptyDir\": {}}, or a JSON array of these with a name",
        ),
        (
            "sidecar.istio.io/userVolumeMount",
            "{\"a\": {}}",
            "\"{\\\"a\\\": {}}\" is not a JSON object that gives for each volume's name a mount with a mountPath, or a JSON array of these with a name",
        ),
        ("sidecar.istio.io/nativeSidecar", "yes", "\"yes\" is not true or false"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "", "\"\" is not true or false"),
        ("sidecar.istio.io/bootstrapOverride", "A/b", "\"A/b\" is not the name of a ConfigMap"),
        (
            "sidecar.istio.io/interceptionMode",
            "TPROXY",
            "\"TPROXY\" is not REDIRECT or NONE: Weir redirects connections, it has no transparent proxying (TPROXY)",
        ),
        ("proxy.istio.io/config", "concurrency: many", "concurrency: invalid type: string \"many\", expected u32"),
        ("proxy.istio.io/config", "drainDuration: 5", "drainDuration: invalid type: integer `5`, expected a string"),
        ("proxy.istio.io/config", "a: [", "this is not YAML: "),
        ("proxy.istio.io/config", "fast", "this is not one YAML map with fields of ProxyConfig, such as concurrency: 2"),
        ("traffic.sidecar.istio.io/includeInboundPorts", "http", "\"http\" is not \"*\", or ports with commas between"),
        (
            "traffic.sidecar.istio.io/excludeOutboundIPRanges",
            "10.0.0.0",
            "\"10.0.0.0\" is not \"*\", or address ranges such as 10.0.0.0/8 with commas between",
        ),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "eth1", "Weir does not redirect the traffic of virtual machines"),
        ("status.sidecar.istio.io/port", "health", "\"health\" is not a port; 0 for no readiness probe"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "0", "\"0\" is not a number from 1"),
        ("inject.istio.io/templates", "grpc-agent", "\"grpc-agent\" is not sidecar or gateway: Weir has no other templates"),
    ] {
        let found = problems(&annotated(&[(name, value)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("annotation {name}: {expected}")), "{}", found[0]);
    }
    let two = annotated(&[("sidecar.istio.io/logLevel", "loud"), ("sidecar.istio.io/proxyCPU", "lots")]);
    assert_eq!(problems(&two).len(), 2, "all are named at once");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let config = "tracing: {zipkin: {address: a}}\nconcurrency: 1\nproxyMetadata: {A: b}
gatewayTopology: {numTrustedProxies: 1, forwardClientCertDetails: SANITIZE}";
    assert_eq!(
        injected(&annotated(&[("proxy.istio.io/config", config), ("status.sidecar.istio.io/port", "15030")])).warnings,
        [
            "annotation proxy.istio.io/config: tracing has no effect in Weir",
            "annotation proxy.istio.io/config: proxyMetadata has no effect in Weir",
            "annotation proxy.istio.io/config: gatewayTopology.forwardClientCertDetails has no effect in Weir",
            "annotation status.sidecar.istio.io/port: the proxy says on port 15021 whether it is ready, and on no other",
        ]
    );
    let mut pod = pod();
    pod["spec"]["dnsPolicy"] = "Default".into();
    assert_eq!(injected(&pod).warnings, ["with dnsPolicy Default the proxy may not find the control plane by its name"]);
}

#[test]
fn values_are_read_as_the_chart_writes_them() {
    let values = values(
        r#"image: "registry/weir:1"
imagePullPolicy: ""
imagePullSecrets: []
revision: ""
enableNamespacesByDefault: false
neverInjectSelector: []
alwaysInjectSelector: []
rewriteAppHTTPProbe: true
nativeSidecars: true
proxy:
  clusterDomain: cluster.local
  concurrency: 3
  excludeIPRanges: ""
  excludeInboundPorts: "22,80"
  excludeOutboundPorts: ""
  holdApplicationUntilProxyStarts: false
  image: docker.io/envoyproxy/envoy:v1.40.0
  includeIPRanges: '*'
  includeInboundPorts: '*'
  includeOutboundPorts: ""
  logLevel: warning
  resources: {requests: {cpu: 2, memory: 128Mi}}
  terminationDrainDuration: 5s
"#,
    );
    let mut expected = Values { image: "registry/weir:1".into(), ..Values::default() };
    expected.proxy.concurrency = 3;
    expected.proxy.exclude_inbound_ports = "22,80".parse().unwrap();
    expected.proxy.image = "docker.io/envoyproxy/envoy:v1.40.0".into();
    expected.proxy.resources.requests.insert("cpu".into(), "2".parse().unwrap());
    expected.proxy.resources.limits.clear();
    assert_eq!(values, expected);
    assert_eq!(Values::read(""), Ok(Values::default()));
}

#[test]
fn broken_values_are_named_by_line_and_field() {
    for (text, expected) in [
        (
            "proxy:\n  loglevel: info",
            "line 2, column 13: proxy.loglevel: unknown field `loglevel`, expected one of `image`, `clusterDomain`",
        ),
        ("nativeSidecars: maybe", "line 1, column 17: nativeSidecars: invalid type: string \"maybe\", expected a boolean"),
        (
            "proxy: {excludeInboundPorts: http}",
            "line 1, column 30: proxy.excludeInboundPorts: \"http\" is neither \"*\" nor a list with commas",
        ),
        (
            "neverInjectSelector: [{matchExpressions: [{key: a, operator: Like}]}]",
            "line 1, column 62: neverInjectSelector[0].matchExpressions[0].operator: unknown variant `Like`",
        ),
        ("a: [", "line "),
        ("a: 1\n---\nb: 2", "line 0, column 0: more than one document: the settings are one"),
    ] {
        let error = Values::read(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
