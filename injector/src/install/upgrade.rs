//! `weir upgrade`: this program's version of Weir in the place of the one that is there, with the values that it remembers.

use super::bring::{Job, bring};
use super::installed::{By, find};
use super::{Options, read};
use crate::kubernetes::access::{Access, run as wait_for};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Bring the installation to this program's version; its values stay, those given here go over them
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", |arg| arg.help("The namespace of the control plane; else where it is found")))]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    options: Options,
}

/// Upgrades.
pub fn run(args: &Args) -> Result<ExitCode> {
    let options = &args.options;
    wait_for(async {
        let (client, _) = args.access.client().await?;
        let installed = find(&client, args.access.namespace.as_deref()).await?;
        let before = match installed.by {
            Some(By::Weir(record)) => record,
            Some(By::Helm { release, namespace }) => {
                bail!("Helm installed Weir here, and upgrades it: helm upgrade {release} CHART -n {namespace}")
            }
            Some(By::Other) => {
                bail!("Weir is here, but `weir install` did not bring it, so no values are remembered: weir install takes it over")
            }
            None => bail!("Weir is not installed in the namespace {}: weir install", installed.namespace),
        };
        let chosen = read(Some(&before.values), &options.files, &options.sets)?;
        let job =
            Job { namespace: installed.namespace, chosen, before: Some(before), force: options.force_conflicts, wait: options.wait() };
        bring(&client, &job).await
    })
}
