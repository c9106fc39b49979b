//! Which objects are applied, which are left alone, which go, and in what order they go.

use super::apply::MANAGER;
use super::reference::Reference;
use kube::api::DynamicObject;
use serde_json::Value;

/// Whose an object is that others may have made before, or may make theirs: a namespace, a CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There is none yet.
    Nobody,
    /// This program made it, and nobody changed since what it is.
    Us,
    /// It is somebody else's, by the names of field managers.
    Others(String),
}

/// Whose an object is, by the managers of its fields.
pub fn owner(live: Option<&DynamicObject>) -> Owner {
    let Some(live) = live else { return Owner::Nobody };
    let entries = live.metadata.managed_fields.iter().flatten();
    let entries: Vec<_> = entries.filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty()).collect();
    let name = |manager: &Option<String>| manager.clone().unwrap_or_default();
    let has_spec = |fields: &Value| fields.get("f:spec").is_some();
    let is_ours = entries.iter().any(|entry| entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply"));
    let others: Vec<_> = entries
        .iter()
        .filter(|entry| entry.manager.as_deref() != Some(MANAGER))
        .filter(|entry| !is_ours || entry.fields_v1.as_ref().is_some_and(|fields| has_spec(&fields.0)))
        .map(|entry| name(&entry.manager))
        .collect();
    if is_ours && others.is_empty() { Owner::Us } else { Owner::Others(others.join(", ")) }
}

/// Whether an object may be somebody else's.
pub fn may_be_shared(reference: &Reference) -> bool {
    matches!(reference.kind.as_str(), "Namespace" | "CustomResourceDefinition")
}

/// What an installation brought and no longer has, in the order in which it goes. Namespaces and definitions stay: what is in them is the users'.
pub fn pruned(before: &[Reference], now: &[Reference]) -> Vec<Reference> {
    let gone = |old: &&Reference| !may_be_shared(old) && !now.iter().any(|new| new.is_same(old));
    removal(before.iter().filter(gone).cloned().collect())
}

/// In the order in which objects go, from that in which they came: webhooks first, so that no pod waits for one whom nobody answers; the rest
/// backwards.
pub fn removal(mut objects: Vec<Reference>) -> Vec<Reference> {
    objects.reverse();
    objects.sort_by_key(|object| !object.kind.ends_with("WebhookConfiguration"));
    objects
}

/// Both, each object once, in the first one's order.
pub fn union(now: &[Reference], before: &[Reference]) -> Vec<Reference> {
    let more = before.iter().filter(|old| !now.iter().any(|new| new.is_same(old)));
    now.iter().chain(more).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(kind: &str, name: &str) -> Reference {
        Reference { api_version: "v1".into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    fn managed(entries: &[(&str, &str, &str, Value)]) -> DynamicObject {
        let entries: Vec<_> = entries
            .iter()
            .map(|(manager, operation, subresource, fields)| {
                json!({"manager": manager, "operation": operation, "subresource": subresource, "fieldsType": "FieldsV1", "fieldsV1": fields})
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "x", "managedFields": entries}})).unwrap()
    }

    #[test]
    fn an_object_is_ours_while_nobody_else_says_what_it_is() {
        let (spec, labels) = (|| json!({"f:spec": {}}), || json!({"f:metadata": {"f:labels": {}}}));
        let ours = || ("weir", "Apply", "", spec());
        for (entries, expected) in [
            (vec![ours()], Owner::Us),
            (vec![ours(), ("kube-apiserver", "Update", "status", json!({"f:status": {}}))], Owner::Us),
            (vec![ours(), ("kubectl-label", "Update", "", labels())], Owner::Us),
            (vec![ours(), ("istio-operator", "Apply", "", spec())], Owner::Others("istio-operator".into())),
            (vec![("helm", "Update", "", spec())], Owner::Others("helm".into())),
            (vec![], Owner::Others(String::new())),
        ] {
            assert_eq!(owner(Some(&managed(&entries))), expected, "{entries:?}");
        }
        assert_eq!(owner(None), Owner::Nobody);
    }

    #[test]
    fn webhooks_go_first_and_the_rest_backwards() {
        let came = ["ServiceAccount", "Service", "Deployment", "MutatingWebhookConfiguration", "ServiceMonitor"];
        let gone: Vec<_> = removal(came.iter().map(|kind| reference(kind, "weir")).collect()).into_iter().map(|it| it.kind).collect();
        assert_eq!(gone, ["MutatingWebhookConfiguration", "ServiceMonitor", "Deployment", "Service", "ServiceAccount"]);
    }

    #[test]
    fn what_is_no_longer_rendered_goes_but_never_a_namespace_or_a_definition() {
        let before = [
            reference("Namespace", "mesh"),
            reference("CustomResourceDefinition", "gateways"),
            reference("Service", "weir"),
            reference("Service", "weir-ingressgateway"),
            reference("NetworkPolicy", "weir"),
        ];
        let now = [Reference { api_version: "v2".into(), ..reference("Service", "weir") }];
        assert_eq!(pruned(&before, &now), [reference("NetworkPolicy", "weir"), reference("Service", "weir-ingressgateway")]);
        let union = union(&now, &before);
        assert_eq!((union.len(), union.first()), (5, now.first()));
    }
}
