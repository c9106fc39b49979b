//! What a cluster's own parts know: which pods there are, their addresses, and the Services' addresses and names.
//!
//! The control plane reads it from two files, as it would read it from an API server.

use super::plan::container::PROXY;
use super::plan::{Address, Service, selects};
use super::pod::{Handle, Phase};
use super::rundir::RunDir;
use crate::files::write_atomically;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Where ClusterIPs begin: 198.19.0.0/16.
const FIRST_CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
/// Where pods' addresses begin: 198.18.0.0/16 without its first 256.
const FIRST_POD_IP: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
/// How many addresses follow the first ones.
const ADDRESSES: u32 = 65_000;

/// Hands out addresses in turn, so that one that was given back is not used again soon.
#[derive(Debug)]
pub struct Pool {
    first: u32,
    next: u32,
}

impl Pool {
    /// Addresses of pods.
    pub fn pods() -> Pool {
        Pool { first: FIRST_POD_IP.to_bits(), next: 0 }
    }

    /// ClusterIPs.
    pub fn services() -> Pool {
        Pool { first: FIRST_CLUSTER_IP.to_bits(), next: 0 }
    }

    /// The next address that `taken` does not have.
    pub fn take(&mut self, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        (0..ADDRESSES).find_map(|_| {
            let ip = Ipv4Addr::from_bits(self.first + self.next);
            self.next = (self.next + 1) % ADDRESSES;
            (!taken(ip)).then_some(ip)
        })
    }
}

/// The ClusterIPs by namespace and name of the Service.
pub type Addresses = BTreeMap<(String, String), Ipv4Addr>;

/// Gives each Service that wants one an address; one that has one keeps it.
pub fn addresses(services: &[Service], before: &Addresses, pool: &mut Pool) -> Addresses {
    let key = |service: &Service| (service.namespace.clone(), service.name.clone());
    let mut addresses: Addresses = services
        .iter()
        .filter_map(|service| match service.address {
            Address::Fixed(ip) => Some((key(service), ip)),
            Address::Any => before.get(&key(service)).map(|ip| (key(service), *ip)),
            Address::Headless | Address::Elsewhere => None,
        })
        .collect();
    for service in services.iter().filter(|service| service.address == Address::Any) {
        if !addresses.contains_key(&key(service))
            && let Some(ip) = pool.take(|ip| addresses.values().any(|taken| *taken == ip))
        {
            addresses.insert(key(service), ip);
        }
    }
    addresses
}

/// The names that resolve.
pub fn names(services: &[Service], addresses: &Addresses, pods: &[&Handle]) -> BTreeMap<String, Vec<Ipv4Addr>> {
    let resolve = |service: &Service| match service.address {
        Address::Headless => {
            let ready = pods.iter().filter(|pod| pod.status.borrow().ready);
            let behind = ready
                .filter(|pod| pod.identity.plan.namespace == service.namespace && selects(&service.selector, &pod.identity.plan.labels));
            behind.map(|pod| pod.identity.ip).collect()
        }
        _ => addresses.get(&(service.namespace.clone(), service.name.clone())).copied().into_iter().collect(),
    };
    services
        .iter()
        .map(|service| (format!("{}.{}.svc.cluster.local", service.name, service.namespace).to_ascii_lowercase(), resolve(service)))
        .collect()
}

/// The Pod objects. A pod that is being stopped stays, without being ready, so that its Envoy keeps its configuration meanwhile.
pub fn pod_objects<'a>(pods: impl IntoIterator<Item = &'a Handle>) -> String {
    let objects = pods.into_iter().filter_map(|pod| {
        let status = pod.status.borrow().clone();
        matches!(status.phase, Phase::Up | Phase::Stopping).then(|| pod_object(pod, status.ready))
    });
    documents(objects)
}

fn pod_object(pod: &Handle, ready: bool) -> Value {
    let plan = &pod.identity.plan;
    let labels: BTreeMap<_, _> = plan.labels.clone().into_iter().chain(plan.zone.labels()).collect();
    let object = |name: &str, image: &str, ports: &[(Option<String>, u16)]| {
        let ports = ports.iter().map(|(name, port)| match name {
            Some(name) => json!({"name": name, "containerPort": port}),
            None => json!({"containerPort": port}),
        });
        json!({"name": name, "image": image, "ports": ports.collect::<Vec<_>>()})
    };
    let containers = plan.containers.iter().map(|container| object(&container.name, &container.image, &container.ports));
    let mut containers: Vec<_> = containers.collect();
    if containers.is_empty() {
        containers.push(object(PROXY, "envoy", &plan.proxy_ports));
    }
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.owner, "uid": "", "controller": true});
    let owners: Vec<_> = (plan.owner != plan.slot).then_some(owner).into_iter().collect();
    let (name, annotations) = (&pod.identity.name, &plan.annotations);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": plan.namespace, "labels": labels, "annotations": annotations, "ownerReferences": owners,
        },
        "spec": {"serviceAccountName": plan.service_account, "nodeName": format!("node-{}", plan.zone.zone), "containers": containers},
        "status": {
            "podIP": pod.identity.ip,
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        },
    })
}

/// The IPAddress objects, one for each ClusterIP that the Service does not name itself.
pub fn address_objects(services: &[Service], addresses: &Addresses) -> String {
    let chosen = services.iter().filter(|service| service.address == Address::Any);
    documents(chosen.filter_map(|service| {
        let ip = addresses.get(&(service.namespace.clone(), service.name.clone()))?;
        Some(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": ip},
            "spec": {"parentRef": {"group": "", "resource": "services", "namespace": service.namespace, "name": service.name}},
        }))
    }))
}

fn documents(objects: impl IntoIterator<Item = Value>) -> String {
    objects.into_iter().fold(String::new(), |mut text, object| {
        // Writing to a String cannot fail.
        let _ = write!(text, "---\n{object:#}\n");
        text
    })
}

/// The files with the cluster's state, written when it changes.
#[derive(Debug, Default)]
pub struct Files {
    written: BTreeMap<&'static str, String>,
}

impl Files {
    /// Writes `text` as the file `name`, unless it has this text already.
    pub fn write(&mut self, dir: &RunDir, name: &'static str, text: String) -> Result<()> {
        if self.written.get(name) != Some(&text) {
            write_atomically(&dir.cluster().join(name), &text)?;
            self.written.insert(name, text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Labels;
    use super::*;

    fn service(name: &str, address: Address) -> Service {
        Service { namespace: "n".into(), name: name.into(), address, selector: Labels::new() }
    }

    #[test]
    fn a_service_keeps_its_address_and_a_new_one_gets_a_fresh_one() {
        let mut pool = Pool::services();
        let fixed = Ipv4Addr::new(198, 19, 0, 2);
        let services =
            [service("a", Address::Any), service("b", Address::Fixed(fixed)), service("c", Address::Headless), service("d", Address::Any)];
        let key = |name: &str| ("n".to_string(), name.to_string());
        let first = addresses(&services, &Addresses::new(), &mut pool);
        let ip = |last| Ipv4Addr::new(198, 19, 0, last);
        assert_eq!(first, Addresses::from([(key("a"), ip(1)), (key("b"), fixed), (key("d"), ip(3))]));
        let second = addresses(&[service("e", Address::Any), service("d", Address::Any)], &first, &mut pool);
        assert_eq!(second, Addresses::from([(key("d"), ip(3)), (key("e"), ip(4))]));
    }
}
