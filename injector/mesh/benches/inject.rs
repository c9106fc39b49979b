//! What an admission costs the pure part: the decision, the new pod and its patch, for a pod as a Deployment makes it.
//!
//! `cargo bench -p weir-mesh --bench inject`. A pod of two containers with probes and a service account's volume, first without a
//! proxy, then with the one that it got (a webhook that is called again).

#![allow(clippy::unwrap_used, reason = "a bench that cannot begin has nothing to say")]

use serde_json::{Value, json};
use std::hint::black_box;
use std::time::{Duration, Instant};
use weir_mesh::inject::{Namespace, Values, inject, select};

const ROUNDS: usize = 20;
const ADMISSIONS: u32 = 1000;
const CA: &str =
    "-----BEGIN CERTIFICATE-----\nMIIBnjCCAUWgAwIBAgIUCWv3DNPk0rPEXJcNxKV2zVWJyIIwCgYIKoZIzj0EAwIw\n-----END CERTIFICATE-----\n";

fn main() {
    let values = Values::default();
    let namespace = Namespace::asking("shop", &values);
    let admit = |pod: &Value| {
        black_box(select(pod, &namespace, &values));
        inject(pod, None, &values, CA).unwrap()
    };
    let pod = pod();
    let first = admit(&pod);
    let patch = serde_json::to_string(&first.patch).unwrap();
    println!("{:<28} {:>10.1} us", "a pod without a proxy", micros(|| admit(black_box(&pod))));
    println!("{:<28} {:>10.1} us", "a pod with its proxy", micros(|| admit(black_box(&first.pod))));
    println!("{:<28} {:>10} bytes in {} operations", "patch", patch.len(), first.patch.0.len());
}

/// The shortest mean of several runs.
fn micros<T>(run: impl Fn() -> T) -> f64 {
    let timed = || {
        let start = Instant::now();
        (0..ADMISSIONS).for_each(|_| drop(black_box(run())));
        start.elapsed() / ADMISSIONS
    };
    let best: Duration = (0..ROUNDS).map(|_| timed()).min().unwrap();
    best.as_secs_f64() * 1e6
}

fn pod() -> Value {
    let container = |name: &str, port: u16| {
        json!({
            "name": name,
            "image": format!("registry.example.com/{name}:1.2.3"),
            "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
            "env": (0..10).map(|i| json!({"name": format!("SETTING_{i}"), "value": "a value of some length"})).collect::<Vec<_>>(),
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 5},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 10},
            "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
        })
    };
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f7c", "uid": "u", "controller": true}]);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-5d8f7c-",
            "labels": {"app": "web", "version": "v1", "pod-template-hash": "5d8f7c"},
            "annotations": {"proxy.istio.io/config": "concurrency: 2", "sidecar.istio.io/proxyCPU": "50m"},
            "ownerReferences": owner,
        },
        "spec": {
            "containers": [container("app", 8080), container("exporter", 9090)],
            "serviceAccountName": "web",
            "volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}}],
        },
    })
}
