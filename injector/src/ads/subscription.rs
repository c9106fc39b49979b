//! What one stream asked for of one type, what it was told, and what it answered.

use super::status::{Rejection, State, TypeStatus, version_of};
use super::stream::Request;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_mesh::snapshot::{Resource, Type};

/// The name that subscribes to all resources of a type.
const WILDCARD: &str = "*";

/// What the node knows of one name, as far as we know.
#[derive(Clone, Debug)]
enum Told {
    /// We sent it.
    Sent(Arc<Resource>),
    /// The node brought this version from an earlier stream.
    Brought(String),
    /// We said that there is no such resource.
    Absent,
}

impl Told {
    fn is(&self, resource: &Resource) -> bool {
        match self {
            Told::Sent(sent) => sent.version == resource.version,
            Told::Brought(version) => *version == resource.version,
            Told::Absent => false,
        }
    }
}

/// What one response carried, until the node answers it.
#[derive(Clone, Debug)]
struct Flight {
    add: Vec<Arc<Resource>>,
    remove: Vec<String>,
}

/// What is to be said next: resources that are new to the node, and names that it asked for in vain.
#[derive(Debug, Default, PartialEq)]
pub struct Fresh {
    /// New or changed.
    pub add: Vec<Arc<Resource>>,
    /// Subscribed by name, but not there.
    pub absent: Vec<String>,
}

/// A node's answer to a response.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Accepted, or the answer to nothing that we wait for.
    Fine,
    /// Accepted, after the node had subscribed anew to some of it: it has that after all, and what is no more must be said.
    Overtaken,
    /// Rejected, and these resources are at fault.
    Rejected(Vec<Rejection>),
    /// Rejected as a whole: to learn which resource is at fault, and so that no other waits for it, each goes again alone.
    Split(Vec<Arc<Resource>>),
}

/// How a node stands to something that it should have; the worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing<'a> {
    /// It has it.
    Has,
    /// It does not have it yet.
    Waits,
    /// It rejected it, for this reason.
    Rejected(&'a str),
}

/// One type's part of a stream.
#[derive(Debug)]
pub struct Subscription {
    kind: Type,
    asked: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    told: BTreeMap<String, Told>,
    answered: bool,
    flights: BTreeMap<u64, Flight>,
    rejected: BTreeMap<String, Rejection>,
    /// Rejected ones whose module the node may be fetching, with how often they were.
    fetching: BTreeMap<String, u32>,
}

impl Subscription {
    /// Nothing was asked yet.
    pub fn new(kind: Type) -> Subscription {
        Subscription {
            kind,
            asked: false,
            wildcard: false,
            names: BTreeSet::new(),
            told: BTreeMap::new(),
            answered: false,
            flights: BTreeMap::new(),
            rejected: BTreeMap::new(),
            fetching: BTreeMap::new(),
        }
    }

    /// Takes in what a request subscribes to; true if there may be something to tell now.
    pub fn interest(&mut self, request: &Request) -> bool {
        let first = !std::mem::replace(&mut self.asked, true);
        if first {
            // A first request without names is a wildcard for these two types only: for the others it means that Envoy wants none.
            self.wildcard = request.subscribe.is_empty() && matches!(self.kind, Type::Cluster | Type::Listener);
        }
        for name in &request.unsubscribe {
            if name == WILDCARD {
                self.wildcard = false;
            } else {
                self.names.remove(name);
                // Under a wildcard it is still wanted, but the node has forgotten it.
                self.forget(name);
            }
        }
        for name in &request.subscribe {
            if name == WILDCARD {
                self.wildcard = true;
                self.answered = false;
            } else {
                self.names.insert(name.clone());
                // Who subscribes once more wants to hear it once more.
                self.forget(name);
            }
        }
        if first {
            self.told = request.known.iter().map(|(name, version)| (name.clone(), Told::Brought(version.clone()))).collect();
        }
        if !self.wildcard {
            let names = &self.names;
            self.told.retain(|name, _| names.contains(name));
            self.rejected.retain(|name, _| names.contains(name));
            self.fetching.retain(|name, _| names.contains(name));
        }
        first || !request.subscribe.is_empty() || !request.unsubscribe.is_empty()
    }

