//! Gateways: which pods they are, on which ports they are reached from outside, and by which URLs.

use super::{Labels, Options, Pod, Proxy, Service, is_tcp, selects, zone};
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_mesh::object::gateway::Server;
use weir_mesh::object::{Kind, Objects};

/// Where gateways run that no manifest deploys, as Istio's default one does.
const NAMESPACE: &str = "istio-system";
/// The labels of Istio's default gateway: Gateways select it by either.
const DEFAULT: [(&str, &str); 2] = [("app", "istio-ingressgateway"), ("istio", "ingressgateway")];

/// The gateway of one selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Its pods' name, without their numbers.
    pub name: String,
    /// The namespaces of its Gateway objects.
    pub namespaces: BTreeSet<String>,
    /// Which pods it is; no other gateway of a plan has the same.
    pub selector: Labels,
    /// Its ports that are served, with the hosts served there.
    pub ports: BTreeMap<u16, Port>,
    /// What is said of its other ports.
    pub unserved: BTreeSet<String>,
}

/// A port of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Where the pods listen for it.
    pub target: u16,
    /// Whether it speaks HTTP, so that URLs reach it.
    pub http: bool,
    /// The hosts, as the Gateways write them, without their namespace.
    pub hosts: BTreeSet<String>,
}

/// The gateways of all Gateway objects. One that no planned pod is gets a pod of its own, added to `pods`.
pub fn plan(objects: &Objects, options: &Options, services: &[(Service, ServiceSpec)], pods: &mut Vec<Pod>) -> Vec<Gateway> {
    let mut gateways: BTreeMap<Labels, Gateway> = BTreeMap::new();
    for object in objects.iter() {
        if let Kind::Gateway(spec) = &object.kind
            && !spec.selector.is_empty()
        {
            let selector = selector_of(&spec.selector, pods);
            let gateway = gateways.entry(selector).or_default();
            gateway.namespaces.insert(object.key.namespace.clone());
            spec.servers.iter().for_each(|server| gateway.add(server));
        }
    }
    let deployed = pods.len();
    let mut planned = Vec::new();
    for (selector, gateway) in gateways {
        let name = name_of(&selector);
        if !pods.iter().take(deployed).any(|pod| selects(&selector, &pod.labels)) {
            pods.push(pod(&name, &selector, options));
        }
        let ports = gateway.ports.into_iter().map(|(number, port)| {
            let pod = pods.iter().find(|pod| selects(&selector, &pod.labels));
            let target = pod.and_then(|pod| target(services, pod, number)).unwrap_or(number);
            (number, Port { target, ..port })
        });
        let ports = ports.collect();
        planned.push(Gateway { name, selector, ports, ..gateway });
    }
    planned
}

/// The selector; of one that means Istio's default gateway, which no manifest deploys, all the labels of that.
fn selector_of(selector: &Labels, pods: &[Pod]) -> Labels {
    let default: Labels = DEFAULT.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let deployed = pods.iter().any(|pod| selects(selector, &pod.labels));
    if !deployed && selects(selector, &default) { default } else { selector.clone() }
}

impl Gateway {
    /// Tells it from the others, also from those of other plans.
    pub fn key(&self) -> String {
        let labels = self.selector.iter().map(|(name, value)| format!("{name}={value}"));
        labels.collect::<Vec<_>>().join(",")
    }

    fn add(&mut self, server: &Server) {
        let number = server.port.number;
        if !server.is_served() {
            self.unserved.insert(format!("port {number}: {} is not served yet", server.port.protocol));
            return;
        }
        let port = self.ports.entry(number).or_default();
        port.http |= server.is_http();
        port.hosts.extend(server.hosts.iter().map(|host| host.rsplit('/').next().unwrap_or(host).to_string()));
    }
}

/// Where a pod listens for a Gateway's port: at the target of a Service with that port, as Istio has it and the control plane.
fn target(services: &[(Service, ServiceSpec)], pod: &Pod, number: u16) -> Option<u16> {
    let selecting = services.iter().filter(|(service, _)| service.namespace == pod.namespace && selects(&service.selector, &pod.labels));
    let ports =
        selecting.filter_map(|(_, spec)| spec.ports.iter().flatten().find(|port| port.port == i32::from(number) && is_tcp(&port.protocol)));
    let named = |name: &str| {
        let ports = pod.containers.iter().flat_map(|container| &container.ports).chain(&pod.proxy_ports);
        ports.filter(|(known, _)| known.as_deref() == Some(name)).map(|(_, port)| *port).next()
    };
    let targets = ports.map(|port| match &port.target_port {
        Some(IntOrString::Int(target)) => u16::try_from(*target).ok(),
        Some(IntOrString::String(name)) => named(name),
        None => Some(number),
    });
    targets.flatten().next()
}

/// `istio: ingressgateway` is `istio-ingressgateway`, as Istio names it; other selectors are their values.
fn name_of(selector: &Labels) -> String {
    if DEFAULT.iter().all(|(name, value)| selector.get(*name).is_some_and(|known| known == value)) {
        return "istio-ingressgateway".into();
    }
    let parts = selector.iter().map(|(key, value)| if key == "istio" { format!("istio-{value}") } else { value.clone() });
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase().replace(['_', '.'], "-")
}

fn pod(name: &str, selector: &Labels, options: &Options) -> Pod {
    Pod {
        namespace: NAMESPACE.into(),
        slot: format!("{name}-0"),
        owner: name.into(),
        proxy: Proxy::Gateway,
        proxy_ports: Vec::new(),
        labels: selector.clone(),
        annotations: Labels::new(),
        zone: zone::of(&Labels::new(), 0, &options.zones),
        service_account: name.into(),
        containers: Vec::new(),
        grace: Duration::from_secs(5),
    }
}

impl Port {
    /// How the port is reached that is `outside` on this machine: by every host that resolves here without help, and by address.
    pub fn urls(&self, outside: u16) -> Vec<String> {
        if !self.http {
            return vec![format!("127.0.0.1:{outside}")];
        }
        let local = self.hosts.iter().filter(|host| !host.contains('*') && (host.as_str() == "localhost" || host.ends_with(".localhost")));
        let address = self.hosts.iter().any(|host| !host.ends_with("localhost")).then(|| "127.0.0.1".to_string());
        local.cloned().chain(address).map(|host| format!("http://{host}:{outside}/")).collect()
    }
}
