//! Turns the files into what each node is told, anew after every change.

use crate::files::state::State;
use crate::files::watch::Watch;
use crate::files::{Sources, Texts};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, Semaphore, watch};
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::mesh::{self, Options};
use weir_mesh::node::Node;
use weir_mesh::object::Objects;
use weir_mesh::snapshot::{Builder, Snapshot};

/// A node's snapshot once somebody asked for it; none inside for a node that is no pod of the mesh.
type Built = OnceCell<Option<Arc<Snapshot>>>;

/// All that one reading of the files led to, and the snapshots that nodes asked of it.
#[derive(Debug)]
pub struct World {
    texts: Texts,
    /// The objects in force.
    pub objects: Objects,
    builder: Arc<Builder>,
    /// What is wrong, sorted by place.
    pub findings: Vec<Finding>,
    snapshots: Mutex<HashMap<Node, Arc<Built>>>,
    /// As many builds at once as there are processors.
    builds: Arc<Semaphore>,
}

impl World {
    /// The world of these files; objects that cannot be read stay as they were `before`.
    pub fn new(before: &Objects, texts: Texts, options: &Options) -> World {
        let mut read = texts.read();
        let mut findings = std::mem::take(&mut read.findings);
        let objects = before.update(read);
        objects.note_kept(before, &mut findings);
        let (mesh, mut more) = mesh::build(&objects, options);
        findings.append(&mut more);
        findings.sort_by(|a, b| (&a.place, &a.object, &a.field).cmp(&(&b.place, &b.object, &b.field)));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        World {
            texts,
            objects,
            builder: Arc::new(Builder::new(Arc::new(mesh))),
            findings,
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
        let world = World::new(&Objects::default(), Texts::default(), &Options { domain: String::new(), modules: Default::default() });
        let cells = snapshots
            .into_iter()
            .map(|(node, snapshot)| (node, Arc::new(OnceCell::new_with(Some(Some(snapshot).filter(|it| !it.resources.is_empty()))))));
        *world.snapshots.lock().unwrap() = cells.collect();
        world
    }
}

/// Rebuilds the world whenever the files change, until nobody listens; what is in force is written to `state`.
pub async fn run(sources: Sources, mut watch: Watch, options: Options, state: Option<State>, publish: watch::Sender<Arc<World>>) {
    let first = publish.borrow().clone();
    save(state.as_ref(), first).await;
    while !publish.is_closed() {
        watch.changed().await;
        let (sources, options, before) = (sources.clone(), options.clone(), publish.borrow().clone());
        let rebuilt = tokio::task::spawn_blocking(move || {
            let start = std::time::Instant::now();
            let texts = sources.read();
            (texts != before.texts).then(|| World::new(&before.objects, texts, &options)).inspect(|world| {
                report(&before.findings, &world.findings);
                tracing::info!(objects = world.objects.iter().count(), took = ?start.elapsed(), "the files changed");
            })
        });
        match rebuilt.await {
            Ok(Some(world)) => {
                let world = Arc::new(world);
                publish.send_replace(world.clone());
                save(state.as_ref(), world).await;
            }
            Ok(None) => {}
            Err(error) => tracing::error!("reading the files failed, the last state stays: {error}"),
        }
    }
}

/// Not before the nodes are told: they do not wait for a disk.
async fn save(state: Option<&State>, world: Arc<World>) {
    let Some(state) = state.cloned() else { return };
    let saved = tokio::task::spawn_blocking(move || state.save(&world.objects)).await;
    if let Err(error) = saved.map_err(Into::into).flatten() {
        tracing::warn!("the objects in force are not written, a control plane that starts again may lack some: {error:#}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn an_edit_makes_a_new_world_and_a_broken_file_keeps_its_objects_until_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let service =
            |name: &str| format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: 80}}]}}}}\n");
        std::fs::write(&file, service("one")).unwrap();
        let sources = Sources(vec![folder.path().to_path_buf()]);
        let watch = Watch::new(&sources);
        let options = Options { domain: "cluster.local".into(), modules: Default::default() };
        let (publish, mut worlds) = watch::channel(Arc::new(World::new(&Objects::default(), sources.read(), &options)));
        let engine = tokio::spawn(run(sources, watch, options, None, publish));
        let names = |world: &World| world.objects.iter().map(|object| object.key.name.clone()).collect::<Vec<_>>();
        let mut after = async |change: &dyn Fn()| {
            change();
            tokio::time::timeout(Duration::from_secs(5), worlds.changed()).await.expect("no new world").unwrap();
            let world = worlds.borrow_and_update().clone();
            (names(&world), world.findings.len())
        };
        let write = |text: &[u8]| std::fs::write(&file, text).unwrap();
        let one = |name: &str| vec![name.to_string()];
        assert_eq!(after(&|| write(service("two").as_bytes())).await, (one("two"), 0));
        assert_eq!(after(&|| write(b"a: [")).await, (one("two"), 1));
        assert_eq!(after(&|| write(service("three").as_bytes())).await, (one("three"), 0));
        assert_eq!(after(&|| write(b"\xff")).await, (one("three"), 1), "no text");
        assert_eq!(after(&|| std::fs::remove_file(&file).unwrap()).await, (vec![], 0));
        drop(engine);
    }

    #[tokio::test]
    async fn a_control_plane_that_starts_while_a_file_is_broken_serves_its_last_good_state() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let state = State::within(&folder.path().join("state")).unwrap();
        let service = "{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80}]}}\n";
        let options = Options { domain: "cluster.local".into(), modules: Default::default() };
        let sources = Sources(vec![file.clone()]);
        for text in [service, "a: [", "a: ["] {
            std::fs::write(&file, text).unwrap();
            let world = World::new(&state.load().0, sources.read(), &options);
            let names: Vec<_> = world.objects.iter().map(|object| object.key.name.clone()).collect();
            assert_eq!((names, world.findings.len()), (vec!["one".to_string()], usize::from(text != service)), "{text}");
            save(Some(&state), Arc::new(world)).await;
        }
    }
}
