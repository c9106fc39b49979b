//! What the replicas know of canaries: in a ConfigMap that the leader writes, with what it fetches from the others.

use super::replicas::Replicas;
use crate::canary::engine::Canaries;
use crate::canary::ledger::Kept;
use crate::canary::waiting::Fetched;
use crate::world::World;
use anyhow::{Context, Result};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::watcher;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The ConfigMap.
pub const CONFIG_MAP: &str = "weir-canaries";
/// What it holds.
const KEY: &str = "canaries.json";
/// Where a replica that does not lead tells what proxies told it.
pub const CLAIMS: &str = "/canary/claims";
/// How often they are fetched.
const FETCHING: Duration = Duration::from_millis(500);
/// Between two attempts to watch.
const PAUSE: Duration = Duration::from_secs(1);

/// The ConfigMap.
#[derive(Clone)]
pub struct Shared(Api<ConfigMap>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(CONFIG_MAP)
    }
}

impl Shared {
    /// In a namespace.
    pub fn within(client: Client, namespace: &str) -> Shared {
        Shared(Api::namespaced(client, namespace))
    }

    /// What was kept last; nothing if there is none.
    pub async fn load(&self) -> Result<Kept> {
        let map = self.0.get_opt(CONFIG_MAP).await.with_context(|| format!("reading the ConfigMap {CONFIG_MAP}"))?;
        Ok(map.as_ref().map(kept).unwrap_or_default())
    }

    /// Keeps it.
    pub async fn save(&self, kept: &Kept) -> Result<()> {
        let data = Some(BTreeMap::from([(KEY.to_string(), serde_json::to_string(kept)?)]));
        let new = |resource_version| ConfigMap {
            metadata: ObjectMeta { name: Some(CONFIG_MAP.into()), resource_version, ..Default::default() },
            data: data.clone(),
            ..Default::default()
        };
        let written = match self.0.get_opt(CONFIG_MAP).await.context("reading it")? {
            Some(map) if map.data == data => return Ok(()),
            // With the version that was read: of two who think that they lead one does it.
            Some(map) => self.0.replace(CONFIG_MAP, &PostParams::default(), &new(map.metadata.resource_version)).await,
            None => self.0.create(&PostParams::default(), &new(None)).await,
        };
        written.map(drop).with_context(|| format!("writing the ConfigMap {CONFIG_MAP}"))
    }

    /// Tells what it says, whoever writes it.
    pub async fn follow(self, publish: watch::Sender<Kept>) {
        while !publish.is_closed() {
            let mut stream = pin!(watcher::watch_object(self.0.clone(), CONFIG_MAP));
            while let Some(seen) = stream.next().await {
                match seen {
                    // What is gone is written again by who leads.
                    Ok(None) => {}
                    Ok(Some(map)) => {
                        let kept = kept(&map);
                        publish.send_if_modified(|known| std::mem::replace(known, kept.clone()) != kept);
                    }
                    Err(error) => {
                        tracing::warn!("the watch of the ConfigMap {CONFIG_MAP}: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn kept(map: &ConfigMap) -> Kept {
    let text = map.data.as_ref().and_then(|data| data.get(KEY)).map_or("{}", String::as_str);
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::warn!("the ConfigMap {CONFIG_MAP} says nothing that is understood: {error}");
        Kept::default()
    })
}

/// Fetches what proxies told the other replicas, while this one leads.
pub async fn fetch(worlds: watch::Receiver<Arc<World>>, canaries: Canaries, leads: watch::Receiver<bool>, replicas: Replicas) {
    // By replica its life, and the last claim that was fetched.
    let mut known: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    loop {
        tokio::time::sleep(FETCHING).await;
        if !*leads.borrow() {
            known.clear();
            continue;
        }
        let world = worlds.borrow().clone();
        let others = replicas.others(&world);
        known.retain(|name, _| others.iter().any(|(other, _)| other == name));
        for (name, ip) in others {
            let (life, last) = known.get(&name).copied().unwrap_or_default();
            match one(&replicas, &ip, life, last).await {
                Ok(fetched) => {
                    known.insert(name, (fetched.life, fetched.last));
                    fetched.claims().for_each(|claim| canaries.claim(claim));
                }
                Err(error) => tracing::debug!("no claims of the replica {name}: {error:#}"),
            }
        }
    }
}

async fn one(replicas: &Replicas, ip: &str, life: u64, last: u64) -> Result<Fetched> {
    Ok(serde_json::from_str(&replicas.ask(ip, &format!("{CLAIMS}?life={life}&after={last}")).await?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_understood_is_nothing() {
        let text = r#"{"a/b":{"byHand":7,"round":3,"state":""}}"#;
        let map = |text: &str| ConfigMap { data: Some([(KEY.to_string(), text.to_string())].into()), ..Default::default() };
        assert_eq!(serde_json::to_string(&kept(&map(text))).unwrap(), text);
        for other in [map("{"), map("[]"), ConfigMap::default()] {
            assert_eq!(kept(&other), Kept::default());
        }
    }
}
