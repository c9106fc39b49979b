//! Kubernetes Services as the mesh sees them.

use super::workload::{self, Family, Workload};
use crate::object::{Kind, Objects};
use k8s_openapi::api::core::v1::{Service as K8sService, ServicePort as K8sPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

/// A service of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Full name.
    pub host: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// ClusterIPs; none for a headless Service, and none as long as none is assigned.
    pub addresses: Vec<IpAddr>,
    /// `clusterIP: None`: callers choose a pod by its address.
    pub headless: bool,
    /// `trafficDistribution`: near endpoints come first, with or without outlierDetection.
    pub prefers_close: bool,
    /// The labels that a pod must have to be an endpoint; empty: none is.
    pub selector: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<Port>,
    /// The endpoints of a service without a selector: what its EndpointSlices say.
    pub others: Vec<Workload>,
    /// Whether requests to it leave the mesh: it selects no pods, and no endpoint that somebody else named is one.
    pub is_outside: bool,
    /// The pods that it selects, ready or not, by their place in [`super::Mesh::workloads`].
    pub(super) pods: Vec<usize>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The Service's port.
    pub number: u16,
    /// Its name, may be empty.
    pub name: String,
    /// Where the pods listen.
    pub target: Target,
    /// What is spoken.
    pub protocol: Protocol,
}

/// Where a pod listens: a number, or the name of a container's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A number.
    Number(u16),
    /// A name.
    Name(String),
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2, gRPC.
    Http2,
    /// Bytes.
    Tcp,
    /// Not declared: found out from the first bytes.
    Sniffed,
}

impl Protocol {
    /// Whether requests are routed (known or found out to be HTTP).
    pub fn may_be_http(self) -> bool {
        self != Protocol::Tcp
    }

    /// By the prefix of the appProtocol, which stands in for the port's name; else by well-known numbers, else sniffed
    /// (<https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/>).
    pub fn of(app_protocol: Option<&str>, name: &str, number: u16) -> Protocol {
        let word = app_protocol.unwrap_or(name).to_ascii_lowercase();
        let prefix = if word.starts_with("grpc-web") { "grpc-web" } else { word.split('-').next().unwrap_or(&word) };
        let known = match prefix {
            "http" | "kubernetes.io/ws" => Some(Protocol::Http),
            "http2" | "grpc" | "grpc-web" | "kubernetes.io/h2c" => Some(Protocol::Http2),
            "tcp" | "tls" | "https" | "mongo" | "mysql" | "redis" | "kubernetes.io/wss" => Some(Protocol::Tcp),
            _ => None,
        };
        let by_number = if matches!(number, 25 | 53 | 3306 | 27017) { Protocol::Tcp } else { Protocol::Sniffed };
        known.unwrap_or(by_number)
    }
}

impl Service {
    /// The port of that number.
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Whether a pod of these labels and this namespace is one of the service's.
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && !self.selector.is_empty() && subset_of(&self.selector, labels)
    }
}

