//! Tells users, in the objects that they wrote, what became of these: the condition `Programmed` in their status, and an Event for each
//! mistake. Only the replica that leads does.

mod condition;
mod events;

use crate::ads::service::Ads;
use crate::kubernetes::replicas::Replicas;
use crate::programmed::{self, Report};
use crate::world::World;
use anyhow::{Context, Result};
use condition::{Condition, Said};
use events::Events;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_mesh::finding::Finding;
use weir_mesh::object::Key;

/// How often is looked whether there is something to tell. What is seen twice in a row is told: not every moment of a rollout.
const PAUSE: Duration = Duration::from_secs(1);
/// While only the number of proxies changes, it is written so often.
const RECOUNT: Duration = Duration::from_secs(60);
/// Statuses that are written at most in one look.
const AT_MOST: usize = 50;
/// Of a message, in bytes.
const LONGEST: usize = 1024;
/// The manager of the conditions.
const MANAGER: &str = "weir-control-plane";

/// Tells until the control plane ends; `page` is where the replicas tell each other what they counted.
pub async fn tell(
    client: Client,
    ads: Ads,
    reports: watch::Receiver<Arc<Report>>,
    leads: watch::Receiver<bool>,
    replicas: Replicas,
    page: &'static str,
) {
    let mut teller = Teller { client: client.clone(), seen: BTreeMap::new(), written: BTreeMap::new() };
    let mut events = Events::new(client, &replicas.own.name);
    loop {
        tokio::time::sleep(PAUSE).await;
        if !*leads.borrow() {
            (teller.seen, teller.written) = Default::default();
            events.forget();
            continue;
        }
        let world = ads.world.borrow().clone();
        events.tell(&world).await;
        let mut report = Report::clone(&reports.borrow());
        match others(&world, &replicas, page).await {
            Ok(others) => others.iter().for_each(|other| programmed::add(&mut report, other)),
            Err(error) => {
                tracing::debug!("no status is written: {error:#}");
                continue;
            }
        }
        teller.look(&world, &report).await;
    }
}

/// What the other replicas counted.
async fn others(world: &World, replicas: &Replicas, page: &str) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for (name, ip) in replicas.others(world) {
        let report = async { anyhow::Ok(serde_json::from_str(&replicas.ask(&ip, page).await?)?) };
        reports.push(report.await.with_context(|| format!("the replica {name}"))?);
    }
    Ok(reports)
}

struct Teller {
    client: Client,
    /// What was seen at the last look.
    seen: BTreeMap<Key, Condition>,
    /// What was written last, and when.
    written: BTreeMap<Key, (Condition, Instant)>,
}

impl Teller {
    async fn look(&mut self, world: &World, report: &Report) {
        let mut findings: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
        for finding in &world.findings {
            findings.entry(&finding.object).or_default().push(finding);
        }
        let mut news = Vec::new();
        let mut seen = BTreeMap::new();
        for (key, value) in programmed::subjects(world) {
            let name = key.to_string();
            let findings = findings.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let now = condition::of(value, report.get(&name), findings, world.rejected.contains_key(key));
            if self.seen.get(key) == Some(&now) && self.is_news(key, &now) && news.len() < AT_MOST {
                news.push((key, value, now.clone()));
            }
            seen.insert(key.clone(), now);
        }
        self.seen = seen;
        self.written.retain(|key, _| self.seen.contains_key(key));
        for (key, value, condition) in news {
            match write(&self.client, key, value, &condition).await {
                Ok(()) => drop(self.written.insert(key.clone(), (condition, Instant::now()))),
                Err(error) => tracing::warn!("the status of {key}: {error:#}"),
            }
        }
    }

    fn is_news(&self, key: &Key, now: &Condition) -> bool {
        self.written.get(key).is_none_or(|(before, at)| before != now && (!before.differs_in_count(now) || at.elapsed() > RECOUNT))
    }
}

/// Writes the condition beside those of others.
async fn write(client: &Client, key: &Key, value: &Value, condition: &Condition) -> Result<()> {
    let (group, version) = value["apiVersion"].as_str().and_then(|api| api.split_once('/')).context("no apiVersion")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, key.kind));
    let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &resource);
    // It went, and whoever wrote another one in its place is told about that.
    let Some(object) = objects.get_opt(&key.name).await? else { return Ok(()) };
    let Said::News(conditions) = condition.among(object.data.pointer("/status/conditions")) else { return Ok(()) };
    let patch = json!({"metadata": {"resourceVersion": object.metadata.resource_version}, "status": {"conditions": conditions}});
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..Default::default() };
    match objects.patch_status(&key.name, &params, &Patch::Merge(&patch)).await {
        // It went just now, or its definition has no status.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        // Somebody wrote at the same time: then it is tried again at the next look.
        written => Ok(written.map(drop)?),
    }
}

/// Objects by the names that findings give them.
fn named(world: &World, names: &BTreeSet<&str>) -> BTreeMap<String, Value> {
    let all = world.objects.iter().map(|object| (&object.key, &object.value));
    let rejected = world.rejected.iter().map(|(key, value)| (key, &**value));
    let named = all.chain(rejected).map(|(key, value)| (key.to_string(), value));
    named.filter(|(name, _)| names.contains(name.as_str())).map(|(name, value)| (name, value.clone())).collect()
}

/// Cuts a text where it is of no use any more; the API server takes no longer note of an Event.
fn shortened(mut text: String) -> String {
    let end = (0..=text.len().min(LONGEST)).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}
