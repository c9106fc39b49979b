//! Which objects of a cluster make the mesh, and what of each is kept: what changes without meaning anything to the mesh, such as a
//! heartbeat, must neither fill the memory nor cause work.

use serde_json::{Map, Value, json};

/// A kind that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// `VirtualService`
    pub kind: &'static str,
    /// `networking.istio.io`; empty for the core group.
    pub group: &'static str,
    /// The versions that Weir reads, the newest first.
    pub versions: &'static [&'static str],
    /// Whether a cluster may lack it.
    pub optional: bool,
    /// The labels of those that are watched; empty: all are.
    pub labels: &'static str,
}

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// All kinds that are watched.
pub const WATCHED: [Watched; 9] = [
    core("Namespace"),
    core("Node"),
    core("Service"),
    core("Pod"),
    // Those of Services with a selector say what their pods say already.
    Watched {
        group: "discovery.k8s.io",
        labels: "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io",
        ..core("EndpointSlice")
    },
    istio("Gateway", "networking.istio.io", ISTIO),
    istio("VirtualService", "networking.istio.io", ISTIO),
    istio("DestinationRule", "networking.istio.io", ISTIO),
    istio("WasmPlugin", "extensions.istio.io", &["v1alpha1"]),
];

const fn core(kind: &'static str) -> Watched {
    Watched { kind, group: "", versions: &["v1"], optional: false, labels: "" }
}

const fn istio(kind: &'static str, group: &'static str, versions: &'static [&'static str]) -> Watched {
    Watched { kind, group, versions, optional: true, labels: "" }
}

/// What of an object concerns the mesh; none if it is nothing to the mesh, as a pod that has ended. The items of a list do not say what they
/// are: `api_version` and `kind` do.
pub fn concern(api_version: &str, kind: &str, mut object: Value) -> Option<Value> {
    let mut metadata = object.get_mut("metadata").map(Value::take)?;
    let kept: &[&str] = match kind {
        "Pod" => &["name", "namespace", "labels", "ownerReferences", "annotations"],
        "Node" | "Namespace" | "EndpointSlice" => &["name", "namespace", "labels"],
        _ => &["name", "namespace", "labels", "annotations", "creationTimestamp", "generation", "uid"],
    };
    let terminates = metadata.get("deletionTimestamp").is_some();
    // An object that goes holds until it has gone.
    if let Value::Object(fields) = &mut metadata {
        fields.retain(|name, _| kept.contains(&name.as_str()));
        if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
            annotations.retain(|name, _| match kind {
                "Pod" => name == "proxy.istio.io/config",
                _ => name != "kubectl.kubernetes.io/last-applied-configuration",
            });
            if annotations.is_empty() {
                fields.remove("annotations");
            }
        }
    }
    let mut rest = Map::new();
    match kind {
        "Node" | "Namespace" => {}
        "EndpointSlice" => {
            let kept = ["addressType", "endpoints", "ports"];
            rest.extend(kept.into_iter().filter_map(|field| Some((field.to_string(), object.get_mut(field)?.take()))));
        }
        "Pod" => {
            let phase = object.pointer("/status/phase").and_then(Value::as_str);
            if matches!(phase, Some("Succeeded" | "Failed")) {
                return None;
            }
            rest.insert("spec".into(), pod_spec(&object));
            rest.insert("status".into(), pod_status(&object, terminates));
        }
        _ => drop(rest.insert("spec".into(), object.get_mut("spec").map(Value::take).unwrap_or_default())),
    }
    rest.insert("apiVersion".into(), api_version.into());
    rest.insert("kind".into(), kind.into());
    rest.insert("metadata".into(), metadata);
    Some(Value::Object(rest))
}

fn pod_spec(pod: &Value) -> Value {
    let text = |pointer: &str| pod.pointer(pointer).cloned().unwrap_or_default();
    // A native sidecar's ports are a pod's ports too.
    let containers = ["/spec/containers", "/spec/initContainers"].into_iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let with_ports = containers.filter(|container| container.get("ports").is_some_and(|ports| !ports.is_null()));
    let containers: Vec<_> = with_ports.map(|container| json!({"name": container["name"], "ports": container["ports"]})).collect();
    json!({"nodeName": text("/spec/nodeName"), "containers": containers})
}

fn pod_status(pod: &Value, terminates: bool) -> Value {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    // A pod that ends gets no more requests; its proxy is served to the end.
    let ready = !terminates && conditions.is_some_and(|conditions| conditions.iter().any(is_ready));
    let ready = if ready { "True" } else { "False" };
    let mut status = Map::from_iter([
        ("podIP".to_string(), pod.pointer("/status/podIP").cloned().unwrap_or_default()),
        ("conditions".to_string(), json!([{"type": "Ready", "status": ready}])),
    ]);
    // With one address, it is that one.
    if let Some(both) = pod.pointer("/status/podIPs").filter(|all| all.as_array().is_some_and(|all| all.len() > 1)) {
        status.insert("podIPs".into(), both.clone());
    }
    Value::Object(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: Value) -> Value {
        json!({
            "metadata": {
                "name": "p", "namespace": "n", "labels": {"app": "a"}, "managedFields": [1], "resourceVersion": "7",
                "annotations": {"proxy.istio.io/config": "concurrency: 2", "b": "c"},
            },
            "spec": {"nodeName": "x", "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}, {"name": "d"}]},
            "status": status,
        })
    }

    fn ready(status: &str) -> Value {
        json!({"phase": "Running", "podIP": "1.2.3.4", "conditions": [{"type": "Ready", "status": status, "lastProbeTime": "now"}]})
    }

    #[test]
    fn of_a_pod_address_readiness_labels_node_ports_and_proxy_config_remain() {
        let expected = |ready: &str| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p", "namespace": "n", "labels": {"app": "a"}, "annotations": {"proxy.istio.io/config": "concurrency: 2"}},
                "spec": {"nodeName": "x", "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]},
                "status": {"podIP": "1.2.3.4", "conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        assert_eq!(concern("v1", "Pod", pod(ready("True"))), Some(expected("True")));
        assert_eq!(concern("v1", "Pod", pod(ready("Unknown"))), Some(expected("False")));
        let mut ending = pod(ready("True"));
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(concern("v1", "Pod", ending), Some(expected("False")));
        assert_eq!(concern("v1", "Pod", pod(json!({"phase": "Succeeded", "podIP": "1.2.3.4"}))), None);
    }

    #[test]
    fn a_status_and_a_heartbeat_are_no_change() {
        let node = |heartbeat: &str| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x", "labels": {"z": "a"}, "resourceVersion": heartbeat},
                   "status": {"conditions": [{"lastHeartbeatTime": heartbeat}]}})
        };
        assert_eq!(concern("v1", "Node", node("1")), concern("v1", "Node", node("2")));
        let route = |status: &str| {
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "x", "namespace": "n", "uid": "u"},
                   "spec": {"hosts": ["a"]}, "status": {"s": status}})
        };
        let kept = concern("networking.istio.io/v1", "VirtualService", route("1"));
        assert_eq!(kept, concern("networking.istio.io/v1", "VirtualService", route("2")));
        assert_eq!(kept.map(|kept| kept["spec"].clone()), Some(json!({"hosts": ["a"]})));
    }

    #[test]
    fn an_object_that_is_none_is_nothing() {
        for value in [json!(null), json!([]), json!({"metadata": null}), json!({"metadata": 3, "spec": 4})] {
            for kind in ["Pod", "Node", "VirtualService"] {
                let _ = concern("v1", kind, value.clone());
            }
        }
    }
}
