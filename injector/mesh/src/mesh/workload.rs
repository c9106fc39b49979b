//! Running pods: where they are and what they are.

use super::service::{Port, Target};
use crate::finding::{Finding, Severity};
use crate::inject::proxy_config::{ANNOTATION, ProxyConfig};
use crate::object::{Kind, Object, Objects};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A running pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What the pod belongs to, such as a Deployment; of a pod that belongs to nothing its own name. Istio's workload name.
    pub owner: String,
    /// `status.podIP`.
    pub address: IpAddr,
    /// Of which families its addresses are: the first is that of `address`. In a cluster with both, a pod has one of each.
    pub families: Vec<Family>,
    /// Where it runs.
    pub locality: Locality,
    /// Whether it serves: the condition `Ready`.
    pub ready: bool,
    /// Container ports by name.
    pub named_ports: BTreeMap<String, u16>,
    /// How many proxies in front of it are trusted to say in `x-forwarded-for` who called them, if it is a gateway: Istio's
    /// `gatewayTopology.numTrustedProxies`.
    pub trusted_proxies: u32,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// That of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The address at which all of the family's arrive.
    pub fn wildcard(self) -> &'static str {
        match self {
            Family::V4 => "0.0.0.0",
            Family::V6 => "::",
        }
    }
}

/// Region, zone and subzone; empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// For example `eu-west`.
    pub region: String,
    /// For example `eu-west-1`.
    pub zone: String,
    /// For example `rack-7`.
    pub sub_zone: String,
}

impl Locality {
    /// `region/zone/subzone`; parts may be missing.
    pub fn parse(text: &str) -> Locality {
        let mut parts = text.split('/').map(str::to_string);
        let mut part = || parts.next().unwrap_or_default();
        Locality { region: part(), zone: part(), sub_zone: part() }
    }

    /// Where a pod with these labels runs, on a node with those (none where no node is known). Istio's order: the pod's own label, else
    /// region and zone of the node; Kubernetes 1.35 copies these to the pod. A label's value cannot hold `/`, so Istio writes
    /// `region.zone.subzone` there.
    pub fn of(labels: &BTreeMap<String, String>, node: Option<&BTreeMap<String, String>>) -> Locality {
        let place = node.unwrap_or(labels);
        let label = |name: &str| place.get(name).cloned().unwrap_or_default();
        // Before Kubernetes 1.17 the labels had other names.
        let place = |part: &str| match label(&format!("topology.kubernetes.io/{part}")) {
            empty if empty.is_empty() => label(&format!("failure-domain.beta.kubernetes.io/{part}")),
            found => found,
        };
        for name in ["topology.istio.io/locality", "istio-locality"] {
            if let Some(text) = labels.get(name).filter(|text| !text.is_empty()) {
                return Locality::parse(&if text.contains('/') { text.clone() } else { text.replace('.', "/") });
            }
        }
        Locality { region: place("region"), zone: place("zone"), sub_zone: label("topology.istio.io/subzone") }
    }

    /// `region/zone`: how the locality filter names a zone.
    pub fn zone_name(&self) -> String {
        format!("{}/{}", self.region, self.zone)
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.region, self.zone, self.sub_zone)
    }
}

impl Workload {
    /// The number of the port where the pod listens for a service's port; nobody listens on 0.
    pub fn target_port(&self, port: &Port) -> Option<u16> {
        let number = match &port.target {
            Target::Number(number) => Some(*number),
            Target::Name(name) => self.named_ports.get(name).copied(),
        };
        number.filter(|number| *number != 0)
    }
}

/// The labels of nodes by their name.
type Nodes<'a> = HashMap<&'a str, &'a BTreeMap<String, String>>;

pub(super) fn nodes(objects: &Objects) -> Nodes<'_> {
    let node = |object: &'_ Arc<Object>| matches!(object.kind, Kind::Node(_));
    objects.iter().filter(|object| node(object)).filter_map(|node| Some((node.key.name.as_str(), node.meta.labels.as_ref()?))).collect()
}

