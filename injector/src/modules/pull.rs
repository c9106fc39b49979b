//! Pulls the modules that WasmPlugins name by `oci://`, `https://` or `http://`: each once, and again after a failure.

mod fetch;
#[cfg(test)]
mod tests;
mod unpack;

use super::store::Store;
use crate::world::World;
use anyhow::Result;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use weir_mesh::finding::Severity;
use weir_mesh::mesh::pull::{Pulled, Source, pending, source};
use weir_mesh::mesh::{Module, Pulls};
use weir_mesh::object::Objects;

/// After the first failure. Each time doubles it.
const AGAIN: Duration = Duration::from_secs(1);
/// So often at most: then it is tried about every minute.
const MOST_DOUBLED: u32 = 6;
/// So many are pulled at a time.
const TURNS: usize = 4;
/// How long a module is served that no plugin needs any more: a proxy may be about to ask for it.
const KEPT: Duration = Duration::from_secs(600);

/// What is pulled, and where it goes.
#[derive(Debug)]
pub struct Puller {
    store: Store,
    publish: watch::Sender<Pulls>,
    /// What each object needs.
    wanted: BTreeMap<String, Source>,
    pulls: BTreeMap<Source, Pull>,
    /// The last module of each object.
    good: BTreeMap<String, String>,
    /// When the modules were last needed that were pulled.
    needed: BTreeMap<String, Instant>,
    running: JoinSet<(Source, Result<Bytes>)>,
    /// Who pulls has one of [`TURNS`].
    turns: Arc<Semaphore>,
}

#[derive(Debug)]
enum Pull {
    Running {
        failures: u32,
        problem: Option<String>,
    },
    /// With the module's sha256.
    Done(String),
    Failed {
        failures: u32,
        problem: String,
        again: Instant,
    },
}

impl Puller {
    /// Nothing is pulled yet. What is pulled is served from `store`; how that stands is told to the receiver.
    pub fn new(store: Store) -> (Puller, watch::Receiver<Pulls>) {
        // For the clients; fails where there is one, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (publish, pulls) = watch::channel(Pulls::Known(Arc::default()));
        let (wanted, pulled, good, needed, running) = Default::default();
        (Puller { store, publish, wanted, pulls: pulled, good, needed, running, turns: Arc::new(Semaphore::new(TURNS)) }, pulls)
    }

    /// Pulls what these objects need, each once; done when nothing is on its way any more.
    pub async fn first(&mut self, objects: &Objects) {
        self.want(objects);
        while let Some(done) = self.running.join_next().await {
            self.done(done.ok());
        }
    }

    /// What has not come by now counts as failed, until it comes.
    pub fn overdue(&mut self) {
        for pull in self.pulls.values_mut() {
            if let Pull::Running { problem: problem @ None, .. } = pull {
                *problem = Some("the module has not come yet".to_string());
            }
        }
        self.tell();
    }

    /// Whether there is anything that was to be pulled.
    pub fn has_pulled(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Pulls what the worlds need, until there are none any more.
    pub async fn run(mut self, mut worlds: watch::Receiver<Arc<World>>) {
        loop {
            let objects = worlds.borrow_and_update().objects.clone();
            self.want(&objects);
            let again =
                self.pulls.values().filter_map(|pull| if let Pull::Failed { again, .. } = pull { Some(*again) } else { None }).min();
            tokio::select! {
                changed = worlds.changed() => if changed.is_err() { return },
                Some(done) = self.running.join_next() => self.done(done.ok()),
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
        }
    }

    /// Starts what is needed and due, and forgets what is not needed.
    fn want(&mut self, objects: &Objects) {
        self.wanted = objects.iter().filter_map(|object| Some((object.key.to_string(), source(object)?))).collect();
        self.good.retain(|object, _| self.wanted.contains_key(object));
        self.pulls.retain(|source, _| self.wanted.values().any(|wanted| wanted == source));
        for source in self.wanted.values() {
            let (failures, problem) = match self.pulls.get(source) {
                None => (0, None),
                Some(Pull::Failed { failures, problem, again }) if *again <= Instant::now() => (*failures, Some(problem.clone())),
                Some(_) => continue,
            };
            let (pulled, turns) = (source.clone(), self.turns.clone());
            self.running.spawn(async move {
                let _turn = turns.acquire().await;
                let module = fetch::fetch(&pulled).await;
                (pulled, module)
            });
            self.pulls.insert(source.clone(), Pull::Running { failures, problem });
        }
        self.tell();
    }

    fn done(&mut self, done: Option<(Source, Result<Bytes>)>) {
        let Some((source, module)) = done else { return };
        let Some(Pull::Running { failures, .. }) = self.pulls.get(&source) else { return };
        let pull = match module {
            Ok(module) => Pull::Done(self.store.put(module)),
            Err(error) => {
                let again = Instant::now() + AGAIN.saturating_mul(1 << (*failures).min(MOST_DOUBLED));
                Pull::Failed { failures: failures.saturating_add(1), problem: format!("{error:#}"), again }
            }
        };
        if let Pull::Done(sha256) = &pull {
            tracing::info!(url = source.url, sha256, "pulled a module");
        }
        self.pulls.insert(source, pull);
        self.tell();
    }

    /// Publishes how it stands, if that is news.
    fn tell(&mut self) {
        let mut known = BTreeMap::new();
        for (object, source) in &self.wanted {
            let problem = match self.pulls.get(source) {
                Some(Pull::Done(sha256)) => {
                    self.good.insert(object.clone(), sha256.clone());
                    None
                }
                Some(Pull::Failed { problem, .. } | Pull::Running { problem: Some(problem), .. }) => {
                    Some((Severity::Error, problem.clone()))
                }
                _ => Some(pending()),
            };
            let module = self.good.get(object).map(|sha256| Module::Served { sha256: sha256.clone() });
            known.insert(object.clone(), Pulled { source: source.clone(), module, problem });
        }
        self.forget();
        let known = Pulls::Known(Arc::new(known));
        self.publish.send_if_modified(|told| {
            let news = *told != known;
            *told = known;
            news
        });
    }

    /// No longer serves what nobody has needed for a while.
    fn forget(&mut self) {
        let now = Instant::now();
        self.needed.extend(self.good.values().map(|sha256| (sha256.clone(), now)));
        let store = &self.store;
        self.needed.retain(|sha256, needed| {
            let kept = now.duration_since(*needed) < KEPT;
            if !kept {
                store.remove(sha256);
            }
            kept
        });
    }
}
