//! `weir uninstall`: takes away what `weir install` recorded, and says what remains. Done again, it finishes what was begun.

use super::component::Component;
use super::installed::{By, find};
use super::plan::{Owner, may_be_shared, owner, removal};
use super::record::Record;
use super::reference::Reference;
use super::{bring, remains, say};
use crate::kubernetes::access::{Access, run as wait_for};
use anyhow::{Result, bail};
use kube::Client;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long pods and the namespace may take to end.
const ENDING: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(200);

/// Take Weir away. Your objects, and the CustomResourceDefinitions that they are of, stay
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", |arg| arg.help("The namespace of the control plane; else where it is found")))]
pub struct Args {
    #[command(flatten)]
    access: Access,
    /// Also remove the CustomResourceDefinitions that Weir brought, with all objects of their kinds, and all that is in its namespace
    #[arg(long)]
    purge: bool,
    /// Purge although objects of others go with it
    #[arg(long, requires = "purge")]
    yes: bool,
}

/// Uninstalls.
pub fn run(args: &Args) -> Result<ExitCode> {
    wait_for(async {
        let (client, _) = args.access.client().await?;
        let installed = find(&client, args.access.namespace.as_deref()).await?;
        let namespace = installed.namespace;
        let objects = match installed.by {
            Some(By::Weir(record)) => Some(record.objects),
            Some(By::Helm { release, namespace }) => {
                bail!("Helm installed Weir here, and removes it: helm uninstall {release} -n {namespace}")
            }
            Some(By::Other) => bail!(
                "Weir is here, but `weir install` did not bring it, so it is not known what belongs to it. `weir install -n {namespace}` takes it over, and then `weir uninstall` removes it"
            ),
            None => None,
        };
        let definitions = if args.purge { remains::definitions(&client).await?.0 } else { vec![] };
        let place = Reference { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name: namespace.clone() };
        let is_place_ours = owner(bring::live(&client, &place).await?.as_ref()) == Owner::Us;
        let strangers = if is_place_ours { remains::strangers(&client, &namespace).await? } else { vec![] };
        if args.purge && !args.yes {
            agree(&client, &definitions, &namespace, &strangers).await?;
        }

        match objects {
            Some(objects) => take_away(&client, &namespace, objects).await?,
            None => say(&format!("Weir is not installed in the namespace {namespace}")),
        }
        for definition in &definitions {
            if bring::remove(&client, definition).await?.is_some() {
                say(&format!("  {definition} removed"));
            }
        }
        // Those that are not gone in time remain.
        gone(&client, &definitions).await?;
        let mut left = Vec::new();
        if is_place_ours && (strangers.is_empty() || args.purge) {
            bring::remove(&client, &place).await?;
            if gone(&client, std::slice::from_ref(&place)).await? {
                say(&format!("  {place} removed"));
            } else {
                left.push(format!("{place} is ending still"));
            }
        } else if is_place_ours {
            left.push(format!("{place}, because it holds what did not come with Weir: {}", strangers.join(", ")));
        }
        let (ours, others) = remains::definitions(&client).await?;
        for definition in ours.iter().chain(&others) {
            let with = remains::objects(&client, definition).await?.map(|with| format!(", with {with}")).unwrap_or_default();
            left.push(format!("{definition}{with}"));
        }
        left.extend(remains::dependents(&client).await?);
        if !left.is_empty() {
            say(&format!("What remains:\n  {}", left.join("\n  ")));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Refuses if users' objects would go.
async fn agree(client: &Client, definitions: &[Reference], namespace: &str, strangers: &[String]) -> Result<()> {
    let mut lost = Vec::new();
    for definition in definitions {
        lost.extend(remains::objects(client, definition).await?.map(|with| format!("{with}, with {definition}")));
    }
    lost.extend(strangers.iter().map(|stranger| format!("{stranger}, with the namespace {namespace}")));
    if lost.is_empty() {
        return Ok(());
    }
    bail!("nothing was removed. A purge would take with it, for good:\n  {}\nIf that is what you want: --yes", lost.join("\n  "))
}

/// Removes what was recorded, then what the control plane made, at last the record.
async fn take_away(client: &Client, namespace: &str, objects: Vec<Reference>) -> Result<()> {
    say(&format!("Weir goes from the namespace {namespace}"));
    let own: Vec<_> = objects.into_iter().filter(|reference| !may_be_shared(reference)).collect();
    let mut counts: BTreeMap<Component, usize> = BTreeMap::new();
    for reference in removal(own.clone()) {
        if let Some(removed) = bring::remove(client, &reference).await? {
            *counts.entry(Component::of(&serde_json::to_value(removed)?)).or_default() += 1;
        }
    }
    for (component, count) in counts.iter().rev() {
        say(&format!("  {component:<16}{}", bring::objects_text(*count, "removed")));
    }
    let deployments: Vec<_> = own.into_iter().filter(|reference| reference.kind == "Deployment").collect();
    if !gone(client, &deployments).await? {
        say("  its pods are ending still");
    }
    // Not before its pods have ended: they would make them anew.
    for (version, kind, name) in remains::OWN {
        let own = Reference { api_version: version.into(), kind: kind.into(), namespace: Some(namespace.into()), name: name.into() };
        bring::delete(client, &own, None).await?;
    }
    bring::delete(client, &Record::reference(namespace), None).await?;
    Ok(())
}

/// Waits until they are gone; whether they are in time.
async fn gone(client: &Client, references: &[Reference]) -> Result<bool> {
    let start = Instant::now();
    for reference in references {
        while bring::live(client, reference).await?.is_some() {
            if start.elapsed() > ENDING {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(true)
}
