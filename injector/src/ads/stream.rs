//! One ADS stream as a state machine: requests and snapshots in, responses out, in an order that breaks no traffic.
//!
//! What is named goes before what names it: listeners, routes and filters wait until the node has taken the clusters and their endpoints, and
//! nothing is removed before all that replaces it was taken. Whoever drives the stream calls [`Stream::release`] when that takes too long.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use super::status::{NodeTypes, Rejection};
use super::subscription::{Fresh, Standing, Subscription, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use weir_mesh::snapshot::{Resource, Snapshot, Type};

/// A module is there soon: how long after the first rejection a filter is sent again. Each time doubles it.
const AGAIN: Duration = Duration::from_millis(500);
/// So often at most: then it is sent every 8 s. Envoy itself asks for a module that did not come after 10 s.
const MOST_DOUBLED: u32 = 4;

/// The variant of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Changes and removals.
    Delta,
    /// State of the world: every response about clusters or listeners lists them all, and what is missing is removed.
    Sotw,
}

/// A discovery request of either variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of which type.
    pub kind: Type,
    /// Names wanted from now on, `*` for all.
    pub subscribe: Vec<String>,
    /// Names no longer wanted.
    pub unsubscribe: Vec<String>,
    /// Versions by name that the node brings from an earlier stream.
    pub known: BTreeMap<String, String>,
    /// The response that this answers.
    pub nonce: Option<u64>,
    /// Why the node rejected that response.
    pub error: Option<String>,
}

/// A discovery response of either variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Of which type.
    pub kind: Type,
    /// To be repeated in the answer.
    pub nonce: u64,
    /// New and changed resources; all of them where the variant lists everything.
    pub add: Vec<Arc<Resource>>,
    /// Names that are no more, or never were.
    pub remove: Vec<String>,
}

/// What a request leads to.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// To be sent, in this order.
    pub pushes: Vec<Push>,
    /// What the node just rejected.
    pub rejections: Vec<(Type, Rejection)>,
}

/// One stream's state.
#[derive(Debug)]
pub struct Stream {
    protocol: Protocol,
    snapshot: Option<Arc<Snapshot>>,
    subscriptions: BTreeMap<Type, Subscription>,
    /// Clusters that were sent and warm until their endpoints follow.
    cold: BTreeSet<String>,
    /// The node brought resources from an earlier stream and may not have asked yet for all that replaces them: nothing is removed so soon.
    resumes: bool,
    nonce: u64,
    holds: bool,
    /// Where the numbers of attempts to update a filter begin: elsewhere than those of earlier streams.
    attempts: u64,
}

impl Stream {
    /// A stream that was just opened.
    pub fn new(protocol: Protocol) -> Stream {
        let subscriptions = Type::ALL.into_iter().map(|kind| (kind, Subscription::new(kind))).collect();
        Stream { protocol, snapshot: None, subscriptions, cold: BTreeSet::new(), resumes: false, nonce: 0, holds: false, attempts: 0 }
    }

    /// The same with a number that no earlier stream of the node had.
    pub fn numbered(self, attempts: u64) -> Stream {
        Stream { attempts, ..self }
    }

    /// Takes in a request. Without a snapshot (the node is not known yet) nothing is answered: an Envoy without configuration is not ready.
    pub fn request(&mut self, mut request: Request) -> Outcome {
        let mut outcome = Outcome::default();
        self.resumes |= !request.known.is_empty();
        if request.kind == Type::ClusterLoadAssignment {
            // A cluster may still warm whose endpoints were lost with the last stream: they are always sent again.
            request.known.values_mut().for_each(String::clear);
        }
        if let Some(nonce) = request.nonce {
            self.answer(request.kind, nonce, request.error.as_deref(), &mut outcome);
        }
        let Some(subscription) = self.subscriptions.get_mut(&request.kind) else { return outcome };
        if subscription.interest(&request) || self.holds {
            self.flush(false, &mut outcome.pushes);
        }
        outcome
    }

    /// Takes in a new snapshot.
    pub fn update(&mut self, snapshot: Arc<Snapshot>) -> Vec<Push> {
        let mut pushes = Vec::new();
        self.snapshot = Some(snapshot);
        self.flush(false, &mut pushes);
        pushes
    }

