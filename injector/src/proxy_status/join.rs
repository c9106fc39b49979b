//! One line for each proxy: the nodes of all replicas of the control plane, joined with the pods that have a proxy.

use super::{Place, Seen};
use crate::ads::status::{FindingStatus, NodeStatus, Syncz, TypeStatus};
use serde::Serialize;
use std::collections::BTreeMap;

/// All that is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Sorted by namespace and name.
    pub proxies: Vec<Proxy>,
    /// What is wrong with the user's objects.
    pub findings: Vec<FindingStatus>,
}

/// A proxy.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Its pod's namespace.
    pub namespace: String,
    /// Its pod.
    pub name: String,
    /// Whether it is connected to a control plane.
    pub connected: bool,
    /// Why it may not be, in a word or two: the state of its pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// The replica that it is connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<String>,
    /// Its node id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Region and zone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// The label `version` of its pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// By the type's short name: `CDS`, ...
    pub types: BTreeMap<String, TypeStatus>,
}

impl From<Syncz> for Seen {
    fn from(syncz: Syncz) -> Seen {
        Seen { nodes: syncz.nodes.into_iter().map(|node| (None, node)).collect(), findings: syncz.findings, ..Seen::default() }
    }
}

/// Joins them; of one namespace, or of all.
pub fn join(seen: Seen, namespace: Option<&str>) -> Status {
    let mut places: BTreeMap<(String, String), Place> =
        seen.pods.into_iter().map(|place| ((place.namespace.clone(), place.name.clone()), place)).collect();
    // A proxy that changes its replica is known to both for a moment.
    let mut connected = BTreeMap::new();
    for (replica, node) in seen.nodes {
        connected.insert(names(&node.node), (replica, node));
    }
    let mut proxies: Vec<Proxy> = Vec::new();
    for (key, (replica, node)) in connected {
        let place = places.remove(&key).unwrap_or_default();
        proxies.push(proxy(key, Some((replica, node)), Place { state: String::new(), ..place }));
    }
    proxies.extend(places.into_iter().map(|(key, place)| proxy(key, None, place)));
    proxies.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    proxies.retain(|proxy| namespace.is_none_or(|wanted| proxy.namespace == wanted));
    let mut findings = seen.findings;
    findings.retain(|finding| namespace.is_none_or(|wanted| finding.is_of(wanted)));
    Status { proxies, findings }
}

fn proxy((namespace, name): (String, String), connection: Option<(Option<String>, NodeStatus)>, place: Place) -> Proxy {
    let Place { node, zone, version, state, .. } = place;
    let connected = connection.is_some();
    let (control_plane, id, types) = connection.map_or_else(Default::default, |(replica, status)| (replica, status.node, status.types));
    Proxy { namespace, name, connected, state, control_plane, id, node, zone, version, types }
}

/// Namespace and name of a node id's pod.
pub fn names(id: &str) -> (String, String) {
    let name = id.split('~').nth(2).unwrap_or(id);
    let (name, namespace) = name.rsplit_once('.').unwrap_or((name, ""));
    (namespace.into(), name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(pod: &str) -> NodeStatus {
        NodeStatus { node: format!("sidecar~198.18.1.2~{pod}~shop.svc.cluster.local"), protocol: "delta".into(), types: BTreeMap::new() }
    }

    fn place(namespace: &str, name: &str) -> Place {
        Place {
            namespace: namespace.into(),
            name: name.into(),
            node: "worker".into(),
            zone: "eu/a".into(),
            version: "v1".into(),
            state: "Running".into(),
        }
    }

    fn line(proxy: &Proxy) -> (String, bool, Option<&str>, &str, &str) {
        let name = format!("{}.{}", proxy.name, proxy.namespace);
        (name, proxy.connected, proxy.control_plane.as_deref(), &proxy.zone, &proxy.state)
    }

    fn seen() -> Seen {
        let nodes = [("weir-1", "b.shop"), ("weir-2", "a.shop"), ("weir-2", "c.bank")];
        Seen {
            nodes: nodes.map(|(replica, pod)| (Some(replica.to_string()), node(pod))).into(),
            pods: vec![place("shop", "a"), place("shop", "lost"), place("bank", "c")],
            ..Seen::default()
        }
    }

    #[test]
    fn proxies_of_all_replicas_stand_together_with_those_that_are_connected_to_none() {
        let status = join(seen(), None);
        let expected = [
            ("c.bank".to_string(), true, Some("weir-2"), "eu/a", ""),
            ("a.shop".to_string(), true, Some("weir-2"), "eu/a", ""),
            ("b.shop".to_string(), true, Some("weir-1"), "", ""),
            ("lost.shop".to_string(), false, None, "eu/a", "Running"),
        ];
        assert_eq!(status.proxies.iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_namespace_hides_the_others() {
        let status = join(seen(), Some("bank"));
        assert_eq!(status.proxies.iter().map(line).collect::<Vec<_>>(), [("c.bank".to_string(), true, Some("weir-2"), "eu/a", "")]);
    }
}
