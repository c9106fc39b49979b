//! Plays a stream against a model of Envoy, with changes, answers, rejections, delays and reconnects in any order.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;

const KINDS: usize = Type::ALL.len();
/// A resource of this version is rejected by the model.
const BAD: u8 = 3;

/// What a world says of one name: a version for each type, or none. Cluster, endpoints, listener, route and filter share the name.
type Name = [Option<u8>; KINDS];
type World = Vec<Name>;

#[derive(Clone, Debug)]
enum Step {
    Change(World),
    /// The server hears one message.
    Reach,
    /// The node hears one message.
    Deliver,
    Reconnect,
    Release,
}

fn world(versions: u8) -> impl Strategy<Value = World> {
    let one = || proptest::option::weighted(0.7, 0..versions);
    // As the snapshot's builder has it: a route names only clusters that there are, and a listener only routes that there are.
    let name = [one(), one(), one(), one(), one()].prop_map(|[cluster, endpoints, listener, route, filter]: Name| {
        let endpoints = cluster.and(endpoints.or(Some(0)));
        let route = cluster.and(route);
        [cluster, endpoints, route.and(listener), route, filter]
    });
    proptest::collection::vec(name, 3)
}

fn step(versions: u8) -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => world(versions).prop_map(Step::Change),
        6 => Just(Step::Reach),
        6 => Just(Step::Deliver),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Release),
    ]
}

fn snapshot(world: &World) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (number, versions) in world.iter().enumerate() {
        for (kind, version) in Type::ALL.into_iter().zip(versions) {
            let Some(version) = version else { continue };
            let name = format!("n{number}");
            let resource = Resource {
                name: name.clone(),
                version: version.to_string(),
                body: Bytes::new(),
                objects: vec![],
                fetches: false,
                stands_in: false,
            };
            snapshot.resources.entry(kind).or_default().insert(name, Arc::new(resource));
        }
    }
    Arc::new(snapshot)
}

/// What an Envoy has: it wants all clusters and listeners, the endpoints of its clusters, and route and filter of its listeners.
struct Envoy {
    protocol: Protocol,
    stream: Stream,
    have: BTreeMap<Type, BTreeMap<String, String>>,
    /// What it says it has when it reconnects: what a rejected response brought does not count, though some of it may be in use.
    versions: BTreeMap<Type, BTreeMap<String, String>>,
    subscribed: BTreeMap<Type, BTreeSet<String>>,
    warming: BTreeSet<String>,
    /// In use from a response that was rejected for another resource, and not accepted since. When the stream ends before, the node names
    /// the version before it, and no server can tell.
    unsure: BTreeSet<(Type, String)>,
    to_server: VecDeque<Request>,
    to_node: VecDeque<Push>,
    /// Whether order must hold: nothing was rejected or released.
    ordered: bool,
}

impl Envoy {
    fn new(protocol: Protocol, first: Arc<Snapshot>) -> Envoy {
        let mut envoy = Envoy {
            protocol,
            stream: Stream::new(protocol),
            have: BTreeMap::new(),
            versions: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            warming: BTreeSet::new(),
            unsure: BTreeSet::new(),
            to_server: VecDeque::new(),
            to_node: VecDeque::new(),
            ordered: true,
        };
        envoy.connect(first);
        envoy
    }

    fn connect(&mut self, snapshot: Arc<Snapshot>) {
        self.stream = Stream::new(self.protocol);
        self.to_server.clear();
        self.to_node.clear();
        self.stream.update(snapshot);
        for kind in Type::ALL {
            let wildcard = matches!(kind, Type::Cluster | Type::Listener);
            let names = self.wanted(kind);
            if !wildcard && names.is_empty() {
                continue;
            }
            let brought = self.protocol == Protocol::Delta;
            let known = self.versions.get(&kind).filter(|_| brought).cloned().unwrap_or_default();
            let subscribe = if wildcard { vec![] } else { names.iter().cloned().collect() };
            self.subscribed.insert(kind, names);
            self.to_server.push_back(Request { kind, subscribe, unsubscribe: vec![], known, nonce: None, error: None });
        }
    }

    fn wanted(&self, kind: Type) -> BTreeSet<String> {
        let names = |kind| self.have.get(&kind).map(|all| all.keys().cloned().collect()).unwrap_or_default();
        match kind {
            Type::Cluster | Type::Listener => BTreeSet::new(),
            Type::ClusterLoadAssignment => names(Type::Cluster),
            Type::RouteConfiguration | Type::ExtensionConfig => names(Type::Listener),
        }
    }

