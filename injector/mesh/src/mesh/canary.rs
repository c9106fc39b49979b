//! The canaries of the mesh, for who sums up what their governors see and steers them.

use super::host::full_name;
use super::plugin::{Filter, Plugin};
use super::policy::{destinations, first, name_of};
use super::virtual_service::VirtualService;
use super::workload::Workload;
use super::{Mesh, ROOT_NAMESPACE};
use crate::finding::{Finding, Severity};
use crate::object::{Object, Objects};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use weir_policy::canary::Governor;
use weir_policy::canary::governor::EVERYONE;

/// The code of a finding that tells of a canary that is held back.
pub const HELD_BACK: &str = "CanaryHeldBack";

/// What a canary is called: by filters too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The service whose versions are compared: the first host of its policy, in full.
    pub service: String,
    /// The canary's subset, or the first label of its host.
    pub canary: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.canary)
    }
}

/// What holds for a canary in the whole mesh, whatever single proxies know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What part of its users may go to it, in ten thousandths.
    pub share: u16,
    /// Grows when proxies are to forget what they know of it.
    pub round: u32,
    /// Since when it is not all of them, in seconds since 1970.
    pub since: u32,
    /// Why it is so, for people.
    pub why: String,
}

/// Of the canaries for which anything holds.
pub type Orders = BTreeMap<Name, Order>;

/// A canary: a destination beside the stable in a route of a service with a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// Its name.
    pub name: Name,
    /// The service's namespace, or that of who names it.
    pub namespace: String,
    /// What it is compared with.
    pub stable: String,
    /// What routes give it, in percent: each weight once.
    pub weights: Vec<f64>,
    /// What compares it, if anything does.
    pub governor: Option<Governor>,
    /// The VirtualServices with those routes.
    pub virtual_services: BTreeSet<String>,
    /// The plugins with a policy for it, by their resources' names.
    pub plugins: BTreeSet<String>,
}

impl Canary {
    /// Whether a workload's proxy has a policy for it.
    pub fn concerns(&self, mesh: &Mesh, workload: &Workload) -> bool {
        mesh.plugins.iter().any(|plugin| self.plugins.contains(&plugin.resource_name()) && plugin.selects(workload))
    }
}

/// All of a mesh, sorted by name.
pub(super) fn build(mesh: &Mesh) -> Vec<Canary> {
    let mut found = BTreeMap::new();
    for plugin in &mesh.plugins {
        let Filter::Canary(config) = &plugin.filter else { continue };
        for policy in &config.canaries {
            let named: Vec<String> = policy.hosts.iter().map(|host| full_name(host, &plugin.namespace, &mesh.domain)).collect();
            let mut hosts: Vec<String> = named.iter().filter(|host| !host.contains('*')).cloned().collect();
            hosts.extend(destinations(mesh, plugin, &named));
            let Some(stable) = policy.stable.clone().or_else(|| first(mesh, &hosts)) else { continue };
            for owner in &mesh.virtual_services {
                add(&mut found, mesh, plugin, &hosts, &stable, owner, policy.governor.as_ref());
            }
        }
    }
    found.into_values().collect()
}

/// Adds the canaries of a VirtualService's routes to the hosts.
fn add(
    found: &mut BTreeMap<Name, Canary>,
    mesh: &Mesh,
    plugin: &Plugin,
    hosts: &[String],
    stable: &str,
    owner: &VirtualService,
    governor: Option<&Governor>,
) {
    if plugin.namespace != ROOT_NAMESPACE && !owner.is_visible_in(&plugin.namespace) {
        return;
    }
    for route in owner.http.iter().filter(|route| route.route.len() > 1) {
        let total: f64 = route.route.iter().filter_map(|choice| choice.weight).sum();
        for choice in route.route.iter().filter(|choice| hosts.contains(&choice.destination.host) && name_of(choice) != stable) {
            let Some(service) = hosts.first().cloned() else { continue };
            let namespace = mesh.services.get(&service).map_or(&owner.namespace, |service| &service.namespace).clone();
            let canary = found.entry(Name { service, canary: name_of(choice).into() }).or_insert_with_key(|name| Canary {
                name: name.clone(),
                namespace,
                stable: stable.into(),
                weights: Vec::new(),
                governor: None,
                virtual_services: BTreeSet::new(),
                plugins: BTreeSet::new(),
            });
            let weight = choice.weight.filter(|_| total > 0.0).map_or(0.0, |weight| weight / total * 100.0);
            if !canary.weights.contains(&weight) {
                canary.weights.push(weight);
            }
            canary.governor = canary.governor.take().or_else(|| governor.cloned());
            canary.virtual_services.insert(owner.object.clone());
            canary.plugins.insert(plugin.resource_name());
        }
    }
}

/// Tells at the VirtualServices of those that have less than their weights give them.
pub(super) fn tell(mesh: &Mesh, objects: &Objects, orders: &Orders, findings: &mut Vec<Finding>) {
    let held = mesh.canaries.iter().filter_map(|canary| Some((canary, orders.get(&canary.name).filter(|order| order.share < EVERYONE)?)));
    for (canary, Order { share, why, .. }) in held {
        let name = &canary.name;
        let (severity, message) = match share {
            0 => (Severity::Warning, format!("the canary {} of {} is held back: {why}", name.canary, name.service)),
            _ => (Severity::Info, format!("the canary {} of {} has a part of its users again: {why}", name.canary, name.service)),
        };
        let is_owner = |object: &&Object| object.key.kind == "VirtualService" && canary.virtual_services.contains(&object.key.to_string());
        let owners = objects.iter().map(AsRef::as_ref).filter(is_owner);
        findings.extend(owners.map(|object| object.finding(severity, Some(HELD_BACK), "spec.http", message.clone())));
    }
}
