//! The injected pod.

use super::*;

fn status(pod: &Value) -> Value {
    serde_json::from_str(pod["metadata"]["annotations"]["sidecar.istio.io/status"].as_str().unwrap()).unwrap()
}

#[test]
fn a_pod_gets_an_init_container_and_a_native_sidecar_before_its_own() {
    let pod = injected(&pod()).pod;
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let resources = json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
    let probe = |period: u32, failures: u32| json!({"httpGet": {"path": "/healthz/ready", "port": 15021}, "initialDelaySeconds": 0, "periodSeconds": period, "timeoutSeconds": 3, "failureThreshold": failures});
    let init = json!({
        "name": "weir-init",
        "image": concat!("weir:", env!("CARGO_PKG_VERSION")),
        "args": [
            "proxy-init", "--role", "sidecar", "--control-plane", "weir.weir-system.svc:15012", "--domain", "cluster.local",
            "--redirect", "--proxy-uid", "1337", "--inbound-ports", "*", "--outbound-ranges", "*",
        ],
        "env": [
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            field("INSTANCE_IP", "status.podIP"),
            {"name": "WEIR_CA", "value": CA},
        ],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "weir-proxy", "mountPath": "/etc/weir/proxy"}],
    });
    let proxy = json!({
        "name": "istio-proxy",
        "image": "envoyproxy/envoy:v1.40.0",
        "restartPolicy": "Always",
        "command": [
            "envoy", "-c", "/etc/weir/proxy/envoy.json", "--log-level", "warning", "--concurrency", "2",
            "--drain-time-s", "45", "--drain-strategy", "immediate", "--disable-hot-restart",
        ],
        "ports": [{"name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP"}],
        "resources": resources,
        "startupProbe": probe(1, 600),
        "readinessProbe": probe(15, 4),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 1337,
            "runAsNonRoot": true,
            "runAsUser": 1337,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "weir-proxy", "mountPath": "/etc/weir/proxy", "readOnly": true},
            {"name": "weir-token", "mountPath": "/var/run/secrets/weir", "readOnly": true},
        ],
    });
    let mut expected = super::pod();
    expected["spec"]["initContainers"] = json!([init, proxy, {"name": "migrate", "image": "app"}]);
    expected["spec"]["volumes"] = json!([
        {"name": "data", "emptyDir": {}},
        {"name": "weir-proxy", "emptyDir": {"medium": "Memory"}},
        {"name": "weir-token", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "weir", "expirationSeconds": 3600}}]}},
    ]);
    expected["metadata"]["labels"] = json!({
        "app": "web", "version": "v1", "service.istio.io/canonical-name": "web", "service.istio.io/canonical-revision": "v1",
    });
    expected["metadata"]["annotations"] = pod["metadata"]["annotations"].clone();
    assert_eq!(pod, expected);
    let mut status = status(&pod);
    for digest in status["weir"]["digests"].as_object_mut().unwrap().values_mut() {
        *digest = "0".into();
    }
    assert_eq!(
        status,
        json!({
            "initContainers": ["weir-init", "istio-proxy"],
            "containers": [],
            "volumes": ["weir-proxy", "weir-token"],
            "imagePullSecrets": [],
            "revision": "default",
            "weir": {
                "digests": {"istio-proxy": "0", "weir-init": "0"},
                "labels": ["service.istio.io/canonical-name", "service.istio.io/canonical-revision"],
                "created": ["/metadata/annotations"],
            },
        })
    );
}

#[test]
fn without_native_sidecars_the_proxy_is_the_last_container_and_redirection_comes_after_the_pods_own_init_containers() {
    let pod = injected(&annotated(&[("sidecar.istio.io/nativeSidecar", "false")])).pod;
    assert_eq!(names(&pod, "initContainers"), ["migrate", "weir-init"]);
    assert_eq!(names(&pod, "containers"), ["app", "istio-proxy"]);
    let proxy = container(&pod, "istio-proxy");
    assert_eq!(proxy.get("restartPolicy"), None);
    let script = proxy["lifecycle"]["preStop"]["exec"]["command"][2].as_str().unwrap();
    assert!(script.contains("POST /drain_listeners?graceful&skip_exit") && script.ends_with("sleep 5"), "{script}");
    assert_eq!(proxy["lifecycle"].get("postStart"), None);
}

