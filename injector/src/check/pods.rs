//! Which namespaces may not have sidecars, and which pods lack theirs or have an old one.

use super::line::{Line, bad, good, note};
use super::mesh::Settings;
use crate::kubernetes::list;
use crate::kubernetes::proxied::{self, Images};
use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::Api;
use kube::{Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// The label by which a namespace holds its pods to a standard
/// (<https://kubernetes.io/docs/concepts/security/pod-security-admission/>).
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The users' namespaces and pods.
#[derive(Debug, Default)]
pub struct Seen {
    namespaces: Vec<Namespace>,
    pods: Vec<Pod>,
}

/// All but Weir's own, and Kubernetes' own.
pub async fn seen(client: &Client, own: &str) -> Result<Seen> {
    let mut namespaces: Vec<Namespace> = list::all(&Api::all(client.clone()), "").await?;
    let is_users = |name: &str| ![own, "kube-system", "kube-public", "kube-node-lease"].contains(&name);
    namespaces.retain(|namespace| is_users(&namespace.name_any()));
    let mut pods = proxied::pods(client).await?;
    pods.retain(|pod| is_users(&pod.namespace().unwrap_or_default()));
    Ok(Seen { namespaces, pods })
}

/// The standard that a namespace enforces, if it forbids the init container that redirects a pod's traffic: neither allows NET_ADMIN and NET_RAW.
fn standard(namespace: &Namespace) -> Option<&str> {
    let standard = namespace.labels().get(ENFORCE)?;
    ["baseline", "restricted"].contains(&standard.as_str()).then_some(standard)
}

/// Namespaces that enforce a standard which forbids sidecars: a problem where they ask for them, else worth to be known.
pub fn standards(seen: &Seen) -> Vec<Line> {
    let mut lines: Vec<_> = seen.namespaces.iter().filter_map(forbidden).collect();
    let others = seen.namespaces.iter().filter(|namespace| proxied::asks(namespace).is_none());
    let others: Vec<_> = others.filter_map(|it| Some(format!("{} ({})", it.name_any(), standard(it)?))).collect();
    if !others.is_empty() {
        lines.push(note(
            format!("namespaces that enforce a Pod Security standard under which there are no sidecars: {}", others.join(", ")),
            "nothing, unless their pods shall have sidecars",
        ));
    }
    if lines.is_empty() {
        lines.push(good("no namespace enforces a Pod Security standard that forbids a sidecar's init container"));
    }
    lines
}

fn forbidden(namespace: &Namespace) -> Option<Line> {
    let (label, standard, name) = (proxied::asks(namespace)?, standard(namespace)?, namespace.name_any());
    Some(bad(
        format!(
            "namespace {name} has {label} and enforces the Pod Security standard {standard}, which refuses pods with a sidecar: its init container has NET_ADMIN and NET_RAW"
        ),
        format!("kubectl label --overwrite namespace {name} {ENFORCE}=privileged"),
    ))
}

/// Pods that lack the sidecar that their namespace asks for, and sidecars of another version than new ones.
pub fn sidecars(seen: &Seen, settings: &Settings) -> Vec<Line> {
    let asking: BTreeSet<_> = seen.namespaces.iter().filter(|it| proxied::asks(it).is_some()).map(ResourceExt::name_any).collect();
    let (mut total, mut lacking, mut old) = (0, BTreeMap::new(), BTreeMap::new());
    for pod in seen.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let namespace = pod.namespace().unwrap_or_default();
        match proxied::images(pod) {
            Some(images) => {
                total += 1;
                if let Some(difference) = difference(&images, settings) {
                    *old.entry((namespace, difference)).or_insert(0) += 1;
                }
            }
            None if asking.contains(&namespace) && !is_left_out(pod) => *lacking.entry(namespace).or_insert(0) += 1,
            None => {}
        }
    }
    let pods = |count: usize| if count == 1 { "1 pod".to_string() } else { format!("{count} pods") };
    let restart = |namespace: &str| format!("kubectl rollout restart deployment --namespace {namespace}");
    let mut lines = vec![good(format!("{} with a sidecar", pods(total)))];
    lines.extend(lacking.iter().map(|(namespace, count)| {
        let text =
            format!("{} of the namespace {namespace} without a sidecar, though it asks for them: they are older than that", pods(*count));
        note(text, restart(namespace))
    }));
    lines.extend(old.iter().map(|((namespace, difference), count)| {
        note(
            format!("{} of the namespace {namespace} with another sidecar than new ones get: {difference}", pods(*count)),
            restart(namespace),
        )
    }));
    lines
}

