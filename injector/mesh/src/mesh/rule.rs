//! DestinationRules: united by host, and the policy that holds for one subset and port.

use super::host;
use crate::object::destination_rule::{ConnectionPool, DestinationRule, LoadBalancer, OutlierDetection, Subset, TrafficPolicy};
use crate::object::{Kind, Objects};

/// The DestinationRules of one namespace for one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where the rules are.
    pub namespace: String,
    /// Full name or wildcard.
    pub host: String,
    /// Namespaces that see the rule; empty: all.
    pub export_to: Vec<String>,
    /// For all subsets.
    pub policy: Option<TrafficPolicy>,
    /// By name, each once.
    pub subsets: Vec<Subset>,
    /// The user's objects.
    pub objects: Vec<String>,
}

/// What holds for one subset and port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits.
    pub connection_pool: Option<ConnectionPool>,
    /// When an endpoint is ejected.
    pub outlier_detection: Option<OutlierDetection>,
}

impl Rule {
    /// Whether the rule is exported to a namespace.
    pub fn is_visible_in(&self, namespace: &str) -> bool {
        is_exported(&self.export_to, &self.namespace, namespace)
    }

    /// The subset of that name.
    pub fn subset(&self, name: &str) -> Option<&Subset> {
        self.subsets.iter().find(|subset| subset.name == name)
    }

    /// The rule's policy, then the subset's: what comes later replaces whole fields; a level's settings for the port stand in
    /// for the level and replace all of them, set or not (`istio-semantics` 4).
    pub fn policy(&self, subset: Option<&Subset>, port: u16) -> Policy {
        let levels = [self.policy.as_ref(), subset.and_then(|subset| subset.traffic_policy.as_ref())];
        let mut policy = Policy::default();
        for level in levels.into_iter().flatten() {
            policy = match level.port_level_settings.iter().find(|settings| settings.port.number == port).cloned() {
                Some(settings) => Policy {
                    load_balancer: settings.load_balancer,
                    connection_pool: settings.connection_pool,
                    outlier_detection: settings.outlier_detection,
                },
                None => Policy {
                    load_balancer: level.load_balancer.clone().or(policy.load_balancer),
                    connection_pool: level.connection_pool.clone().or(policy.connection_pool),
                    outlier_detection: level.outlier_detection.clone().or(policy.outlier_detection),
                },
            };
        }
        policy
    }

    /// Whether only its own namespace sees the rule.
    pub fn is_private(&self) -> bool {
        !self.export_to.is_empty() && self.export_to.iter().all(|to| to == "." || *to == self.namespace)
    }
}

/// Istio's exportTo: empty and `*` mean all namespaces, `.` the object's own.
pub fn is_exported(export_to: &[String], own: &str, client: &str) -> bool {
    export_to.is_empty() || export_to.iter().any(|to| to == "*" || to == client || (to == "." && own == client))
}

/// Rules of one host, namespace and exportTo are united: oldest first, the first subset of a name and the first policy win (`istio-semantics` 3).
pub(super) fn build(objects: &Objects, domain: &str) -> Vec<Rule> {
    let mut sources: Vec<_> = objects
        .iter()
        .filter_map(|object| match &object.kind {
            Kind::DestinationRule(rule) => Some((object, rule)),
            _ => None,
        })
        .collect();
    sources.sort_by_key(|(object, _)| (object.meta.creation_timestamp.clone(), object.key.name.clone(), object.key.namespace.clone()));
    let mut rules: Vec<Rule> = Vec::new();
    for (object, rule) in sources {
        add(&mut rules, rule, &object.key.namespace, object.key.to_string(), domain);
    }
    rules
}

fn add(rules: &mut Vec<Rule>, rule: &DestinationRule, namespace: &str, object: String, domain: &str) {
    let host = host::full_name(&rule.host, namespace, domain);
    let same = |known: &Rule| known.host == host && known.namespace == namespace && known.export_to == rule.export_to;
    let index = rules.iter().position(same).unwrap_or_else(|| {
        let export_to = rule.export_to.clone();
        rules.push(Rule { namespace: namespace.into(), host: host.clone(), export_to, policy: None, subsets: vec![], objects: vec![] });
        rules.len() - 1
    });
    let Some(known) = rules.get_mut(index) else { return };
    for subset in &rule.subsets {
        if known.subset(&subset.name).is_none() {
            known.subsets.push(subset.clone());
        }
    }
    known.policy = known.policy.take().or_else(|| rule.traffic_policy.clone());
    known.objects.push(object);
}