/// What an EndpointSlice names, by its ports' names. An endpoint that does not say whether it is ready is.
pub(super) fn of_slice(slice: &EndpointSlice, namespace: &str, nodes: &Nodes) -> impl Iterator<Item = Workload> {
    let ports = slice.ports.iter().flatten().filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    let number = |port: Option<i32>| u16::try_from(port?).ok();
    let named_ports: BTreeMap<_, _> = ports.filter_map(|port| Some((port.name.clone().unwrap_or_default(), number(port.port)?))).collect();
    slice.endpoints.iter().flat_map(move |endpoint| {
        let place = |node: &&BTreeMap<String, String>| Locality::of(&BTreeMap::new(), Some(node));
        let of_node = endpoint.node_name.as_deref().and_then(|node| nodes.get(node)).map(place);
        // The nodes of its zone say in which region that is.
        let of_zone = |zone: &String| {
            let known = nodes.values().map(place).find(|place| place.zone == *zone);
            Locality { zone: zone.clone(), sub_zone: String::new(), ..known.unwrap_or_default() }
        };
        let locality = of_node.or_else(|| endpoint.zone.as_ref().map(of_zone)).unwrap_or_default();
        let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        // All addresses of one endpoint are one endpoint's.
        let address: Option<IpAddr> = endpoint.addresses.first().and_then(|address| address.parse().ok());
        let (namespace, named_ports) = (namespace.to_string(), named_ports.clone());
        address.map(|address| Workload {
            name: address.to_string(),
            owner: address.to_string(),
            namespace,
            labels: BTreeMap::new(),
            address,
            families: vec![Family::of(address)],
            locality,
            ready,
            named_ports,
            trusted_proxies: 0,
        })
    })
}

pub(super) fn build(objects: &Objects, findings: &mut Vec<Finding>) -> Vec<Workload> {
    let nodes = nodes(objects);
    let pods = objects.iter().filter_map(|object| match &object.kind {
        Kind::Pod(pod) => {
            let workload = of_pod(pod, &object.key.name, &object.key.namespace, &nodes)?;
            let trusted_proxies = trusted_proxies(pod).unwrap_or_else(|error| {
                let field = format!("metadata.annotations.{ANNOTATION}");
                findings.push(object.finding(Severity::Warning, None, &field, format!("{error}; no proxy in front of it is trusted")));
                0
            });
            Some(Workload { trusted_proxies, ..workload })
        }
        _ => None,
    });
    pods.collect()
}

/// Many pods have the annotation, and few say this there: the others' is not read each time.
fn trusted_proxies(pod: &Pod) -> Result<u32, String> {
    let text = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    let Some(text) = text.filter(|text| text.contains("numTrustedProxies")) else { return Ok(0) };
    ProxyConfig::read(text, |_| {}).map(|config| config.gateway_topology.num_trusted_proxies)
}

/// The name of a pod's owner: of a ReplicaSet its Deployment's (or Rollout's), whose name it has before the template's hash.
fn owner(pod: &Pod, labels: &BTreeMap<String, String>) -> Option<String> {
    let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let hash = ["pod-template-hash", "rollouts-pod-template-hash"].into_iter().find_map(|label| labels.get(label));
    let of_set = || owner.name.strip_suffix(hash?)?.strip_suffix('-');
    let name = if owner.kind == "ReplicaSet" { of_set() } else { None };
    Some(name.unwrap_or(&owner.name).to_string())
}

fn of_pod(pod: &Pod, name: &str, namespace: &str, nodes: &Nodes) -> Option<Workload> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.as_ref()?.parse().ok()?;
    let mut families = vec![Family::of(address)];
    let others = status.pod_ips.iter().flatten().filter_map(|other| Some(Family::of(other.ip.parse().ok()?)));
    families.extend(others.filter(|other| *other != Family::of(address)).take(1));
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| nodes.get(spec.node_name.as_deref()?)).copied();
    let ready = status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let ports = pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten());
    let named_ports = ports.filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?))).collect();
    Some(Workload {
        name: name.into(),
        owner: owner(pod, &labels).unwrap_or_else(|| name.into()),
        namespace: namespace.into(),
        locality: Locality::of(&labels, node),
        labels,
        address,
        families,
        ready,
        named_ports,
        trusted_proxies: 0,
    })
}
