//! Watches the kinds that make the mesh: a task for each, whose changes come together in one channel.

use super::kinds::{WATCHED, Watched, concern};
use futures_util::{Stream, StreamExt};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_mesh::object::Key;

/// Between two attempts while the API server does not answer, or does not know a kind.
const PAUSE: Duration = Duration::from_secs(1);
/// A watch is renewed so often: a connection that died in silence is noticed then.
const RENEWAL: u32 = 60;
/// Changes that wait to be taken.
const BACKLOG: usize = 1024;

/// What is told of the cluster.
#[derive(Debug)]
pub enum Change {
    /// An object is as the value says; without one it is gone.
    Object(Key, Option<Value>),
    /// All objects of a kind have been told, or the cluster lacks the kind.
    Complete(&'static str),
}

/// Watches all kinds, until nobody listens.
pub fn all(client: &Client) -> mpsc::Receiver<Change> {
    let (send, receive) = mpsc::channel(BACKLOG);
    for kind in WATCHED {
        let watch = Watch { kind, client: client.clone(), send: send.clone(), api_version: String::new(), known: BTreeSet::new() };
        tokio::spawn(watch.run());
    }
    receive
}

struct Watch {
    kind: Watched,
    client: Client,
    send: mpsc::Sender<Change>,
    /// The version that is watched.
    api_version: String,
    /// What was told.
    known: BTreeSet<Key>,
}

/// Nobody listens any more.
struct Unheard;

impl Watch {
    async fn run(mut self) {
        while !self.send.is_closed() {
            let outcome = match self.served().await {
                Some(resource) => {
                    self.api_version.clone_from(&resource.api_version);
                    let config = watcher::Config::default().timeout(RENEWAL).labels(self.kind.labels);
                    self.follow(watcher(Api::all_with(self.client.clone(), &resource), config)).await
                }
                None => Ok(()),
            };
            if outcome.is_err() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The newest version that the API server has; none if it lacks the kind, or cannot be asked.
    async fn served(&mut self) -> Option<ApiResource> {
        match served(&self.client, &self.kind).await {
            Ok(Some(resource)) => return Some(resource),
            Ok(None) => tracing::debug!("the cluster does not know the kind {} yet", self.kind.kind),
            Err(error) => {
                tracing::warn!("the API server was asked for the versions of {}: {error}", self.kind.kind);
                return None;
            }
        }
        // Its definition went, and the objects with it.
        self.replace(BTreeSet::new()).await.ok()?;
        None
    }

    /// Tells what a watch says, until the API server no longer knows the kind.
    async fn follow(&mut self, stream: impl Stream<Item = watcher::Result<Event<DynamicObject>>>) -> Result<(), Unheard> {
        let mut stream = pin!(stream);
        let mut listed = BTreeSet::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => listed.extend(self.tell(object).await?),
                Ok(Event::InitDone) => self.replace(std::mem::take(&mut listed)).await?,
                Ok(Event::Apply(object)) => drop(self.tell(object).await?),
                Ok(Event::Delete(object)) => {
                    let key = self.key(&object);
                    self.known.remove(&key);
                    self.send(Change::Object(key, None)).await?;
                }
                Err(error) if self.kind.optional && is_gone(&error) => return Ok(()),
                Err(error) => {
                    tracing::warn!("the watch of {}: {error}", self.kind.kind);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    async fn tell(&mut self, object: DynamicObject) -> Result<Option<Key>, Unheard> {
        let key = self.key(&object);
        let value = serde_json::to_value(object).ok().and_then(|value| concern(&self.api_version, self.kind.kind, value));
        let known = value.is_some();
        if known {
            self.known.insert(key.clone());
        } else {
            self.known.remove(&key);
        }
        self.send(Change::Object(key.clone(), value)).await?;
        Ok(known.then_some(key))
    }

    /// All that was known and is not listed went while nobody watched.
    async fn replace(&mut self, listed: BTreeSet<Key>) -> Result<(), Unheard> {
        let before = std::mem::replace(&mut self.known, listed);
        for key in before.difference(&self.known).cloned().collect::<Vec<_>>() {
            self.send(Change::Object(key, None)).await?;
        }
        self.send(Change::Complete(self.kind.kind)).await
    }

    async fn send(&self, change: Change) -> Result<(), Unheard> {
        self.send.send(change).await.map_err(|_| Unheard)
    }

    fn key(&self, object: &DynamicObject) -> Key {
        Key { kind: self.kind.kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

/// The newest version of a kind that the API server has; none if it lacks the kind.
pub async fn served(client: &Client, kind: &Watched) -> kube::Result<Option<ApiResource>> {
    let Watched { kind, group, versions, optional, .. } = *kind;
    if !optional {
        return Ok(versions.first().map(|version| ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))));
    }
    for version in versions {
        match kube::discovery::pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await {
            Ok((resource, _)) => return Ok(Some(resource)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether the API server answered that it does not know what was asked for.
fn is_absent(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 404,
        kube::Error::Discovery(_) => true,
        _ => false,
    }
}

fn is_gone(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => is_absent(error),
        _ => false,
    }
}
