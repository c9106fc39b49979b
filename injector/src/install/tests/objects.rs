//! What the chart's objects say, whoever renders them.

use super::*;
use std::collections::BTreeMap;

fn objects(sets: &[&str]) -> Vec<Value> {
    render(&read(None, &[], &sets.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap().values, "mesh").unwrap()
}

#[test]
fn objects_come_after_what_they_need() {
    let objects = objects(&[]);
    let mut kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    kinds.dedup();
    let expected = "Namespace CustomResourceDefinition PodDisruptionBudget ServiceAccount ConfigMap ClusterRole ClusterRoleBinding Role RoleBinding Service Deployment HorizontalPodAutoscaler MutatingWebhookConfiguration";
    assert_eq!(kinds.join(" "), expected);
    let cluster_wide = ["Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration"];
    for object in &objects {
        let namespace = object["metadata"]["namespace"].as_str();
        let is_cluster_wide = cluster_wide.contains(&object["kind"].as_str().unwrap());
        assert_eq!(namespace, (!is_cluster_wide).then_some("mesh"), "{object}");
    }
    assert_eq!(parsed(&yaml(&objects).unwrap()), objects);
}

#[test]
fn pods_meet_the_restricted_standard() {
    let objects = objects(&["sidecarInjector.certificateSecret=x"]);
    let pods: Vec<_> =
        objects.iter().filter(|object| object["kind"] == "Deployment").map(|object| &object["spec"]["template"]["spec"]).collect();
    assert_eq!(pods.len(), 2);
    for pod in pods {
        let security = &pod["securityContext"];
        assert_eq!((&security["runAsNonRoot"], &security["seccompProfile"]["type"]), (&json!(true), &json!("RuntimeDefault")));
        let containers = ["initContainers", "containers"].into_iter().flat_map(|kind| pod[kind].as_array().cloned().unwrap_or_default());
        for container in containers {
            let expected = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            assert_eq!(container["securityContext"], expected, "{}", container["name"]);
        }
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(["configMap", "secret", "emptyDir", "projected"].iter().any(|kind| volume.get(kind).is_some()), "{volume}");
        }
    }
}

/// Whether a selector's expressions hold for labels.
fn matches(selector: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let mut wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let has_labels = wanted.all(|(name, value)| labels.get(name.as_str()).is_some_and(|label| value == label));
    has_labels
        && selector["matchExpressions"].as_array().unwrap().iter().all(|expression| {
            let found = labels.get(expression["key"].as_str().unwrap());
            let is_listed =
                found.is_some_and(|found| expression["values"].as_array().is_some_and(|values| values.iter().any(|value| value == found)));
            match expression["operator"].as_str().unwrap() {
                "In" => is_listed,
                "NotIn" => !is_listed,
                _ => found.is_none(),
            }
        })
}

#[test]
fn a_pod_is_sent_to_one_webhook_where_istio_would_inject_it() {
    let plain: &[&str] = &[];
    let by_default: &[&str] = &["sidecarInjector.enableNamespacesByDefault=true"];
    let revision: &[&str] = &["revision=canary"];
    let (inject, leave) = (("sidecar.istio.io/inject", "true"), ("sidecar.istio.io/inject", "false"));
    let (enabled, disabled) = (("istio-injection", "enabled"), ("istio-injection", "disabled"));
    let (default, canary) = (("istio.io/rev", "default"), ("istio.io/rev", "canary"));
    for (sets, name, namespace, pod, expected) in [
        (plain, "shop", vec![], vec![], 0),
        (plain, "shop", vec![enabled], vec![], 1),
        (plain, "shop", vec![enabled], vec![inject], 1),
        (plain, "shop", vec![enabled], vec![leave], 0),
        (plain, "shop", vec![], vec![inject], 1),
        (plain, "shop", vec![], vec![inject, default], 1),
        (plain, "shop", vec![], vec![default], 1),
        (plain, "shop", vec![], vec![canary], 0),
        (plain, "shop", vec![disabled], vec![inject], 0),
        (plain, "shop", vec![default], vec![], 1),
        (plain, "shop", vec![canary], vec![inject], 0),
        (plain, "shop", vec![enabled, canary], vec![], 1),
        (plain, "kube-system", vec![enabled], vec![inject], 0),
        (plain, "mesh", vec![enabled], vec![inject], 0),
        (by_default, "shop", vec![], vec![], 1),
        (by_default, "shop", vec![], vec![inject], 1),
        (by_default, "shop", vec![], vec![leave], 0),
        (by_default, "shop", vec![disabled], vec![], 0),
        (by_default, "kube-public", vec![], vec![], 0),
        (revision, "shop", vec![enabled], vec![], 0),
        (revision, "shop", vec![canary], vec![], 1),
        (revision, "shop", vec![default], vec![], 0),
        (revision, "shop", vec![], vec![canary], 1),
    ] {
        let mut namespace: BTreeMap<_, _> = namespace.into_iter().collect();
        namespace.insert("kubernetes.io/metadata.name", name);
        let pod = pod.into_iter().collect();
        let objects = objects(sets);
        let webhooks = objects.last().unwrap()["webhooks"].as_array().unwrap();
        let asked =
            webhooks.iter().filter(|hook| matches(&hook["namespaceSelector"], &namespace) && matches(&hook["objectSelector"], &pod));
        assert_eq!(asked.count(), expected, "{sets:?} {namespace:?} {pod:?}");
    }
}

#[test]
fn what_only_the_control_plane_could_refuse_is_refused_before_anything_is_applied() {
    let values = read(None, &[], &["global.proxy.excludeInboundPorts=eighty".into()]).unwrap().values;
    let error = format!("{:#}", render(&values, "mesh").unwrap_err());
    assert!(error.starts_with("values for injection: ") && error.contains("excludeInboundPorts"), "{error}");
}

#[test]
fn the_installer_leaves_the_certificates_of_webhooks_to_the_control_plane() {
    let text = yaml(&objects(&["validation.enabled=true"])).unwrap();
    assert!(text.contains("weir-validator") && !text.contains("caBundle"));
}
