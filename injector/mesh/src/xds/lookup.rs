//! What one node sees of the mesh.

use crate::mesh::Mesh;
use crate::mesh::policy::Policies;
use crate::mesh::rule::{Policy, Rule};
use crate::mesh::service::{Port, Service};
use crate::mesh::virtual_service::{MESH, VirtualService};
use crate::mesh::workload::Workload;
use crate::node::Role;
use crate::object::destination_rule::{LocalityLbSetting, SimpleLoadBalancer, Subset};
use crate::object::virtual_service::Destination;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The mesh as one node sees it.
pub(crate) struct View<'a> {
    pub mesh: &'a Mesh,
    pub workload: &'a Workload,
    pub role: Role,
    pub policies: Arc<Policies>,
}

/// A group of endpoints that Envoy knows as one cluster.
pub(crate) struct Target<'a> {
    pub service: &'a Service,
    pub port: &'a Port,
    pub subset: Option<&'a Subset>,
    pub rule: Option<&'a Rule>,
    pub policy: Policy,
    /// Set where priorities by locality apply.
    pub locality: Option<LocalityLbSetting>,
}

impl<'a> View<'a> {
    /// The VirtualServices for a gateway (`namespace/name` or `mesh`) that the node sees, in Istio's order: those for the
    /// node's own namespace alone, those exported to it by name, then those for all; of each kind the oldest first.
    pub fn virtual_services(&self, gateway: &str) -> impl Iterator<Item = &'a VirtualService> {
        let namespace = self.workload.namespace.as_str();
        let visible = |owner: &&VirtualService| owner.is_for(gateway) && owner.is_visible_in(namespace);
        let mut found: Vec<&VirtualService> = self.mesh.virtual_services.iter().filter(visible).collect();
        found.sort_by_key(|owner| owner.reach());
        found.into_iter()
    }

    /// The longest time for one try at each host, where every route to it limits that (`perTryTimeout`): a sidecar's routes, or the
    /// gateways'.
    pub fn longest_tries(&self) -> BTreeMap<&'a str, Duration> {
        let concerns = |owner: &&VirtualService| match self.role {
            Role::Sidecar => owner.is_for(MESH),
            Role::Router => owner.gateways.iter().any(|gateway| gateway != MESH),
        };
        let visible = |owner: &&VirtualService| owner.is_visible_in(&self.workload.namespace);
        let owners = self.mesh.virtual_services.iter().filter(concerns).filter(visible);
        let mut limits: BTreeMap<&str, Option<Duration>> = BTreeMap::new();
        for (host, limit) in owners.flat_map(VirtualService::tries) {
            let longest = limits.entry(host).or_insert(limit);
            *longest = longest.zip(limit).map(|(one, other)| one.max(other));
        }
        limits.into_iter().filter_map(|(host, limit)| Some((host, limit?))).collect()
    }

    /// All clusters of a service's port: the whole, then each subset.
    pub fn targets(&self, service: &'a Service, port: &'a Port) -> Vec<Target<'a>> {
        let rule = self.mesh.rule(&self.workload.namespace, &service.host);
        let subsets = rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default();
        std::iter::once(None).chain(subsets.iter().map(Some)).map(|subset| self.target(service, port, rule, subset)).collect()
    }

    /// The cluster's target of a destination, if service, port and subset exist.
    pub fn find(&self, destination: &Destination, listener_port: u16) -> Option<Target<'a>> {
        let service = self.mesh.services.get(&destination.host)?;
        let port = service.port(port_number(self.mesh, destination, listener_port))?;
        let rule = self.mesh.rule(&self.workload.namespace, &service.host);
        let subset = match destination.subset.as_str() {
            "" => None,
            name => Some(rule?.subset(name)?),
        };
        Some(self.target(service, port, rule, subset))
    }

    fn target(&self, service: &'a Service, port: &'a Port, rule: Option<&'a Rule>, subset: Option<&'a Subset>) -> Target<'a> {
        let policy = rule.map(|rule| rule.policy(subset, port.number)).unwrap_or_default();
        let setting = crate::mesh::priority::of_policy(&policy);
        // Istio activates priorities by outlierDetection or the Service's trafficDistribution; a locality policy of ours does so
        // too. Shares need none of these.
        let active = policy.outlier_detection.is_some()
            || service.prefers_close
            || !setting.distribute.is_empty()
            || self.policies.has_locality(&service.host);
        let locality = (active && setting.enabled != Some(false)).then_some(setting);
        Target { service, port, subset, rule, policy, locality }
    }
}

impl<'a> Target<'a> {
    /// `outbound|PORT|SUBSET|HOST`.
    pub fn cluster_name(&self) -> String {
        cluster_name(self.port.number, self.subset.map_or("", |subset| &subset.name), &self.service.host)
    }

    /// The pods that serve it, each with its port.
    pub fn endpoints(&self, mesh: &'a Mesh) -> Vec<(&'a Workload, u16)> {
        let in_subset = |pod: &Workload| self.subset.is_none_or(|subset| crate::mesh::service::subset_of(&subset.labels, &pod.labels));
        let pods = mesh.pods(self.service).filter(|pod| pod.ready && in_subset(pod));
        pods.filter_map(|pod| Some((pod, pod.target_port(self.port)?))).collect()
    }

    /// The user's objects that it was made from.
    pub fn objects(&self) -> Vec<String> {
        let service = format!("Service {}/{}", self.service.namespace, self.service.name);
        self.rule.iter().flat_map(|rule| rule.objects.iter().cloned()).chain([service]).collect()
    }

    /// Whether its endpoints stand in several priorities, so that retries can leave a zone that fails.
    /// `distribute` excludes failover (`istio-semantics` 18).
    pub fn has_priorities(&self) -> bool {
        self.locality.as_ref().is_some_and(|setting| setting.distribute.is_empty())
    }

    /// Whether its localities have shares.
    pub fn has_shares(&self) -> bool {
        self.locality.as_ref().is_some_and(|setting| !setting.distribute.is_empty())
    }

    /// Whether a caller means one address: of a headless Service that of a pod (`istio-semantics` 23), with `simple: PASSTHROUGH`
    /// any. A subset of a headless Service, a locality policy or a gateway, which no address leads through, choose among the pods.
    pub fn is_by_address(&self, view: &View) -> bool {
        let balancer = self.policy.load_balancer.as_ref();
        let passes = balancer.is_some_and(|balancer| balancer.simple == Some(SimpleLoadBalancer::Passthrough));
        let by_pod = self.service.headless && self.subset.is_none();
        (passes || by_pod) && view.role == Role::Sidecar && !view.policies.has_locality(&self.service.host)
    }
}

/// Envoy's name of a cluster, as Istio has it.
pub(crate) fn cluster_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// A destination's port: the one named, else the service's only one, else the listener's (`istio-semantics` 6).
pub(crate) fn port_number(mesh: &Mesh, destination: &Destination, listener_port: u16) -> u16 {
    if let Some(port) = &destination.port {
        return port.number;
    }
    match mesh.services.get(&destination.host).map(|service| service.ports.as_slice()) {
        Some([only]) => only.number,
        _ => listener_port,
    }
}