    fn step(&mut self, step: &Step, now: &mut Arc<Snapshot>) {
        match step {
            Step::Change(world) => {
                *now = snapshot(world);
                let pushes = self.stream.update(now.clone());
                self.to_node.extend(pushes);
            }
            Step::Reach => {
                let Some(request) = self.to_server.pop_front() else { return };
                self.to_node.extend(self.stream.request(request).pushes);
            }
            Step::Deliver => {
                let Some(push) = self.to_node.pop_front() else { return };
                self.take(push);
            }
            Step::Reconnect => {
                // A new server cannot list what it never had, and in the state of the world what is not listed goes at once.
                self.ordered &= self.protocol == Protocol::Delta;
                self.connect(now.clone());
            }
            Step::Release => {
                self.ordered = false;
                self.to_node.extend(self.stream.release());
            }
        }
    }

    /// Applies a push as Envoy does, and answers.
    fn take(&mut self, push: Push) {
        let kind = push.kind;
        let bad = push.add.iter().any(|resource| resource.version == BAD.to_string());
        let whole = matches!(kind, Type::Cluster | Type::Listener);
        let listed: BTreeSet<_> = push.add.iter().map(|resource| resource.name.clone()).collect();
        if self.protocol == Protocol::Sotw && whole {
            self.drop_names(kind, |name| !listed.contains(name));
        } else if self.protocol == Protocol::Delta {
            self.drop_names(kind, |name| push.remove.contains(name));
        }
        self.ordered &= !bad;
        for resource in push.add.iter().filter(|resource| resource.version != BAD.to_string() && (whole || !bad)) {
            let before = self.have.entry(kind).or_default().insert(resource.name.clone(), resource.version.clone());
            if bad {
                self.unsure.insert((kind, resource.name.clone()));
            } else {
                self.unsure.remove(&(kind, resource.name.clone()));
            }
            match kind {
                Type::Cluster if before.as_ref() != Some(&resource.version) => drop(self.warming.insert(resource.name.clone())),
                Type::ClusterLoadAssignment => drop(self.warming.remove(&resource.name)),
                Type::RouteConfiguration if self.ordered => {
                    let cluster = self.have.get(&Type::Cluster).and_then(|all| all.get(&resource.name));
                    assert!(cluster.is_some(), "a route came before its cluster");
                    assert!(!self.warming.contains(&resource.name), "a route came before its cluster was warm");
                }
                _ => {}
            }
        }
        if !bad {
            let versions = self.versions.entry(kind).or_default();
            versions.extend(push.add.iter().map(|resource| (resource.name.clone(), resource.version.clone())));
            let have = self.have.get(&kind);
            versions.retain(|name, _| have.is_some_and(|have| have.contains_key(name)));
        }
        let error = bad.then(|| "bad version".to_string());
        self.to_server.push_back(Request {
            kind,
            subscribe: vec![],
            unsubscribe: vec![],
            known: BTreeMap::new(),
            nonce: Some(push.nonce),
            error,
        });
        self.subscribe();
    }

    fn drop_names(&mut self, kind: Type, gone: impl Fn(&String) -> bool) {
        let routes = self.have.get(&Type::RouteConfiguration).cloned().unwrap_or_default();
        let Some(have) = self.have.get_mut(&kind) else { return };
        for name in have.keys().filter(|name| gone(name)) {
            assert!(kind != Type::Cluster || !self.ordered || !routes.contains_key(name), "cluster {name} went before its route");
        }
        have.retain(|name, _| !gone(name));
        if let Some(versions) = self.versions.get_mut(&kind) {
            versions.retain(|name, _| !gone(name));
        }
        if kind == Type::Cluster {
            self.warming.retain(|name| have.contains_key(name));
        }
    }

    /// Tells the server of names that are wanted since, or no more.
    fn subscribe(&mut self) {
        for kind in [Type::ClusterLoadAssignment, Type::RouteConfiguration, Type::ExtensionConfig] {
            let wanted = self.wanted(kind);
            let before = self.subscribed.insert(kind, wanted.clone()).unwrap_or_default();
            let (subscribe, unsubscribe): (Vec<_>, Vec<_>) =
                (wanted.difference(&before).cloned().collect(), before.difference(&wanted).cloned().collect());
            for have in [&mut self.have, &mut self.versions].into_iter().filter_map(|all| all.get_mut(&kind)) {
                have.retain(|name, _| wanted.contains(name));
            }
            if !subscribe.is_empty() || !unsubscribe.is_empty() {
                self.to_server.push_back(Request { kind, subscribe, unsubscribe, known: BTreeMap::new(), nonce: None, error: None });
            }
        }
    }

