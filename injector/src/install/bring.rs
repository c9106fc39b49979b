//! Brings an installation to a cluster, or brings it up to date. What it can know beforehand it refuses before it changes anything.

use super::apply::{How, MANAGER, Refused, apply};
use super::component::Component;
use super::plan::{self, Owner, may_be_shared};
use super::record::Record;
use super::reference::Reference;
use super::{Chosen, Values, ready, render, say};
use crate::kubernetes::access::message;
use anyhow::{Result, anyhow, bail};
use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long the API server may take to serve new kinds.
const ESTABLISHED: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// What is to be brought.
#[derive(Debug)]
pub struct Job {
    /// Where to.
    pub namespace: String,
    /// The values.
    pub chosen: Chosen,
    /// What was brought before.
    pub before: Option<Record>,
    /// Whether fields are taken from others.
    pub force: bool,
    /// How long is waited until all is ready.
    pub wait: Option<Duration>,
}

/// Brings it.
pub async fn bring(client: &Client, job: &Job) -> Result<ExitCode> {
    let (objects, left) = divide(client, render(&job.chosen.values, &job.namespace)?).await?;
    rehearse(client, &objects, &left, job).await?;
    say(&headline(job));
    for (reference, owner) in &left {
        say(&format!("  {reference} is there already and left alone{owner}"));
    }
    for value in job.before.iter().flat_map(|before| before.forgotten(&job.chosen.given)) {
        say(&format!("  {value} is as in the chart again: it is not among the values given (weir upgrade keeps them)"));
    }
    let before = job.before.as_ref().map(|record| record.objects.clone()).unwrap_or_default();
    let now: Vec<_> = objects.iter().map(Reference::of).collect();
    let mut record = Record::new(&job.chosen.given, plan::union(&now, &before))?;

    let how = How { force: job.force, dry_run: false };
    let mut rest: BTreeMap<Component, usize> = BTreeMap::new();
    objects.iter().for_each(|object| *rest.entry(Component::of(object)).or_default() += 1);
    let all = rest.clone();
    let (first, other): (Vec<_>, Vec<_>) = objects.iter().partition(|object| Component::of(object) == Component::Namespace);
    let (definitions, other): (Vec<_>, Vec<_>) = other.into_iter().partition(|object| Component::of(object) == Component::Definitions);
    for (step, objects) in [first, definitions, other].into_iter().enumerate() {
        match step {
            // From now on all of it can be taken away again.
            1 => record.keep(client, &job.namespace).await?,
            2 => established(client, &definition_names()?).await?,
            _ => {}
        }
        for object in objects {
            apply(client, object, how).await.map_err(|refused| anyhow!("{}: {refused}", Reference::of(object)))?;
            let component = Component::of(object);
            let rest = rest.entry(component).or_default();
            *rest -= 1;
            if *rest == 0 {
                say(&format!("  {component:<16}{}", objects_text(all.get(&component).copied().unwrap_or(0), "applied")));
            }
        }
    }
    for reference in plan::pruned(&before, &now) {
        if remove(client, &reference).await?.is_some() {
            say(&format!("  {reference} is no longer part of it and removed"));
        }
    }
    record.objects = now;
    record.keep(client, &job.namespace).await?;

    if let Some(limit) = job.wait {
        say(&format!("Waiting until it is ready, at most {}", humantime::format_duration(limit)));
        if !ready::wait(client, &objects, limit).await? {
            say("It is installed, and not ready. Kubernetes goes on trying; what stands above must be put right, then ask: weir check");
            return Ok(ExitCode::FAILURE);
        }
    }
    say(&next(&job.chosen.values, &job.namespace, job.wait.is_some()));
    Ok(ExitCode::SUCCESS)
}

/// The objects that are applied, and those that are others', with who they are.
async fn divide(client: &Client, rendered: Vec<Value>) -> Result<(Vec<Value>, Vec<(Reference, String)>)> {
    let (mut objects, mut left) = (Vec::new(), Vec::new());
    for object in rendered {
        let reference = Reference::of(&object);
        let live = if may_be_shared(&reference) { live(client, &reference).await? } else { None };
        if live.as_ref().is_some_and(|live| live.metadata.deletion_timestamp.is_some()) {
            bail!("{reference} is being removed at this moment: try again when it is gone");
        }
        match plan::owner(live.as_ref()) {
            Owner::Nobody | Owner::Us => objects.push(object),
            Owner::Others(names) if names.is_empty() => left.push((reference, String::new())),
            Owner::Others(names) => left.push((reference, format!(" (of {names})"))),
        }
    }
    Ok((objects, left))
}

/// An object as the cluster has it.
pub async fn live(client: &Client, reference: &Reference) -> Result<Option<DynamicObject>> {
    match reference.api(client).get(&reference.name).await {
        Ok(live) => Ok(Some(live)),
        // Also if the cluster does not have the kind.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(anyhow!("{reference}: {}", message(&error))),
    }
}