/// Whether a pod never gets a sidecar: it says so, or its network is the node's.
fn is_left_out(pod: &Pod) -> bool {
    const INJECT: &str = "sidecar.istio.io/inject";
    let says = pod.labels().get(INJECT).or_else(|| pod.annotations().get(INJECT)).is_some_and(|value| value == "false");
    says || pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true))
}

/// `weir 0.1.0, not 0.2.0`
fn difference(images: &Images, settings: &Settings) -> Option<String> {
    let differs = |name: &str, has: &str, wanted: &str| {
        let (has, wanted) = if proxied::version(has) == proxied::version(wanted) {
            (has, wanted)
        } else {
            (proxied::version(has), proxied::version(wanted))
        };
        (has != wanted && !wanted.is_empty()).then(|| format!("{name} {has}, not {wanted}"))
    };
    let found: Vec<_> =
        [differs("weir", &images.weir, &settings.image), differs("envoy", &images.envoy, &settings.proxy)].into_iter().flatten().collect();
    (!found.is_empty()).then(|| found.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::line::Grade;
    use super::*;
    use serde_json::{Value, json};

    fn namespace(name: &str, labels: Value) -> Namespace {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
    }

    fn pod(namespace: &str, labels: Value, images: Option<(&str, &str)>) -> Pod {
        let inits = images
            .iter()
            .flat_map(|(weir, envoy)| [json!({"name": "weir-init", "image": weir}), json!({"name": "istio-proxy", "image": envoy})]);
        let spec = json!({"containers": [{"name": "app"}], "initContainers": inits.collect::<Vec<_>>()});
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": namespace, "labels": labels}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_standard_that_forbids_the_init_container_is_a_problem_where_sidecars_are_asked_for() {
        let enforced = |standard: &str| json!({"istio-injection": "enabled", ENFORCE: standard});
        let namespaces = vec![
            namespace("a", enforced("restricted")),
            namespace("b", enforced("privileged")),
            namespace("c", json!({ENFORCE: "baseline"})),
            namespace("d", json!({"istio-injection": "enabled"})),
        ];
        let seen = Seen { namespaces, pods: vec![] };
        let lines = standards(&seen);
        let grades: Vec<_> = lines.iter().map(|line| line.grade).collect();
        assert_eq!(grades, [Grade::Bad, Grade::Note]);
        assert!(lines[0].text.starts_with("namespace a has istio-injection=enabled and enforces the Pod Security standard restricted"));
        assert!(lines[1].text.ends_with(": c (baseline)"), "{lines:?}");
        assert_eq!(standards(&Seen::default()).first().map(|line| line.grade), Some(Grade::Good));
    }

    #[test]
    fn pods_are_told_that_lack_a_sidecar_or_have_an_old_one() {
        let settings = Settings { image: "hub/weir:2".into(), proxy: "envoy:v2".into(), revision: String::new() };
        let pods = vec![
            pod("a", json!({}), None),
            pod("a", json!({"sidecar.istio.io/inject": "false"}), None),
            pod("a", json!({}), Some(("hub/weir:2", "envoy:v2"))),
            pod("a", json!({}), Some(("hub/weir:1", "envoy:v2"))),
            pod("b", json!({}), None),
        ];
        let seen = Seen { namespaces: vec![namespace("a", json!({"istio-injection": "enabled"})), namespace("b", json!({}))], pods };
        let texts: Vec<_> = sidecars(&seen, &settings).into_iter().map(|line| line.text).collect();
        assert_eq!(
            texts,
            [
                "2 pods with a sidecar",
                "1 pod of the namespace a without a sidecar, though it asks for them: they are older than that",
                "1 pod of the namespace a with another sidecar than new ones get: weir 1, not 2",
            ]
        );
    }
}