    /// Lets everything arrive; the timer fires when nothing else happens.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            if let Some(request) = self.to_server.pop_front() {
                self.to_node.extend(self.stream.request(request).pushes);
            } else if let Some(push) = self.to_node.pop_front() {
                self.take(push);
            } else if self.stream.holds() {
                self.to_node.extend(self.stream.release());
                assert!(!self.stream.holds());
            } else {
                return;
            }
        }
        panic!("server and node never come to rest");
    }

    fn check(&self, now: &Snapshot) {
        let none = BTreeMap::new();
        for kind in Type::ALL {
            let wildcard = matches!(kind, Type::Cluster | Type::Listener);
            let wanted = self.wanted(kind);
            let resources = now.resources.get(&kind).unwrap_or(&none);
            let have = self.have.get(&kind).cloned().unwrap_or_default();
            for (name, resource) in resources.iter().filter(|(name, _)| wildcard || wanted.contains(*name)) {
                let got = have.get(name);
                if self.unsure.contains(&(kind, name.clone())) {
                    continue;
                }
                if resource.version == BAD.to_string() {
                    assert_ne!(got, Some(&resource.version), "{kind:?} {name}");
                } else {
                    assert_eq!(got, Some(&resource.version), "{kind:?} {name}");
                }
                if kind == Type::ClusterLoadAssignment && resource.version != BAD.to_string() {
                    assert!(!self.warming.contains(name), "cluster {name} warms for ever");
                }
            }
            let kept = have.keys().filter(|name| !resources.contains_key(*name) && !self.unsure.contains(&(kind, (*name).clone()))).count();
            let can_remove = self.protocol == Protocol::Delta || wildcard;
            assert!(kept == 0 || !can_remove, "{kind:?} has {have:?}, should have {resources:?}");
        }
    }
}

fn play(protocol: Protocol, first: &World, steps: &[Step]) {
    let mut now = snapshot(first);
    let mut envoy = Envoy::new(protocol, now.clone());
    for step in steps {
        envoy.step(step, &mut now);
    }
    envoy.drain();
    envoy.check(&now);
}

fn requests() -> impl Strategy<Value = Request> {
    let name = || prop_oneof![Just("*".to_string()), "n[0-3]", ".{0,3}"];
    let names = || proptest::collection::vec(name(), 0..4);
    let known = proptest::collection::btree_map(name(), "[0-3]?", 0..4);
    let nonce = proptest::option::of(prop_oneof![0..20_u64, Just(u64::MAX)]);
    (0..KINDS, names(), names(), known, nonce, proptest::option::of(".{0,3}")).prop_map(
        |(kind, subscribe, unsubscribe, known, nonce, error)| Request {
            kind: Type::ALL[kind],
            subscribe,
            unsubscribe,
            known,
            nonce,
            error,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_node_ends_with_the_snapshot_and_in_good_order(
        sotw in any::<bool>(), first in world(BAD), steps in proptest::collection::vec(step(BAD), 0..60)
    ) {
        play(if sotw { Protocol::Sotw } else { Protocol::Delta }, &first, &steps);
    }

    #[test]
    fn the_node_ends_with_all_that_it_accepts(
        sotw in any::<bool>(), first in world(BAD + 1), steps in proptest::collection::vec(step(BAD + 1), 0..60)
    ) {
        play(if sotw { Protocol::Sotw } else { Protocol::Delta }, &first, &steps);
    }

    #[test]
    fn no_request_makes_it_panic(
        sotw in any::<bool>(), worlds in proptest::collection::vec(world(BAD), 0..3), requests in proptest::collection::vec(requests(), 0..30)
    ) {
        let mut stream = Stream::new(if sotw { Protocol::Sotw } else { Protocol::Delta });
        let mut worlds = worlds.iter();
        for (number, request) in requests.into_iter().enumerate() {
            stream.request(request);
            if number % 5 == 0 && let Some(world) = worlds.next() {
                stream.update(snapshot(world));
            }
            stream.status();
        }
        stream.release();
    }
}