#[test]
fn an_app_that_waits_for_an_ordinary_proxy_comes_after_it_and_stays_kubectls_choice() {
    let config = "holdApplicationUntilProxyStarts: true\nterminationDrainDuration: 1m30.5s";
    let pod = injected(&annotated(&[("sidecar.istio.io/nativeSidecar", "false"), ("proxy.istio.io/config", config)])).pod;
    assert_eq!(names(&pod, "containers"), ["istio-proxy", "app"]);
    let hook = |name: &str| container(&pod, "istio-proxy")["lifecycle"][name]["exec"]["command"][2].as_str().unwrap();
    assert!(hook("postStart").contains("/dev/tcp/localhost/15021") && hook("preStop").ends_with("sleep 90.5"));
    assert_eq!(pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "app");
}

#[test]
fn the_users_own_proxy_container_is_merged_over_ours() {
    let mut pod = pod();
    let users = json!({
        "name": "istio-proxy",
        "image": "auto",
        "resources": {"limits": {"cpu": "4"}},
        "env": [{"name": "A", "value": "1"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/etc/weir/proxy"}],
        "ports": [{"containerPort": 15090, "name": "metrics"}, {"containerPort": 9000}],
        "readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 2},
        "lifecycle": {"preStop": {"httpGet": {"port": 1}}},
        "securityContext": {"runAsUser": 2000, "capabilities": {"drop": []}},
        "args": ["--component-log-level", "upstream:debug"],
        "stdin": null,
    });
    pod["spec"]["containers"].as_array_mut().unwrap().insert(0, users);
    let pod = injected(&pod).pod;
    assert_eq!(
        (names(&pod, "initContainers"), names(&pod, "containers")),
        (vec!["weir-init".into(), "istio-proxy".into(), "migrate".into()], vec!["app".into()])
    );
    let mut expected = container(&injected(&super::pod()).pod, "istio-proxy").clone();
    expected["resources"]["limits"]["cpu"] = "4".into();
    expected["env"] = json!([{"name": "A", "value": "1"}]);
    expected["volumeMounts"][0] = json!({"name": "data", "mountPath": "/etc/weir/proxy"});
    expected["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "data", "mountPath": "/data"}));
    expected["ports"] = json!([{"containerPort": 15090, "name": "metrics"}, {"containerPort": 9000}]);
    expected["readinessProbe"] =
        json!({"tcpSocket": {"port": 1}, "initialDelaySeconds": 0, "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 4});
    expected["lifecycle"] = json!({"preStop": {"httpGet": {"port": 1}}});
    expected["securityContext"]["runAsUser"] = 2000.into();
    expected["securityContext"]["capabilities"]["drop"] = json!([]);
    expected["args"] = json!(["--component-log-level", "upstream:debug"]);
    assert_eq!(*container(&pod, "istio-proxy"), expected);
    assert_eq!(flag(&pod, "--proxy-uid").as_deref(), Some("2000"), "what the proxy sends is not redirected");
}

#[test]
fn a_gateways_own_container_becomes_the_proxy_without_redirection_or_privileges() {
    let gateway = json!({
        "metadata": {"labels": {"istio": "ingress"}, "annotations": {"inject.istio.io/templates": "gateway"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 1337}}]},
    });
    let injected = inject(&gateway, Some("ingress-gateway"), &Values::default(), CA).unwrap();
    let pod = injected.pod;
    assert_eq!((names(&pod, "initContainers"), names(&pod, "containers")), (vec!["weir-init".into()], vec!["istio-proxy".into()]));
    let init = container(&pod, "weir-init");
    let args = ["proxy-init", "--role", "router", "--control-plane", "weir.weir-system.svc:15012", "--domain", "cluster.local"];
    assert_eq!(init["args"], json!(args));
    assert_eq!(init["securityContext"], container(&pod, "istio-proxy")["securityContext"]);
    assert_eq!(init["securityContext"]["runAsUser"], 1337);
    assert_eq!(container(&pod, "istio-proxy")["image"], "envoyproxy/envoy:v1.40.0");
    assert!(container(&pod, "istio-proxy")["lifecycle"].get("preStop").is_some());
    assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "ingress-gateway");
}

#[test]
fn a_pod_of_a_proxy_alone_keeps_a_container() {
    let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}});
    assert_eq!(names(&injected(&pod).pod, "containers"), ["istio-proxy"]);
}