    /// Whether the node asked for this type at all.
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// Forgets that `name` was told, so that it is told again.
    pub fn forget(&mut self, name: &str) {
        self.told.remove(name);
    }

    /// Whether the node runs with some state of `name`, as far as we know.
    pub fn has(&self, name: &str) -> bool {
        matches!(self.told.get(name), Some(Told::Sent(_) | Told::Brought(_)))
    }

    /// What the node rejected, maybe only since it was still fetching a module, and may take now; with how often it rejected that.
    pub fn again(&self) -> Vec<(u32, Arc<Resource>)> {
        let in_flight = |name: &String| self.flights.values().any(|flight| flight.add.iter().any(|resource| resource.name == *name));
        let again = |(name, times): (&String, &u32)| match self.told.get(name)? {
            Told::Sent(resource) if !in_flight(name) => Some((*times, resource.clone())),
            _ => None,
        };
        self.fetching.iter().filter_map(again).collect()
    }

    /// What the node should hear about, that it does not know.
    pub fn fresh(&self, resources: &BTreeMap<String, Arc<Resource>>) -> Option<Fresh> {
        let new = |(name, resource): (&String, &Arc<Resource>)| {
            let known = self.told.get(name).is_some_and(|told| told.is(resource));
            let enough = resource.stands_in && self.has(name);
            (!known && !enough).then(|| resource.clone())
        };
        let add: Vec<_> = if self.wildcard {
            resources.iter().filter_map(new).collect()
        } else {
            self.names.iter().filter_map(|name| new(resources.get_key_value(name)?)).collect()
        };
        // Measured: told that there is no such route or filter, an Envoy ignores that but takes it for an answer, and its listener warms for
        // ever. Left alone it goes on after its timeout, a filter with its default.
        let tell_absent = !matches!(self.kind, Type::RouteConfiguration | Type::ExtensionConfig);
        let absent: Vec<_> = self.missing(resources).filter(|name| tell_absent && !self.told.contains_key(*name)).cloned().collect();
        let silence_would_stall = self.wildcard && !self.answered;
        (silence_would_stall || !add.is_empty() || !absent.is_empty()).then_some(Fresh { add, absent })
    }

