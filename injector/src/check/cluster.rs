//! What of a cluster Weir needs, and what would be in its way.

use super::line::{Line, bad, good, note};
use crate::install::bring::live;
use crate::install::plan::{Owner, owner};
use crate::install::reference::Reference;
use crate::kubernetes::kinds::WATCHED;
use crate::kubernetes::list;
use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{Api, DynamicObject};
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;

/// The oldest minor version of Kubernetes 1: the control plane's pods wait with `preStop.sleep`.
const OLDEST: u32 = 30;
/// The one that Weir's own tests run on.
const TESTED: u32 = 35;

/// Whether Kubernetes is young enough.
pub fn version(info: &Info) -> Line {
    let digits: String = info.minor.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(minor) if minor < OLDEST => {
            bad(format!("Kubernetes is {}, and Weir needs 1.{OLDEST} or later", info.git_version), "upgrade the cluster")
        }
        _ => good(format!("Kubernetes is {}, Weir needs 1.{OLDEST} or later and is tested with 1.{TESTED}", info.git_version)),
    }
}

/// Whether Istio's own control plane is there, which would give the same pods another proxy.
pub async fn istio(client: &Client, revision: &str) -> Result<Vec<Line>> {
    let planes = list::all::<Deployment>(&Api::all(client.clone()), "app=istiod").await?;
    let hooks = list::all::<MutatingWebhookConfiguration>(&Api::all(client.clone()), "app=sidecar-injector").await?;
    let planes = planes.iter().map(|it| format!("Deployment {}/{}", it.namespace().unwrap_or_default(), it.name_any()));
    let hooks = hooks.iter().map(|it| format!("MutatingWebhookConfiguration {}", it.name_any()));
    Ok(vec![neighbour(&planes.chain(hooks).collect::<Vec<_>>(), revision)])
}

fn neighbour(found: &[String], revision: &str) -> Line {
    let found_text = found.join(", ");
    match (found, revision) {
        ([], _) => good("Istio's own control plane is not there"),
        (_, "") => bad(
            format!("Istio is there too, and both would put a proxy into pods of the same namespaces: {found_text}"),
            "remove Istio, or give Weir a revision (--set revision=weir) and label its namespaces istio.io/rev=weir, or use Weir inside the Istio mesh",
        ),
        (_, revision) => note(
            format!("Istio is there too: {found_text}"),
            format!("give Weir's namespaces the label istio.io/rev={revision} and no label istio-injection; both read the same objects"),
        ),
    }
}

/// Whether the cluster serves the kinds that Weir reads, in versions that it reads.
pub async fn definitions(client: &Client, is_there: bool) -> Result<Vec<Line>> {
    let (mut lines, mut served) = (Vec::new(), Vec::new());
    for object in crate::crds::all()? {
        let reference = Reference::of(&object);
        match live(client, &reference).await? {
            None if is_there => lines.push(bad(format!("{reference} is not there"), "weir crds | kubectl apply --server-side -f -")),
            None => {}
            Some(live) => match unreadable(&reference, &live) {
                Some(line) => lines.push(line),
                None => served.push(match owner(Some(&live)) {
                    Owner::Others(names) if !names.is_empty() => format!("{} (of {names})", reference.name),
                    _ => reference.name,
                }),
            },
        }
    }
    if served.is_empty() && lines.is_empty() {
        return Ok(vec![good("Istio's CRDs are not there yet: weir install brings those that Weir reads")]);
    }
    if !served.is_empty() {
        lines.insert(0, good(format!("CRDs that Weir reads: {}", served.join(", "))));
    }
    Ok(lines)
}

/// A definition of which Weir reads no served version.
fn unreadable(reference: &Reference, live: &DynamicObject) -> Option<Line> {
    let versions = live.data.pointer("/spec/versions").and_then(|versions| versions.as_array().cloned()).unwrap_or_default();
    let served: BTreeSet<_> =
        versions.iter().filter(|version| version["served"] == true).filter_map(|version| version["name"].as_str()).collect();
    let kind = live.data.pointer("/spec/names/kind").and_then(|kind| kind.as_str()).unwrap_or_default();
    let group = reference.name.split_once('.').map_or("", |(_, group)| group);
    let known = WATCHED.iter().find(|watched| watched.kind == kind && watched.group == group).map_or(&[][..], |watched| watched.versions);
    if known.iter().any(|version| served.contains(version)) {
        return None;
    }
    let list = |versions: Vec<&str>| versions.join(", ");
    Some(bad(
        format!("{reference} serves {}, and Weir reads {}", list(served.into_iter().collect()), list(known.to_vec())),
        "weir crds prints definitions that Weir reads",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::line::Grade;
    use super::*;
    use serde_json::json;

    #[test]
    fn kubernetes_must_be_1_30_or_later() {
        let info = |minor: &str| Info { minor: minor.into(), git_version: format!("v1.{minor}.0"), ..Info::default() };
        for (minor, grade) in [("29", Grade::Bad), ("30", Grade::Good), ("35", Grade::Good), ("33+", Grade::Good)] {
            assert_eq!(version(&info(minor)).grade, grade, "{minor}");
        }
    }

    #[test]
    fn istio_is_a_problem_unless_weir_has_a_revision_of_its_own() {
        let istiod = ["Deployment istio-system/istiod".to_string()];
        assert_eq!(neighbour(&[], "").grade, Grade::Good);
        assert_eq!(neighbour(&istiod, "").grade, Grade::Bad);
        assert_eq!(neighbour(&istiod, "weir").grade, Grade::Note);
    }

    #[test]
    fn a_definition_must_serve_a_version_that_is_read() {
        let definition = |version: &str, served: bool| -> DynamicObject {
            let versions = json!([{"name": version, "served": served}]);
            serde_json::from_value(json!({"metadata": {}, "spec": {"names": {"kind": "Gateway"}, "versions": versions}})).unwrap()
        };
        let name = "gateways.networking.istio.io".to_string();
        let reference = Reference { api_version: String::new(), kind: "CustomResourceDefinition".into(), namespace: None, name };
        assert_eq!(unreadable(&reference, &definition("v1beta1", true)), None);
        assert!(unreadable(&reference, &definition("v1", false)).is_some());
        let line = unreadable(&reference, &definition("v2", true)).unwrap();
        assert_eq!(line.text, "CustomResourceDefinition gateways.networking.istio.io serves v2, and Weir reads v1, v1beta1, v1alpha3");
    }
}
