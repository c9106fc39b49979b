//! What only a cluster knows: pods that should have a sidecar and have none, and namespaces whose labels contradict each other.

use serde_json::Value;
use std::collections::BTreeMap;
use weir_mesh::finding::{Finding, Place, Severity};

const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const INJECT: &str = "sidecar.istio.io/inject";
const SIDECAR: &str = "istio-proxy";
/// Where nothing is ever injected, as in Istio.
const NEVER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The findings about namespaces and pods as the API server lists them.
pub fn check(namespaces: &[Value], pods: &[Value]) -> Vec<Finding> {
    let contradictory = namespaces.iter().filter(|namespace| label(namespace, INJECTION).is_some() && label(namespace, REVISION).is_some());
    let mut findings: Vec<_> = contradictory
        .map(|namespace| {
            let message = format!("the labels {INJECTION} and {REVISION} are both set, and {INJECTION} alone counts: remove one");
            finding("IST0123", format!("Namespace {}", text(namespace, "/metadata/name")), "metadata.labels", message)
        })
        .collect();
    let asks: BTreeMap<_, _> = namespaces.iter().map(|namespace| (text(namespace, "/metadata/name"), asks(namespace))).collect();
    // One line for all pods of a ReplicaSet: they have one cause.
    let mut missing: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for pod in pods {
        let namespace = text(pod, "/metadata/namespace");
        if should(asks.get(namespace).copied().flatten(), pod) && !NEVER.contains(&namespace) && runs(pod) && !has_sidecar(pod) {
            let name = text(pod, "/metadata/name");
            let owner = pod.pointer("/metadata/ownerReferences/0/name").and_then(Value::as_str).unwrap_or(name);
            missing.entry((namespace, owner)).or_default().push(name);
        }
    }
    for ((namespace, owner), mut names) in missing {
        names.sort_unstable();
        let more = match names.len() {
            0 | 1 => String::new(),
            several => format!(", nor have {} more of {owner}", several.saturating_sub(1)),
        };
        let message = format!(
            "it has no sidecar, though one is asked for{more}: it was started before that, or while the webhook did not answer; \
             `kubectl -n {namespace} rollout restart` its workload"
        );
        findings.push(finding(
            "IST0103",
            format!("Pod {namespace}/{}", names.first().copied().unwrap_or_default()),
            "spec.containers",
            message,
        ));
    }
    findings
}

/// What a namespace's labels ask for; none if they say nothing.
fn asks(namespace: &Value) -> Option<bool> {
    match label(namespace, INJECTION) {
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        _ => label(namespace, REVISION).map(|revision| !revision.is_empty()),
    }
}

/// Whether a pod should have a sidecar: a namespace that says no counts most, then the pod's label, then its annotation.
fn should(asks: Option<bool>, pod: &Value) -> bool {
    let annotation = pod.pointer("/metadata/annotations").and_then(|annotations| annotations[INJECT].as_str());
    let own = label(pod, INJECT).or(annotation);
    asks != Some(false)
        && own.map_or(asks == Some(true), |own| own == "true")
        && pod.pointer("/spec/hostNetwork") != Some(&Value::Bool(true))
}

fn runs(pod: &Value) -> bool {
    !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") && pod.pointer("/metadata/deletionTimestamp").is_none()
}

fn has_sidecar(pod: &Value) -> bool {
    let lists = ["/spec/containers", "/spec/initContainers"].into_iter().filter_map(|list| pod.pointer(list)?.as_array());
    lists.flatten().any(|container| container["name"] == SIDECAR)
}

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn finding(code: &'static str, object: String, field: &str, message: String) -> Finding {
    let (place, snippet) = (Place::default(), String::new());
    Finding { severity: Severity::Warning, code: Some(code), object, field: field.into(), place, message, snippet }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn namespace(name: &str, labels: Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}})
    }

    fn pod(name: &str, labels: Value, spec: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": [{"name": "web"}]},
               "spec": spec, "status": {"phase": "Running"}})
    }

    fn found(namespaces: &[Value], pods: &[Value]) -> Vec<(String, Option<&'static str>)> {
        check(namespaces, pods).into_iter().map(|finding| (finding.object, finding.code)).collect()
    }

    #[test]
    fn pods_without_the_sidecar_that_is_asked_for_are_named_once_for_their_owner() {
        let asking = [namespace("shop", json!({INJECTION: "enabled"}))];
        let app = || json!({"containers": [{"name": "app"}]});
        let native = json!({"containers": [{"name": "app"}], "initContainers": [{"name": SIDECAR}]});
        let pods = [
            pod("web-2", json!({}), app()),
            pod("web-1", json!({}), app()),
            pod("with", json!({}), native),
            pod("without", json!({INJECT: "false"}), app()),
            pod("host", json!({}), json!({"hostNetwork": true})),
        ];
        let findings = check(&asking, &pods);
        assert_eq!(findings.len(), 1);
        let shown = findings[0].to_string();
        assert!(shown.starts_with("warning [IST0103] Pod shop/web-1 spec.containers: it has no sidecar"), "{shown}");
        assert!(shown.contains(", nor have 1 more of web:"), "{shown}");
    }

    #[test]
    fn who_asks_for_a_sidecar_is_decided_as_the_webhook_does() {
        let missing = |labels: Value, own: Value| !found(&[namespace("shop", labels)], &[pod("a", own, json!({}))]).is_empty();
        assert!(!missing(json!({}), json!({})));
        assert!(missing(json!({}), json!({INJECT: "true"})));
        assert!(missing(json!({REVISION: "canary"}), json!({})));
        assert!(!missing(json!({INJECTION: "disabled"}), json!({INJECT: "true"})));
    }

    #[test]
    fn a_namespace_with_both_labels_is_named() {
        let both = namespace("shop", json!({INJECTION: "disabled", REVISION: "canary"}));
        assert_eq!(found(&[both], &[]), [("Namespace shop".to_string(), Some("IST0123"))]);
    }
}