    /// Names that were asked for, and that do not exist.
    fn missing<'a>(&'a self, resources: &BTreeMap<String, Arc<Resource>>) -> impl Iterator<Item = &'a String> {
        self.names.iter().filter(|name| !resources.contains_key(*name))
    }

    /// Names that the node has, and that are no more.
    pub fn gone(&self, resources: &BTreeMap<String, Arc<Resource>>) -> Vec<String> {
        let gone = |(name, told): &(&String, &Told)| !matches!(told, Told::Absent) && !resources.contains_key(*name);
        self.told.iter().filter(gone).map(|(name, _)| name.clone()).collect()
    }

    /// Notes a response that is now on its way.
    pub fn sent(&mut self, nonce: u64, add: &[Arc<Resource>], remove: &[String]) {
        self.answered = true;
        for resource in add {
            let before = self.told.insert(resource.name.clone(), Told::Sent(resource.clone()));
            if !before.is_some_and(|before| before.is(resource)) {
                self.fetching.remove(&resource.name);
            }
        }
        for name in remove {
            self.rejected.remove(name);
            self.fetching.remove(name);
            if self.names.contains(name) {
                self.told.insert(name.clone(), Told::Absent);
            } else {
                self.told.remove(name);
            }
        }
        self.flights.insert(nonce, Flight { add: add.to_vec(), remove: remove.to_vec() });
    }

    /// All resources that we told on this stream, for responses that list everything.
    pub fn all_told(&self) -> Vec<Arc<Resource>> {
        let sent = |told: &Told| if let Told::Sent(resource) = told { Some(resource.clone()) } else { None };
        self.told.values().filter_map(sent).collect()
    }

    /// Takes in the answer to a response; `error` is Envoy's reason of a NACK, `split` whether the type can be sent in parts.
    pub fn answer(&mut self, nonce: u64, error: Option<&str>, split: bool) -> Verdict {
        let Some(flight) = self.flights.remove(&nonce) else { return Verdict::Fine };
        // A client may answer the newest response only: that answers the older ones too.
        self.flights = self.flights.split_off(&nonce);
        let Some(reason) = error else {
            let mut verdict = Verdict::Fine;
            for resource in flight.add {
                self.rejected.remove(&resource.name);
                self.fetching.remove(&resource.name);
                let told_since = matches!(self.told.get(&resource.name), Some(Told::Sent(_) | Told::Absent));
                if self.names.contains(&resource.name) && !told_since {
                    self.told.insert(resource.name.clone(), Told::Brought(resource.version.clone()));
                    verdict = Verdict::Overtaken;
                }
            }
            return verdict;
        };
        if split && flight.add.len() > 1 {
            let current = |resource: &&Arc<Resource>| self.told.get(&resource.name).is_some_and(|told| told.is(resource));
            return Verdict::Split(flight.add.iter().filter(current).cloned().collect());
        }
        let mut rejections = blame(&flight, reason);
        for resource in flight.add.iter().filter(|resource| resource.fetches) {
            let times = self.fetching.entry(resource.name.clone()).or_default();
            *times += 1;
            if *times == 1 {
                // That was to be expected: it asks for the module now.
                rejections.retain(|rejection| rejection.name != resource.name);
            }
        }
        for rejection in &rejections {
            self.rejected.insert(rejection.name.clone(), rejection.clone());
        }
        Verdict::Rejected(rejections)
    }

    /// How the node stands to a resource that it should have; none if it has not asked for it.
    pub fn standing(&self, resource: &Resource) -> Option<Standing<'_>> {
        let name = &resource.name;
        if let Some(rejection) = self.rejected.get(name).filter(|rejection| rejection.version == resource.version) {
            return Some(Standing::Rejected(&rejection.reason));
        }
        if !self.asked || !(self.wildcard || self.names.contains(name)) {
            return None;
        }
        let unanswered = || self.flights.values().any(|flight| flight.add.iter().any(|sent| sent.name == *name));
        let has = self.told.get(name).is_some_and(|told| told.is(resource)) && !unanswered();
        Some(if has { Standing::Has } else { Standing::Waits })
    }

    /// Whether a response waits for its answer.
    pub fn in_flight(&self) -> bool {
        !self.flights.is_empty()
    }

    /// How it stands, for people. `resources` is what the node should have.
    pub fn status(&self, resources: Option<&BTreeMap<String, Arc<Resource>>>) -> TypeStatus {
        let pending = resources.is_some_and(|resources| self.fresh(resources).is_some() || !self.gone(resources).is_empty());
        let versions = self.told.iter().filter_map(|(name, told)| match told {
            Told::Sent(resource) => Some((name.as_str(), resource.version.as_str())),
            Told::Brought(version) => Some((name.as_str(), version.as_str())),
            Told::Absent => None,
        });
        TypeStatus {
            state: match () {
                () if !self.asked || resources.is_none() => State::NotSent,
                () if !self.rejected.is_empty() => State::Nacked,
                () if !self.flights.is_empty() || !self.fetching.is_empty() || pending => State::Stale,
                () => State::Synced,
            },
            resources: versions.clone().count(),
            version: version_of(versions),
            unanswered: self.flights.len(),
            missing: resources.map(|resources| self.missing(resources).cloned().collect()).unwrap_or_default(),
            rejected: self.rejected.values().cloned().collect(),
        }
    }
}

/// Which resources of a rejected response are at fault: those that the reason names, else all.
fn blame(flight: &Flight, reason: &str) -> Vec<Rejection> {
    let rejection = |name: &str, version: &str, objects: &[String]| Rejection {
        name: name.to_string(),
        version: version.to_string(),
        objects: objects.to_vec(),
        reason: reason.to_string(),
    };
    let of = |resource: &Arc<Resource>| rejection(&resource.name, &resource.version, &resource.objects);
    let named: Vec<_> = flight.add.iter().filter(|resource| reason.contains(&resource.name)).map(of).collect();
    match (named.is_empty(), flight.add.is_empty()) {
        (false, _) => named,
        (true, false) => flight.add.iter().map(of).collect(),
        (true, true) => flight.remove.iter().map(|name| rejection(name, "", &[])).collect(),
    }
}
