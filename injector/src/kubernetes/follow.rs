//! Follows a cluster: a new world after its changes.

use super::kinds::WATCHED;
use super::watch::Change;
use crate::world::{World, report};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use weir_mesh::finding::Finding;
use weir_mesh::mesh::canary::Orders;
use weir_mesh::mesh::{Options, Pulls, Secrets};
use weir_mesh::object::{Key, Object, Objects, Rejected, read_value};

/// Changes often come together: so long are others waited for.
const QUIET: Duration = Duration::from_millis(20);
/// At most a third of one processor is spent on new worlds: after one that took long others are waited for twice as long.
const REST: u32 = 2;

/// The objects as they were last read, and what is wrong with them.
#[derive(Debug, Default)]
struct Cluster {
    objects: Objects,
    findings: BTreeMap<Key, Vec<Finding>>,
    /// What the rejected ones say: their last good state is in `objects`.
    rejected: BTreeMap<Key, Arc<Value>>,
}

/// The first world, as soon as all kinds were listed.
pub async fn first(
    changes: &mut mpsc::Receiver<Change>,
    options: &Options,
    pulls: watch::Receiver<Pulls>,
    secrets: watch::Receiver<Secrets>,
    orders: watch::Receiver<Orders>,
) -> Option<(Follower, World)> {
    let mut missing: BTreeSet<_> = WATCHED.iter().map(|watched| watched.kind).collect();
    let mut pending = BTreeMap::new();
    while !missing.is_empty() {
        match changes.recv().await? {
            Change::Complete(kind) => drop(missing.remove(kind)),
            Change::Object(key, value) => drop(pending.insert(key, value)),
        }
    }
    let mut follower = Follower { cluster: Cluster::default(), options: options.clone(), pulls, secrets, orders };
    follower.cluster.apply(pending);
    let world = follower.world();
    report(&[], &world.findings);
    Some((follower, world))
}

/// What follows the cluster after the first world.
#[derive(Debug)]
pub struct Follower {
    cluster: Cluster,
    options: Options,
    pulls: watch::Receiver<Pulls>,
    secrets: watch::Receiver<Secrets>,
    orders: watch::Receiver<Orders>,
}

impl Follower {
    /// Publishes a new world whenever changes mean something, until none come any more.
    pub async fn run(mut self, mut changes: mpsc::Receiver<Change>, publish: watch::Sender<Arc<World>>) {
        let mut rest = QUIET;
        loop {
            let mut pending = BTreeMap::new();
            let other_options = tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => { collect(&mut pending, change); false }
                    None => return,
                },
                Ok(()) = self.pulls.changed() => true,
                Ok(()) = self.secrets.changed() => true,
                Ok(()) = self.orders.changed() => true,
            };
            tokio::time::sleep(rest).await;
            while let Ok(change) = changes.try_recv() {
                collect(&mut pending, change);
            }
            let before = publish.borrow().clone();
            let built = tokio::task::spawn_blocking(move || {
                let start = Instant::now();
                let world = (self.cluster.apply(pending) || other_options).then(|| self.world());
                (self, world, start.elapsed())
            });
            let took;
            let world;
            (self, world, took) = match built.await {
                Ok(built) => built,
                Err(error) => return tracing::error!("reading the cluster's objects failed: {error}"),
            };
            if let Some(world) = world {
                report(&before.findings, &world.findings);
                tracing::debug!(objects = world.objects.iter().count(), ?took, "the cluster changed");
                publish.send_replace(Arc::new(world));
                rest = QUIET.max(took * REST);
            }
        }
    }

    /// The world as it stands.
    pub fn world(&mut self) -> World {
        let findings = self.cluster.findings.values().flatten().cloned().collect();
        let (pulls, secrets) = (self.pulls.borrow_and_update().clone(), self.secrets.borrow_and_update().clone());
        let orders = self.orders.borrow_and_update().clone();
        let options = Options { pulls, secrets, orders, ..self.options.clone() };
        let mut world = World::new(self.cluster.objects.clone(), findings, &options);
        world.rejected = self.cluster.rejected.clone();
        world
    }
}

/// Of several changes of one object the last counts.
fn collect(pending: &mut BTreeMap<Key, Option<Value>>, change: Change) {
    if let Change::Object(key, value) = change {
        pending.insert(key, value);
    }
}