#[test]
fn the_canonical_name_is_that_of_the_workload() {
    let owned = |kind: &str, name: &str, labels: Value| {
        let owner = json!([{"kind": kind, "name": name, "controller": true}]);
        let pod = json!({"metadata": {"name": "p", "labels": labels, "ownerReferences": owner}, "spec": {"containers": []}});
        injected(&pod).pod["metadata"]["labels"]["service.istio.io/canonical-name"].clone()
    };
    for (kind, name, labels, expected) in [
        ("ReplicaSet", "web-5d8f", json!({"pod-template-hash": "5d8f"}), "web"),
        ("ReplicaSet", "web-5d8f", json!({"rollouts-pod-template-hash": "5d8f"}), "web"),
        ("ReplicaSet", "web-5d8f", json!({}), "web-5d8f"),
        ("Job", "report-28391040", json!({}), "report"),
        ("Job", "report-1", json!({}), "report-1"),
        ("StatefulSet", "db", json!({"app.kubernetes.io/name": "postgres", "app": "x"}), "postgres"),
        ("StatefulSet", "db", json!({"service.istio.io/canonical-name": "own"}), "own"),
    ] {
        assert_eq!(owned(kind, name, labels), expected, "{kind} {name}");
    }
    let long = json!({"metadata": {"name": "p".repeat(64)}, "spec": {"containers": []}});
    assert_eq!(injected(&long).pod["metadata"]["labels"].get("service.istio.io/canonical-name"), None, "no label has so long a value");
}

#[test]
fn a_job_whose_proxy_would_keep_it_running_is_warned_of() {
    let mut pod = annotated(&[("sidecar.istio.io/nativeSidecar", "false")]);
    pod["spec"]["restartPolicy"] = "Never".into();
    assert_eq!(
        injected(&pod).warnings,
        ["the pod is to end, as a Job's is, but will not: a proxy that is no native sidecar runs on beside the app"]
    );
    pod["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] = "true".into();
    assert_eq!(injected(&pod).warnings, [""; 0]);
}

#[test]
fn pull_secrets_are_added_once() {
    let values = values("imagePullSecrets: [a, b]\nimagePullPolicy: IfNotPresent");
    let mut pod = pod();
    pod["spec"]["imagePullSecrets"] = json!([{"name": "a"}]);
    let injected = inject(&pod, None, &values, CA).unwrap().pod;
    assert_eq!(names(&injected, "imagePullSecrets"), ["a", "b"]);
    assert_eq!(container(&injected, "istio-proxy")["imagePullPolicy"], "IfNotPresent");
    assert_eq!(weir_mesh::inject::uninject(&injected), Some(pod));
}

#[test]
fn what_is_no_pod_is_refused() {
    for (pod, expected) in [
        (json!(null), "spec.containers: a pod has a list of containers, each with a name"),
        (json!({"spec": {"containers": [{}]}}), "spec.containers: a pod has a list of containers, each with a name"),
        (json!({"spec": {"containers": []}, "metadata": {"labels": {"a": 1}}}), "metadata.labels: this is not a map of texts"),
        (json!({"spec": {"containers": [], "volumes": {}}}), "spec.volumes: this is not a list of objects, each with a name"),
        (
            json!({"spec": {"containers": [], "volumes": [{"name": "weir-proxy"}]}}),
            "spec.volumes: the name weir-proxy is that of a volume of Weir's: give yours another",
        ),
        (
            json!({"spec": {"containers": [{"name": "istio-proxy"}], "initContainers": [{"name": "istio-proxy"}]}}),
            "spec: more than one container has the name istio-proxy",
        ),
    ] {
        assert_eq!(problems(&pod), [expected], "{pod}");
    }
}