    /// Whether the stream ever had a snapshot.
    pub fn is_told(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Sends what was held back, whatever the node has not answered.
    pub fn release(&mut self) -> Vec<Push> {
        let mut pushes = Vec::new();
        self.cold.clear();
        self.resumes = false;
        self.flush(true, &mut pushes);
        pushes
    }

    /// When to ask whether a node that fetches a module has it by now.
    pub fn asks_again(&self) -> Option<Duration> {
        let times = self.again().into_iter().map(|(times, _)| times).min()?;
        Some(AGAIN.saturating_mul(1 << (times - 1).min(MOST_DOUBLED)))
    }

    /// Sends what the node rejected, maybe since it was still fetching a module.
    pub fn ask_again(&mut self) -> Vec<Push> {
        let mut pushes = Vec::new();
        for (times, resource) in self.again() {
            let resource = resource.update(self.attempts.wrapping_add(times.into()));
            self.push(Type::ExtensionConfig, vec![resource], Vec::new(), &mut pushes);
        }
        pushes
    }

    fn again(&self) -> Vec<(u32, Arc<Resource>)> {
        self.subscriptions.get(&Type::ExtensionConfig).map(Subscription::again).unwrap_or_default()
    }

    /// Whether something waits for an answer of the node.
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// How each type stands.
    pub fn status(&self) -> NodeTypes {
        let none = BTreeMap::new();
        let status = |(kind, subscription): (&Type, &Subscription)| {
            let wanted = self.snapshot.as_ref().map(|snapshot| snapshot.resources.get(kind).unwrap_or(&none));
            (*kind, subscription.status(wanted))
        };
        self.subscriptions.iter().map(status).collect()
    }

    /// The snapshot that the node is to have.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// How the node stands to everything that it asked for.
    pub fn standings(&self) -> impl Iterator<Item = (&Resource, Standing<'_>)> {
        let resources = self.snapshot.iter().flat_map(|snapshot| &snapshot.resources);
        let all = resources.flat_map(|(kind, resources)| resources.values().map(move |resource| (*kind, &**resource)));
        all.filter_map(|(kind, resource)| Some((resource, self.subscriptions.get(&kind)?.standing(resource)?)))
    }

    fn answer(&mut self, kind: Type, nonce: u64, error: Option<&str>, outcome: &mut Outcome) {
        let split = !self.lists_all(kind);
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        match subscription.answer(nonce, error, split) {
            Verdict::Fine => {}
            Verdict::Overtaken => self.holds = true,
            Verdict::Split(resources) => {
                for resource in resources {
                    self.push(kind, vec![resource], Vec::new(), &mut outcome.pushes);
                }
            }
            Verdict::Rejected(rejections) => {
                if kind == Type::Cluster {
                    for rejection in &rejections {
                        self.cold.remove(&rejection.name);
                    }
                }
                outcome.rejections.extend(rejections.into_iter().map(|rejection| (kind, rejection)));
            }
        }
    }

    /// Sends what may be sent now; `hurry` does not wait for answers.
    fn flush(&mut self, hurry: bool, pushes: &mut Vec<Push>) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let none = BTreeMap::new();
        let of = |kind: Type| snapshot.resources.get(&kind).unwrap_or(&none);
        self.holds = false;
        for kind in Type::ALL {
            let Some(fresh) = self.subscriptions.get(&kind).filter(|it| it.asked()).and_then(|it| it.fresh(of(kind))) else { continue };
            if kind > Type::ClusterLoadAssignment && !hurry && self.warming(of(Type::ClusterLoadAssignment)) {
                self.holds = true;
                return;
            }
            self.add(kind, fresh, pushes);
        }
        let gone = |kind: Type| (kind, self.subscriptions.get(&kind).map(|it| it.gone(of(kind))).unwrap_or_default());
        let gone: Vec<_> = Type::ALL.into_iter().rev().map(gone).filter(|(_, names)| !names.is_empty()).collect();
        let early = self.resumes || self.subscriptions.values().any(Subscription::in_flight);
        if !gone.is_empty() && early && !hurry {
            self.holds = true;
            return;
        }
        for (kind, names) in gone {
            self.push(kind, Vec::new(), names, pushes);
        }
    }

    /// Whether a cluster that was sent may not serve yet.
    fn warming(&self, endpoints: &BTreeMap<String, Arc<Resource>>) -> bool {
        let unanswered = |kind: Type| self.subscriptions.get(&kind).is_some_and(Subscription::in_flight);
        unanswered(Type::Cluster)
            || unanswered(Type::ClusterLoadAssignment)
            || self.cold.iter().any(|cluster| endpoints.contains_key(cluster))
    }

    fn add(&mut self, kind: Type, fresh: Fresh, pushes: &mut Vec<Push>) {
        if kind == Type::Cluster {
            // A changed cluster warms until it hears of its endpoints again, and Envoy, being subscribed to them, does not ask.
            let mut endpoints = self.subscriptions.get_mut(&Type::ClusterLoadAssignment);
            for cluster in &fresh.add {
                if let Some(endpoints) = &mut endpoints {
                    endpoints.forget(&cluster.name);
                }
                self.cold.insert(cluster.name.clone());
            }
        }
        if kind == Type::ClusterLoadAssignment {
            for name in fresh.add.iter().map(|resource| &resource.name).chain(&fresh.absent) {
                self.cold.remove(name);
            }
        }
        if matches!(kind, Type::RouteConfiguration | Type::ExtensionConfig) {
            // One by one: Envoy rejects a response of these as a whole, and a good resource does not wait for a bad one.
            for mut resource in fresh.add {
                if self.subscriptions.get(&kind).is_some_and(|it| it.has(&resource.name)) {
                    resource = resource.update(self.attempts);
                }
                self.push(kind, vec![resource], Vec::new(), pushes);
            }
        } else {
            self.push(kind, fresh.add, fresh.absent, pushes);
        }
    }

    fn push(&mut self, kind: Type, add: Vec<Arc<Resource>>, remove: Vec<String>, pushes: &mut Vec<Push>) {
        self.nonce += 1;
        let lists_all = self.lists_all(kind);
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        subscription.sent(self.nonce, &add, &remove);
        let add = if lists_all { subscription.all_told() } else { add };
        pushes.push(Push { kind, nonce: self.nonce, add, remove });
    }

    fn lists_all(&self, kind: Type) -> bool {
        self.protocol == Protocol::Sotw && matches!(kind, Type::Cluster | Type::Listener)
    }
}