impl Cluster {
    /// Takes the changes in; whether they mean anything.
    fn apply(&mut self, changes: BTreeMap<Key, Option<Value>>) -> bool {
        let mut layer: BTreeMap<Key, Option<Arc<Object>>> = BTreeMap::new();
        let mut is_news = false;
        for (key, value) in changes {
            let same = match (&value, self.rejected.get(&key), self.objects.get(&key)) {
                (Some(value), Some(rejected), _) => *value == **rejected,
                (Some(value), None, Some(object)) => *value == object.value,
                (None, None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            is_news = true;
            self.rejected.remove(&key);
            self.findings.remove(&key);
            match value {
                Some(value) => self.read(key, value, &mut layer),
                None => drop(layer.insert(key, None)),
            }
        }
        self.objects = self.objects.with(layer.iter().map(|(key, object)| (key, object.as_ref())));
        is_news
    }

    fn read(&mut self, key: Key, value: Value, layer: &mut BTreeMap<Key, Option<Arc<Object>>>) {
        let mut read = read_value(value.clone());
        if read.rejected.contains(&Rejected::Object(key.clone())) {
            if self.objects.get(&key).is_some() {
                for finding in &mut read.findings {
                    finding.message.push_str("; what the object said before stays in force");
                }
            }
            self.rejected.insert(key.clone(), Arc::new(value));
        }
        for object in read.objects {
            layer.insert(object.key.clone(), Some(Arc::new(object)));
        }
        if !read.findings.is_empty() {
            self.findings.insert(key, read.findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key { kind: "DestinationRule", namespace: "n".into(), name: name.into() }
    }

    fn rule(name: &str, host: &str) -> Option<Value> {
        Some(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": name, "namespace": "n"}, "spec": {"host": host},
        }))
    }

    fn hosts(cluster: &Cluster) -> Vec<Value> {
        cluster.objects.iter().map(|object| object.value["spec"]["host"].clone()).collect()
    }

    #[test]
    fn a_broken_object_keeps_its_last_good_state_until_it_is_mended_or_goes() {
        let mut cluster = Cluster::default();
        let mut apply = |name: &str, value| {
            let news = cluster.apply([(key(name), value)].into());
            (news, hosts(&cluster), cluster.findings.values().flatten().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(apply("a", rule("a", "x")), (true, vec![json!("x")], vec![]));
        assert_eq!(apply("a", rule("a", "x")), (false, vec![json!("x")], vec![]), "the same again");
        let (news, kept, findings) = apply("a", rule("a", ""));
        assert_eq!((news, kept), (true, vec![json!("x")]));
        assert!(findings.len() == 1 && findings[0].starts_with("error [IST0106] DestinationRule n/a spec.host: "), "{findings:?}");
        assert!(findings[0].ends_with("; what the object said before stays in force"), "{findings:?}");
        assert!(!apply("a", rule("a", "")).0, "as broken as before");
        assert_eq!(apply("a", rule("a", "y")), (true, vec![json!("y")], vec![]));
        assert!(apply("a", rule("a", "")).0);
        assert_eq!(apply("a", None), (true, vec![], vec![]));
        assert_eq!(apply("a", None), (false, vec![], vec![]));
        let (_, none, findings) = apply("b", rule("b", ""));
        assert_eq!((none, findings.len(), findings[0].contains("stays in force")), (vec![], 1, false));
    }

    #[tokio::test]
    async fn the_first_world_waits_for_all_kinds_and_the_next_ones_come_with_changes_that_mean_something() {
        let (send, mut changes) = mpsc::channel(64);
        let options = Options::default();
        let (pulled, pulls) = watch::channel(Pulls::Never);
        let (_keys, secrets) = watch::channel(Secrets::default());
        let (ordered, orders) = watch::channel(Orders::default());
        send.send(Change::Object(key("a"), rule("a", "x"))).await.unwrap();
        for watched in WATCHED {
            send.send(Change::Complete(watched.kind)).await.unwrap();
        }
        let (follower, world) = first(&mut changes, &options, pulls, secrets, orders).await.unwrap();
        assert_eq!(world.objects.iter().count(), 1);
        let (publish, mut worlds) = watch::channel(Arc::new(world));
        tokio::spawn(follower.run(changes, publish));
        send.send(Change::Object(key("a"), rule("a", "x"))).await.unwrap();
        send.send(Change::Object(key("b"), rule("b", "y"))).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), worlds.changed()).await.unwrap().unwrap();
        assert_eq!(worlds.borrow_and_update().objects.iter().count(), 2);
        pulled.send_replace(Pulls::Assumed);
        tokio::time::timeout(Duration::from_secs(5), worlds.changed()).await.expect("what was pulled makes a new world").unwrap();
        worlds.borrow_and_update();
        ordered.send_replace(Orders::default());
        tokio::time::timeout(Duration::from_secs(5), worlds.changed()).await.expect("so do orders").unwrap();
    }
}