/// Lets the API server try all objects without effect, so that what it refuses is known before anything has changed.
async fn rehearse(client: &Client, objects: &[Value], left: &[(Reference, String)], job: &Job) -> Result<()> {
    let namespace = Reference { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name: job.namespace.clone() };
    let has_namespace = left.iter().any(|(reference, _)| *reference == namespace) || live(client, &namespace).await?.is_some();
    let (mut refusals, mut conflicts) = (Vec::new(), false);
    for object in objects {
        let reference = Reference::of(object);
        if reference.namespace.is_some() && !has_namespace {
            continue;
        }
        match apply(client, object, How { force: job.force, dry_run: true }).await {
            Err(refused) if !is_of_the_rehearsal(&refused) => {
                conflicts |= matches!(refused, Refused::Conflict(_));
                refusals.push(format!("  {reference}: {refused}"));
            }
            _ => {}
        }
    }
    if refusals.is_empty() {
        return Ok(());
    }
    let advice = if conflicts { "\nLet those who own these fields leave them, or take them: --force-conflicts" } else { "" };
    bail!("nothing was changed, because the API server refuses\n{}{advice}", refusals.join("\n"))
}

/// Whether a refusal comes from trying alone: a role binding wants its role, and some webhooks cannot try.
fn is_of_the_rehearsal(refused: &Refused) -> bool {
    match refused {
        Refused::Conflict(_) | Refused::Unknown => false,
        Refused::Lacking(_) => true,
        Refused::Other(text) => text.contains("does not support dry run"),
    }
}

fn definition_names() -> Result<Vec<Reference>> {
    Ok(crate::crds::all()?.iter().map(Reference::of).collect())
}

/// Waits until the API server serves the kinds.
async fn established(client: &Client, definitions: &[Reference]) -> Result<()> {
    let start = Instant::now();
    for reference in definitions {
        loop {
            let live = live(client, reference).await?;
            let conditions = live.as_ref().and_then(|live| live.data.pointer("/status/conditions")?.as_array().cloned());
            let conditions = conditions.unwrap_or_default();
            if conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
                break;
            }
            if start.elapsed() > ESTABLISHED {
                let why: Vec<_> = conditions.iter().filter_map(|condition| condition["message"].as_str()).collect();
                bail!("{reference} is not served: {}", why.join("; "));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Removes an object that this program brought, and gives what it was. One that carries another's label is left.
pub async fn remove(client: &Client, reference: &Reference) -> Result<Option<DynamicObject>> {
    let Some(live) = live(client, reference).await? else { return Ok(None) };
    if !may_be_shared(reference) && live.labels().get("app.kubernetes.io/managed-by").map(String::as_str) != Some(MANAGER) {
        say(&format!("  {reference} is left: its label app.kubernetes.io/managed-by no longer says {MANAGER}"));
        return Ok(None);
    }
    Ok(delete(client, reference, live.uid()).await?.then_some(live))
}

/// Deletes an object, if it is the one of that uid; whether there was one. A Deployment goes after its pods.
pub async fn delete(client: &Client, reference: &Reference, uid: Option<String>) -> Result<bool> {
    let params = if reference.kind == "Deployment" { DeleteParams::foreground() } else { DeleteParams::background() };
    let params = match uid {
        Some(_) => params.preconditions(Preconditions { uid, resource_version: None }),
        None => params,
    };
    match reference.api(client).delete(&reference.name, &params).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(anyhow!("{reference}: {}", message(&error))),
    }
}

/// `12 objects applied`
pub fn objects_text(count: usize, done: &str) -> String {
    if count == 1 { format!("1 object {done}") } else { format!("{count} objects {done}") }
}

fn headline(job: &Job) -> String {
    let (version, namespace) = (env!("CARGO_PKG_VERSION"), &job.namespace);
    match &job.before {
        None => format!("Weir {version} comes into the namespace {namespace}"),
        Some(before) if before.version == version => format!("Weir {version} in the namespace {namespace} is brought up to date"),
        Some(before) => format!("Weir in the namespace {namespace} goes from {} to {version}", before.version),
    }
}

/// What to do next.
fn next(values: &Values, namespace: &str, waited: bool) -> String {
    let label = if values.revision.is_empty() { "istio-injection=enabled".into() } else { format!("istio.io/rev={}", values.revision) };
    let state = if waited { "Weir is ready." } else { "Weir is applied; whether it is ready:\n\n    weir check" };
    let mut text = format!(
        "\n{state}\n\nGive a namespace's pods their sidecars, and start anew those that run already:\n\n    kubectl label namespace NAMESPACE {label}\n    kubectl rollout restart deployment --namespace NAMESPACE\n"
    );
    if values.ingress_gateway.enabled {
        text += &format!("\nThe address of the ingress gateway:\n\n    kubectl get service weir-ingressgateway --namespace {namespace}\n");
    }
    text
}
