//! What only a cluster knows: pods that should have a sidecar and have none, and namespaces whose labels contradict each other.

use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use weir_mesh::finding::{Finding, Place, Severity};
use weir_mesh::inject::names::PROXY;
use weir_mesh::inject::{INJECTION_LABEL, Namespace, REVISION_LABEL, Selection, Values, select};

/// The findings about namespaces and pods as the API server lists them.
pub fn check(namespaces: &[Value], pods: &[Value], settings: &Values) -> Vec<Finding> {
    let namespaces: BTreeMap<_, _> = namespaces.iter().map(|namespace| (text(namespace, "/metadata/name"), labels(namespace))).collect();
    let contradictory =
        namespaces.iter().filter(|(_, labels)| [INJECTION_LABEL, REVISION_LABEL].iter().all(|label| labels.contains_key(*label)));
    let mut findings: Vec<_> = contradictory
        .map(|(name, _)| {
            let message =
                format!("the labels {INJECTION_LABEL} and {REVISION_LABEL} are both set, and {INJECTION_LABEL} alone counts: remove one");
            finding("IST0123", format!("Namespace {name}"), "metadata.labels", message)
        })
        .collect();
    // One line for all pods of a ReplicaSet: they have one cause.
    let mut missing: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for pod in pods {
        let namespace = text(pod, "/metadata/namespace");
        let Some(labels) = namespaces.get(namespace) else { continue };
        let selection = select(pod, &Namespace { name: namespace, labels: Cow::Borrowed(labels) }, settings);
        if matches!(selection, Selection::Inject(_)) && runs(pod) && !has_sidecar(pod) {
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

fn runs(pod: &Value) -> bool {
    !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") && pod.pointer("/metadata/deletionTimestamp").is_none()
}

fn has_sidecar(pod: &Value) -> bool {
    let lists = ["/spec/containers", "/spec/initContainers"].into_iter().filter_map(|list| pod.pointer(list)?.as_array());
    lists.flatten().any(|container| container["name"] == PROXY)
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_string()))).collect()
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
    use weir_mesh::inject::INJECT;

    fn namespace(name: &str, labels: Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}})
    }

    fn pod(name: &str, labels: Value, spec: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": [{"name": "web"}]},
               "spec": spec, "status": {"phase": "Running"}})
    }

    fn found(namespaces: &[Value], pods: &[Value]) -> Vec<(String, Option<&'static str>)> {
        check(namespaces, pods, &Values::default()).into_iter().map(|finding| (finding.object, finding.code)).collect()
    }

    #[test]
    fn pods_without_the_sidecar_that_is_asked_for_are_named_once_for_their_owner() {
        let asking = [namespace("shop", json!({INJECTION_LABEL: "enabled"}))];
        let app = || json!({"containers": [{"name": "app"}]});
        let native = json!({"containers": [{"name": "app"}], "initContainers": [{"name": PROXY}]});
        let pods = [
            pod("web-2", json!({}), app()),
            pod("web-1", json!({}), app()),
            pod("with", json!({}), native),
            pod("without", json!({INJECT: "false"}), app()),
            pod("host", json!({}), json!({"hostNetwork": true})),
        ];
        let findings = check(&asking, &pods, &Values::default());
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
        assert!(missing(json!({REVISION_LABEL: "default"}), json!({})));
        assert!(!missing(json!({REVISION_LABEL: "another"}), json!({})));
        assert!(!missing(json!({INJECTION_LABEL: "disabled"}), json!({INJECT: "true"})));
    }

    #[test]
    fn a_namespace_with_both_labels_is_named() {
        let both = namespace("shop", json!({INJECTION_LABEL: "disabled", REVISION_LABEL: "canary"}));
        assert_eq!(found(&[both], &[]), [("Namespace shop".to_string(), Some("IST0123"))]);
    }
}