/// Whether every label that is wanted is there.
pub fn subset_of(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Finds the pods of each service. Each pod is compared with the services that ask for one of its labels alone.
pub(super) fn select(services: &mut BTreeMap<String, Service>, workloads: &[Workload]) {
    let mut by_label: HashMap<(&str, &str, &str), Vec<usize>> = HashMap::new();
    for (index, pod) in workloads.iter().enumerate() {
        for (name, value) in &pod.labels {
            by_label.entry((&pod.namespace, name, value)).or_default().push(index);
        }
    }
    for service in services.values_mut() {
        let rarest = service.selector.iter().map(|(name, value)| {
            by_label.get(&(service.namespace.as_str(), name.as_str(), value.as_str())).map(Vec::as_slice).unwrap_or_default()
        });
        let candidates = rarest.min_by_key(|pods| pods.len()).unwrap_or_default().iter().copied();
        let is_selected = |index: &usize| workloads.get(*index).is_some_and(|pod| service.selects(&pod.namespace, &pod.labels));
        service.pods = candidates.filter(is_selected).collect();
    }
    let pods: HashSet<IpAddr> = workloads.iter().map(|pod| pod.address).collect();
    for service in services.values_mut().filter(|service| service.selector.is_empty()) {
        service.is_outside = !service.others.iter().any(|other| pods.contains(&other.address));
    }
}

pub(super) fn build(objects: &Objects, domain: &str) -> BTreeMap<String, Service> {
    let mut addresses: BTreeMap<(&str, &str), Vec<IpAddr>> = BTreeMap::new();
    for object in objects.iter() {
        if let Kind::IpAddress(address) = &object.kind
            && let Some(parent) = address.spec.as_ref().map(|spec| &spec.parent_ref)
            && let Ok(ip) = object.key.name.parse()
        {
            addresses.entry((parent.namespace.as_deref().unwrap_or_default(), parent.name.as_str())).or_default().push(ip);
        }
    }
    let services = objects.iter().filter_map(|object| match &object.kind {
        Kind::Service(service) => {
            let (name, namespace) = (&object.key.name, &object.key.namespace);
            let assigned = addresses.get(&(namespace.as_str(), name.as_str())).cloned().unwrap_or_default();
            Some(of_kubernetes(service, name, namespace, domain, assigned))
        }
        _ => None,
    });
    let mut services: BTreeMap<_, _> = services.map(|service: Service| (service.host.clone(), service)).collect();
    add_others(objects, domain, &mut services);
    services
}

/// Gives the services that select no pods the endpoints that somebody else wrote: the API server itself is such a service.
fn add_others(objects: &Objects, domain: &str, services: &mut BTreeMap<String, Service>) {
    let nodes = workload::nodes(objects);
    for object in objects.iter() {
        let Kind::EndpointSlice(slice) = &object.kind else { continue };
        let named = object.meta.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name"));
        let Some(name) = named else { continue };
        let Some(service) = services.get_mut(&format!("{name}.{}.svc.{domain}", object.key.namespace)) else { continue };
        if !service.selector.is_empty() {
            continue;
        }
        // A slice's ports are the Service's by name.
        for port in &mut service.ports {
            port.target = Target::Name(port.name.clone());
        }
        let family = service.addresses.first().copied().map(Family::of);
        let endpoints = workload::of_slice(slice, &object.key.namespace, &nodes);
        service.others.extend(endpoints.filter(|endpoint| family.is_none_or(|family| endpoint.families.contains(&family))));
    }
}

fn of_kubernetes(service: &K8sService, name: &str, namespace: &str, domain: &str, assigned: Vec<IpAddr>) -> Service {
    let spec = service.spec.clone().unwrap_or_default();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    // The second is of the other family.
    let all = spec.cluster_ips.as_deref().filter(|all| !all.is_empty()).unwrap_or(spec.cluster_ip.as_slice());
    let own: Vec<IpAddr> = all.iter().filter_map(|ip| ip.parse().ok()).collect();
    let addresses = match (headless, own.is_empty()) {
        (true, _) => Vec::new(),
        (false, false) => own,
        (false, true) => assigned,
    };
    Service {
        host: format!("{name}.{namespace}.svc.{domain}"),
        name: name.into(),
        namespace: namespace.into(),
        addresses,
        headless,
        prefers_close: spec.traffic_distribution.is_some_and(|wish| wish.starts_with("Prefer")),
        selector: spec.selector.unwrap_or_default(),
        ports: spec.ports.unwrap_or_default().iter().filter_map(port).collect(),
        others: Vec::new(),
        is_outside: false,
        pods: Vec::new(),
    }
}

fn port(port: &K8sPort) -> Option<Port> {
    if port.protocol.as_deref().is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    let number = u16::try_from(port.port).ok()?;
    let name = port.name.clone().unwrap_or_default();
    let target = match &port.target_port {
        None => Target::Number(number),
        Some(IntOrString::Int(target)) => Target::Number(u16::try_from(*target).ok()?),
        Some(IntOrString::String(target)) => target.parse().map_or_else(|_| Target::Name(target.clone()), Target::Number),
    };
    Some(Port { number, protocol: Protocol::of(port.app_protocol.as_deref(), &name, number), name, target })
}

#[cfg(test)]
mod tests {
    use super::Protocol::{self, *};

    #[test]
    fn protocol_is_the_app_protocol_then_the_names_prefix_then_the_number() {
        for (app, name, number, expected) in [
            (None, "http", 1, Http),
            (None, "http-product", 1, Http),
            (None, "grpc-x", 1, Http2),
            (None, "http2", 1, Http2),
            (None, "tcp", 80, Tcp),
            (Some("tcp"), "http", 80, Tcp),
            (Some("unknown/thing"), "http", 80, Sniffed),
            (Some("http-x"), "tcp", 80, Http),
            (Some("GRPC-Web"), "tcp", 80, Http2),
            (None, "", 3306, Tcp),
            (None, "", 80, Sniffed),
            (None, "httpx", 80, Sniffed),
        ] {
            assert_eq!(Protocol::of(app, name, number), expected, "{app:?} {name} {number}");
        }
    }
}
