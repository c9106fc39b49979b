//! The proxies of a cluster: every replica of the control plane is asked, for each proxy is connected to one of them.

use super::join::names;
use super::{Both, Place, Seen};
use crate::ads::status::Syncz;
use crate::commands::envoy;
use crate::commands::target::Cluster;
use crate::kubernetes::forward;
use crate::kubernetes::list::{self, CONTROL_PLANE};
use crate::up::protocol::PodName;
use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::Api;
use kube::{Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use weir_mesh::inject::names::INIT;

/// Pages about the mesh, on the loopback of a replica.
pub const DEBUG: u16 = 15013;

/// What is seen of it.
pub async fn look(client: &Client) -> Result<Seen> {
    let replicas = replicas(client).await?;
    let pods = list::all(&Api::<Pod>::all(client.clone()), "").await.context("which pods have a proxy")?;
    // Who may not read nodes is shown no zones.
    let nodes = list::all(&Api::<Node>::all(client.clone()), "").await.unwrap_or_default();
    let zones: BTreeMap<_, _> = nodes.iter().map(|node| (node.name_any(), zone(node))).collect();
    let mut seen = Seen { pods: pods.iter().filter(|pod| has_proxy(pod)).map(|pod| place(pod, &zones)).collect(), ..Seen::default() };
    let mut said = BTreeSet::new();
    for (replica, answer) in ask(client, &replicas).await {
        match answer {
            Ok(syncz) => {
                seen.nodes.extend(syncz.nodes.into_iter().map(|node| (Some(replica.name.clone()), node)));
                // All replicas read the same objects.
                seen.findings.extend(syncz.findings.into_iter().filter(|finding| said.insert(finding.text.clone())));
            }
            Err(error) => seen.silent.push(format!("{error:#}")),
        }
    }
    if seen.silent.len() == replicas.len() {
        bail!("no replica of the control plane answers:\n  {}", seen.silent.join("\n  "));
    }
    Ok(seen)
}

/// What a pod's Envoy should have, and what it has.
pub async fn both(cluster: &Cluster, pod: &PodName) -> Result<Both> {
    let (namespace, name) = cluster.pod(pod).await?;
    let replicas = replicas(&cluster.client).await?;
    let mut silent = Vec::new();
    for (replica, answer) in ask(&cluster.client, &replicas).await {
        match answer {
            Ok(syncz) => {
                let found = syncz.nodes.into_iter().find(|node| names(&node.node) == (namespace.clone(), name.clone()));
                let Some(status) = found else { continue };
                let path = format!("/debug/config?node={}", status.node);
                let wanted = forward::get(&cluster.client, &replica.namespace, &replica.name, DEBUG, &path).await?;
                let dump = envoy::there(cluster, &namespace, &name, envoy::DUMP).await?;
                return Ok(Both { replica: Some(replica.name), status, wanted, dump });
            }
            Err(error) => silent.push(format!("\n  {error:#}")),
        }
    }
    bail!(
        "{name}.{namespace} is connected to no control plane: `kubectl -n {namespace} logs {name} -c istio-proxy` may say why{}",
        silent.concat()
    );
}

/// A pod of the control plane.
#[derive(Clone)]
pub struct Replica {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The replicas that are ready.
pub async fn replicas(client: &Client) -> Result<Vec<Replica>> {
    let pods = list::all(&Api::<Pod>::all(client.clone()), CONTROL_PLANE).await.context("where the control plane runs")?;
    choose(&pods)
}

fn choose(pods: &[Pod]) -> Result<Vec<Replica>> {
    let ready = pods.iter().filter(|pod| is_ready(pod));
    let ready: Vec<_> = ready.map(|pod| Replica { namespace: pod.namespace().unwrap_or_default(), name: pod.name_any() }).collect();
    if !ready.is_empty() {
        return Ok(ready);
    }
    if pods.is_empty() {
        bail!(
            "no control plane of Weir in this cluster (no namespace has a pod with the labels {CONTROL_PLANE}): `weir install` installs one, --context names another cluster"
        );
    }
    let names = pods.iter().map(|pod| {
        let namespace = pod.namespace().unwrap_or_default();
        format!("\n  {namespace}/{} is {}: kubectl -n {namespace} describe pod {0}", pod.name_any(), phase(pod))
    });
    bail!("no replica of the control plane is ready:{}", names.collect::<String>());
}

/// All of them at once.
async fn ask(client: &Client, replicas: &[Replica]) -> Vec<(Replica, Result<Syncz>)> {
    let one = async |replica: &Replica| {
        let answer = forward::get(client, &replica.namespace, &replica.name, DEBUG, "/debug/syncz").await;
        (replica.clone(), answer.and_then(|body| Ok(serde_json::from_slice(&body)?)))
    };
    join_all(replicas.iter().map(one)).await
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn phase(pod: &Pod) -> String {
    pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_else(|| "Unknown".into())
}

fn has_proxy(pod: &Pod) -> bool {
    let init = pod.spec.iter().filter_map(|spec| spec.init_containers.as_ref()).flatten();
    init.into_iter().any(|container| container.name == INIT) && !matches!(phase(pod).as_str(), "Succeeded" | "Failed")
}

fn place(pod: &Pod, zones: &BTreeMap<String, String>) -> Place {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    Place {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        zone: zones.get(&node).cloned().unwrap_or_default(),
        node,
        version: pod.labels().get("version").cloned().unwrap_or_default(),
        state: if pod.metadata.deletion_timestamp.is_some() { "Terminating".into() } else { phase(pod) },
    }
}

/// Region and zone, as in `weir get`.
fn zone(node: &Node) -> String {
    let label = |name: &str| node.labels().get(&format!("topology.kubernetes.io/{name}")).map(String::as_str);
    [label("region"), label("zone")].into_iter().flatten().collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, ready: &str, spec: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "weir-system", "labels": {"version": "v1"}}, "spec": spec,
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn chosen(pods: &[Pod]) -> Result<Vec<String>, String> {
        let names = |replicas: Vec<Replica>| replicas.into_iter().map(|replica| replica.name).collect();
        choose(pods).map(names).map_err(|error| error.to_string())
    }

    #[test]
    fn only_ready_replicas_are_asked_and_their_absence_is_told_with_what_to_do() {
        let spec = || json!({"containers": []});
        assert_eq!(chosen(&[pod("a", "True", spec()), pod("b", "False", spec())]), Ok(vec!["a".into()]));
        let error = chosen(&[pod("b", "False", spec())]).unwrap_err();
        assert_eq!(error, "no replica of the control plane is ready:\n  weir-system/b is Running: kubectl -n weir-system describe pod b");
        assert!(chosen(&[]).unwrap_err().contains("`weir install` installs one"));
    }

    #[test]
    fn a_pod_of_ours_is_known_by_its_init_container_and_shown_with_its_machine() {
        let ours = pod("a", "True", json!({"nodeName": "n", "containers": [], "initContainers": [{"name": "weir-init"}]}));
        let istios = pod("b", "True", json!({"containers": [{"name": "istio-proxy"}], "initContainers": [{"name": "istio-init"}]}));
        assert_eq!((has_proxy(&ours), has_proxy(&istios)), (true, false));
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "n", "labels": {
            "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-a"}}}))
        .unwrap();
        let expected = Place {
            namespace: "weir-system".into(),
            name: "a".into(),
            node: "n".into(),
            zone: "eu/eu-a".into(),
            version: "v1".into(),
            state: "Running".into(),
        };
        assert_eq!(place(&ours, &[("n".to_string(), zone(&node))].into()), expected);
    }
}
