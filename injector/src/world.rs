//! What the control plane tells: made anew after every change, built for a node when it asks.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, Semaphore};
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::mesh::{self, Mesh, Options};
use weir_mesh::node::Node;
use weir_mesh::object::{Key, Objects};
use weir_mesh::snapshot::{Builder, Snapshot};

/// A node's snapshot once somebody asked for it; none inside for a node that is no pod of the mesh.
type Built = OnceCell<Option<Arc<Snapshot>>>;

/// The objects in force, what they mean, and the snapshots that nodes asked of it.
#[derive(Debug)]
pub struct World {
    /// The objects in force.
    pub objects: Objects,
    /// What they mean.
    pub mesh: Arc<Mesh>,
    builder: Arc<Builder>,
    /// What is wrong, sorted by place.
    pub findings: Vec<Finding>,
    /// What the rejected objects of a cluster say: their last good states, if any, are among the objects.
    pub rejected: BTreeMap<Key, Arc<Value>>,
    snapshots: Mutex<HashMap<Node, Arc<Built>>>,
    /// As many builds at once as there are processors.
    builds: Arc<Semaphore>,
}

impl World {
    /// The world of these objects; `findings` tells what was found when they were read.
    pub fn new(objects: Objects, mut findings: Vec<Finding>, options: &Options) -> World {
        let (mesh, mut more) = mesh::build(&objects, options);
        findings.append(&mut more);
        findings.sort_by(|a, b| (&a.place, &a.object, &a.field).cmp(&(&b.place, &b.object, &b.field)));
        let mesh = Arc::new(mesh);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        World {
            objects,
            builder: Arc::new(Builder::new(mesh.clone())),
            mesh,
            findings,
            rejected: BTreeMap::new(),
            snapshots: Mutex::default(),
            builds: Arc::new(Semaphore::new(processors)),
        }
    }

    /// What `node` is told; none for a node that is no pod of the mesh (yet, or no more): it is told nothing and keeps what it has.
    /// Built once for all who ask.
    pub async fn snapshot(&self, node: &Node) -> Option<Arc<Snapshot>> {
        let cell = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner).entry(node.clone()).or_default().clone();
        cell.get_or_init(|| self.build(node.clone())).await.clone()
    }

    /// What `node` was told, if it has asked.
    pub fn told(&self, node: &Node) -> Option<Arc<Snapshot>> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner).get(node)?.get()?.clone()
    }

    async fn build(&self, node: Node) -> Option<Arc<Snapshot>> {
        let _turn = self.builds.acquire().await;
        let (builder, id) = (self.builder.clone(), node.to_string());
        let built = tokio::task::spawn_blocking(move || builder.snapshot(&node)).await;
        let snapshot =
            built.inspect_err(|error| tracing::error!(node = id, "building its configuration failed, it keeps the last: {error}")).ok()?;
        let empty = snapshot.resources.values().all(|resources| resources.is_empty());
        (!empty).then(|| Arc::new(snapshot))
    }
}

#[cfg(test)]
impl World {
    /// A world that tells these nodes these snapshots.
    pub fn of(snapshots: impl IntoIterator<Item = (Node, Arc<Snapshot>)>) -> World {
        let world = World::new(Objects::default(), Vec::new(), &Options { domain: String::new(), marked: true, ..Default::default() });
        let cells = snapshots
            .into_iter()
            .map(|(node, snapshot)| (node, Arc::new(OnceCell::new_with(Some(Some(snapshot).filter(|it| !it.resources.is_empty()))))));
        *world.snapshots.lock().unwrap() = cells.collect();
        world
    }
}

/// Logs the findings that were not there before, and how many are no more.
pub fn report(before: &[Finding], now: &[Finding]) {
    for finding in now.iter().filter(|finding| !before.contains(finding)) {
        match finding.severity {
            Severity::Error => tracing::error!("{finding}"),
            Severity::Warning => tracing::warn!("{finding}"),
            Severity::Info => tracing::info!("{finding}"),
        }
    }
    let gone = before.iter().filter(|finding| !now.contains(finding)).count();
    if gone > 0 {
        tracing::info!("{gone} finding(s) no longer stand");
    }
}
