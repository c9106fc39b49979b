//! What stays in a cluster when Weir has gone: the users' own, and pods that still run with what they had.

use super::plan::{Owner, owner};
use super::reference::Reference;
use super::{bring, record};
use crate::kubernetes::access::message;
use crate::kubernetes::kinds::WATCHED;
use crate::kubernetes::{list, proxied};
use anyhow::{Result, anyhow};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta};
use kube::discovery::{ApiGroup, Discovery, Scope, verbs};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;

/// What the control plane makes in its namespace by itself: its authority, the keys of passports, what it knows of canaries and its leader's
/// lease.
pub const OWN: [(&str, &str, &str); 5] = [
    ("v1", "Secret", "weir-ca"),
    ("v1", "ConfigMap", "weir-ca"),
    ("v1", "Secret", "weir-passport"),
    ("v1", "ConfigMap", "weir-canaries"),
    ("coordination.k8s.io/v1", "Lease", "weir-leader"),
];

/// Kinds of which objects come by themselves.
const BY_THEMSELVES: [&str; 3] = ["Event", "Endpoints", "PodMetrics"];

/// The definitions that this program made and nobody else has changed, and those of others.
pub async fn definitions(client: &Client) -> Result<(Vec<Reference>, Vec<Reference>)> {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for object in crate::crds::all()? {
        let reference = Reference::of(&object);
        match owner(bring::live(client, &reference).await?.as_ref()) {
            Owner::Nobody => {}
            Owner::Us => ours.push(reference),
            Owner::Others(_) => others.push(reference),
        }
    }
    Ok((ours, others))
}

/// How many objects of a definition's kind there are, as `2 virtualservices`; nothing if none.
pub async fn objects(client: &Client, definition: &Reference) -> Result<Option<String>> {
    let Some((plural, group)) = definition.name.split_once('.') else { return Ok(None) };
    let kind = WATCHED.iter().find(|kind| kind.group == group && format!("{}s", kind.kind.to_lowercase()) == plural);
    let Some(version) = kind.and_then(|kind| kind.versions.first().map(|version| format!("{group}/{version}"))) else { return Ok(None) };
    let kind = kind.map(|kind| kind.kind).unwrap_or_default();
    let all = Reference { api_version: version, kind: kind.into(), namespace: None, name: String::new() };
    let count = metadata(&all.api(client), kind).await?.len();
    Ok((count > 0).then(|| format!("{count} {plural}")))
}

/// The names of what is in a namespace and came neither with Weir nor by itself.
pub async fn strangers(client: &Client, namespace: &str) -> Result<Vec<String>> {
    let known = match Discovery::new(client.clone()).run().await {
        Ok(known) => known,
        // Somebody's API may be away, and objects of it be there.
        Err(error) => return Ok(vec![format!("what could not be asked for: {}", message(&error))]),
    };
    let mut found = Vec::new();
    for (resource, capabilities) in known.groups().flat_map(ApiGroup::recommended_resources) {
        let kind = resource.kind.as_str();
        let listed = capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
        if !listed || BY_THEMSELVES.contains(&kind) {
            continue;
        }
        match metadata(&Api::namespaced_with(client.clone(), namespace, &resource), kind).await {
            Ok(all) => {
                let of_others = all.into_iter().filter(|it| is_strange(kind, it));
                found.extend(of_others.map(|it| format!("{kind} {}", it.name.unwrap_or_default())));
            }
            Err(error) => found.push(format!("{error:#}")),
        }
    }
    // The order of discovery is none.
    found.sort();
    Ok(found)
}

fn is_strange(kind: &str, metadata: &ObjectMeta) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let label = metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/managed-by"));
    let has_owner = metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    let own = OWN.iter().any(|(_, own, own_name)| (*own, *own_name) == (kind, name));
    let goes = metadata.deletion_timestamp.is_some();
    let by_itself = [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")].contains(&(kind, name));
    let known = own || by_itself || (kind, name) == ("ConfigMap", record::NAME);
    !goes && !has_owner && !known && label.map(String::as_str) != Some(super::apply::MANAGER)
}

/// The metadata of all objects of a kind; none if the cluster does not know it.
async fn metadata(api: &Api<DynamicObject>, kind: &str) -> Result<Vec<ObjectMeta>> {
    match api.list_metadata(&ListParams::default()).await {
        Ok(list) => Ok(list.items.into_iter().map(|item| item.metadata).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(vec![]),
        Err(error) => Err(anyhow!("listing objects of the kind {kind}: {}", message(&error))),
    }
}

/// What still hangs on Weir, in lines.
pub async fn dependents(client: &Client) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for namespace in list::all::<Namespace>(&Api::all(client.clone()), "").await? {
        if let Some(label) = proxied::asks(&namespace) {
            lines.push(format!("namespace {} still has the label {label}, which nobody answers now", namespace.name_any()));
        }
    }
    let mut pods: BTreeMap<String, usize> = BTreeMap::new();
    for pod in proxied::pods(client).await?.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        if proxied::images(pod).is_some() {
            *pods.entry(pod.namespace().unwrap_or_default()).or_default() += 1;
        }
    }
    for (namespace, count) in pods {
        let pods = if count == 1 { "1 pod still has its sidecar".into() } else { format!("{count} pods still have their sidecars") };
        lines.push(format!("{pods} in the namespace {namespace}: kubectl rollout restart deployment --namespace {namespace}"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_came_with_weir_or_by_itself_is_no_stranger() {
        let metadata = |value| serde_json::from_value(value).unwrap();
        let ours = json!({"name": "weir", "labels": {"app.kubernetes.io/managed-by": "weir"}});
        let owned = json!({"name": "p", "ownerReferences": [{"apiVersion": "v1", "kind": "ReplicaSet", "name": "r", "uid": "u"}]});
        for (kind, value, expected) in [
            ("ConfigMap", json!({"name": "kube-root-ca.crt"}), false),
            ("Secret", json!({"name": "weir-ca"}), false),
            ("ConfigMap", json!({"name": "weir-install"}), false),
            ("ServiceAccount", json!({"name": "default"}), false),
            ("Service", ours, false),
            ("Ingress", json!({"name": "edge"}), true),
            ("Pod", owned, false),
            ("Pod", json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}), false),
            ("Secret", json!({"name": "shop-certificate"}), true),
            ("Gateway", json!({"name": "weir-ca"}), true),
        ] {
            assert_eq!(is_strange(kind, &metadata(value.clone())), expected, "{kind} {value}");
        }
    }
}
