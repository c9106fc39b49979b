//! Gateways: which pods they are, on which ports they are reached from outside, and by which URLs.

use super::{Labels, Options, Pod, Proxy, selects, zone};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_mesh::object::gateway::Server;
use weir_mesh::object::{Kind, Objects};

/// Where gateways run that no manifest deploys, as Istio's default one does.
const NAMESPACE: &str = "istio-system";

/// The gateway of one selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its pods' name, without their numbers.
    pub name: String,
    /// Which pods it is.
    pub selector: Labels,
    /// Its ports, with the hosts served there.
    pub ports: BTreeMap<u16, Port>,
}

/// A port of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it speaks HTTP, so that URLs reach it.
    pub http: bool,
    /// The hosts, as the Gateways write them, without their namespace.
    pub hosts: BTreeSet<String>,
}

/// The gateways of all Gateway objects. One that no planned pod is gets a pod of its own, added to `pods`.
pub fn plan(objects: &Objects, options: &Options, pods: &mut Vec<Pod>) -> Vec<Gateway> {
    let mut gateways: BTreeMap<Labels, BTreeMap<u16, Port>> = BTreeMap::new();
    for object in objects.iter() {
        if let Kind::Gateway(gateway) = &object.kind
            && !gateway.selector.is_empty()
        {
            let ports = gateways.entry(gateway.selector.clone()).or_default();
            for server in &gateway.servers {
                add(ports.entry(server.port.number).or_default(), server);
            }
        }
    }
    let mut planned = Vec::new();
    for (selector, ports) in gateways {
        let name = name_of(&selector);
        if !pods.iter().any(|pod| selects(&selector, &pod.labels)) {
            pods.push(pod(&name, &selector, options));
        }
        planned.push(Gateway { name, selector, ports });
    }
    planned
}

fn add(port: &mut Port, server: &Server) {
    let protocol = server.port.protocol.to_ascii_uppercase();
    port.tls |= matches!(protocol.as_str(), "HTTPS" | "TLS");
    port.http |= !matches!(protocol.as_str(), "TCP" | "TLS" | "MONGO" | "REDIS" | "MYSQL");
    port.hosts.extend(server.hosts.iter().map(|host| host.rsplit('/').next().unwrap_or(host).to_string()));
}

/// `istio: ingressgateway` is `istio-ingressgateway`, as Istio names it; other selectors are their values.
fn name_of(selector: &Labels) -> String {
    let parts = selector.iter().map(|(key, value)| if key == "istio" { format!("istio-{value}") } else { value.clone() });
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase().replace(['_', '.'], "-")
}

fn pod(name: &str, selector: &Labels, options: &Options) -> Pod {
    Pod {
        namespace: NAMESPACE.into(),
        slot: format!("{name}-0"),
        proxy: Proxy::Gateway,
        labels: selector.clone(),
        annotations: Labels::new(),
        zone: zone::of(&Labels::new(), &Default::default(), 0, &options.zones),
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
        let scheme = if self.tls { "https" } else { "http" };
        let local = self.hosts.iter().filter(|host| !host.contains('*') && (host.as_str() == "localhost" || host.ends_with(".localhost")));
        let address = self.hosts.iter().any(|host| !host.ends_with("localhost")).then(|| "127.0.0.1".to_string());
        local.cloned().chain(address).map(|host| format!("{scheme}://{host}:{outside}/")).collect()
    }
}
