//! What a cluster has of Weir already, and who brought it. It is one per cluster: webhooks and roles have fixed names.

use super::record::Record;
use crate::kubernetes::access::message;
use anyhow::{Result, anyhow, bail};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::Api;
use kube::{Client, ResourceExt};

/// Where the control plane is unless somebody chose otherwise.
pub const NAMESPACE: &str = "weir-system";
/// A ClusterRoleBinding of the chart: the object that says where in a cluster Weir is.
const BINDING: &str = "weir";

/// Where Weir is, or goes.
#[derive(Debug, PartialEq)]
pub struct Installed {
    /// The namespace of the control plane.
    pub namespace: String,
    /// Who brought it; none if it is not there.
    pub by: Option<By>,
}

/// Who brought it.
#[derive(Debug, PartialEq)]
pub enum By {
    /// This program.
    Weir(Record),
    /// Helm.
    Helm {
        /// The release.
        release: String,
        /// Its namespace.
        namespace: String,
    },
    /// Somebody without a record, as with `weir install --dry-run | kubectl apply -f -`.
    Other,
}

/// Looks for it. A namespace other than the one that was named is an error.
pub async fn find(client: &Client, named: Option<&str>) -> Result<Installed> {
    let binding = match Api::<ClusterRoleBinding>::all(client.clone()).get_opt(BINDING).await {
        Ok(binding) => binding,
        // Who may not see it does not install either, and may ask where Weir usually is.
        Err(kube::Error::Api(status)) if status.code == 403 => None,
        Err(error) => return Err(anyhow!("{}", message(&error))),
    };
    let Some(binding) = binding else {
        let namespace = named.unwrap_or(NAMESPACE).to_string();
        let by = Record::find(client, &namespace).await?.map(By::Weir);
        return Ok(Installed { namespace, by });
    };
    let subject = binding.subjects.iter().flatten().find_map(|subject| subject.namespace.clone());
    let namespace = subject.or(named.map(str::to_string)).unwrap_or_else(|| NAMESPACE.into());
    if let Some(named) = named.filter(|named| *named != namespace) {
        bail!("Weir is in the namespace {namespace}, not in {named}, and it is one per cluster: -n {namespace}");
    }
    let by = match helm(&binding) {
        Some(by) => by,
        None => Record::find(client, &namespace).await?.map_or(By::Other, By::Weir),
    };
    Ok(Installed { namespace, by: Some(by) })
}

/// Helm marks what it installs
/// (<https://helm.sh/docs/chart_best_practices/labels/>).
fn helm(binding: &ClusterRoleBinding) -> Option<By> {
    let annotation = |name: &str| binding.annotations().get(name).cloned();
    (binding.labels().get("app.kubernetes.io/managed-by")? == "Helm").then(|| By::Helm {
        release: annotation("meta.helm.sh/release-name").unwrap_or_default(),
        namespace: annotation("meta.helm.sh/release-namespace").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_helm_brought_is_known_by_its_marks() {
        let binding = |labels, annotations| -> ClusterRoleBinding {
            let metadata = json!({"name": "weir", "labels": labels, "annotations": annotations});
            serde_json::from_value(json!({"metadata": metadata, "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": "weir"}}))
                .unwrap()
        };
        let annotations = json!({"meta.helm.sh/release-name": "mesh", "meta.helm.sh/release-namespace": "system"});
        let helms = binding(json!({"app.kubernetes.io/managed-by": "Helm"}), annotations);
        assert_eq!(helm(&helms), Some(By::Helm { release: "mesh".into(), namespace: "system".into() }));
        assert_eq!(helm(&binding(json!({"app.kubernetes.io/managed-by": "weir"}), json!({}))), None);
    }
}
