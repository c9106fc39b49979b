//! `weir bug-report`: what somebody needs who looks into a problem from afar, in one file, without secrets.

mod archive;
mod collect;

use crate::commands::print;
use crate::install::installed::find;
use crate::kubernetes::access::{Access, run as wait_for};
use crate::{check, version};
use anyhow::Result;
use archive::Archive;
use k8s_openapi::jiff::Timestamp;
use std::path::Path;
use std::process::ExitCode;

/// Gather what helps to find a fault into a .tar.gz in this folder: versions, checks, objects, logs. No Secrets are read; keys and tokens are removed
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", |arg| arg.help("The namespace of the control plane; else where it is found")))]
pub struct Args {
    #[command(flatten)]
    access: Access,
}

/// Gathers.
pub fn run(args: &Args) -> Result<ExitCode> {
    wait_for(async {
        let (client, _) = args.access.client().await?;
        let named = args.access.namespace.as_deref();
        let installed = find(&client, named).await?;
        let mut archive = Archive::create(Path::new("."), Timestamp::now())?;
        archive.text("versions.txt", &version::report(&client, named).await)?;
        archive.text("check.txt", &check::report(&client, named).await.0)?;
        collect::weir(&client, &installed, &mut archive).await?;
        collect::istio(&client, &mut archive).await?;
        collect::pods(&client, &installed.namespace, &mut archive).await?;
        let (path, counts, missing) = archive.finish()?;
        let mut text = format!("{}\n", path.display());
        for (name, count) in counts {
            text += &if name.contains('.') { format!("  {name}\n") } else { format!("  {name}/: {count} files\n") };
        }
        if !missing.is_empty() {
            text += &format!("{} things could not be had, missing.txt says why.\n", missing.len());
        }
        print(&format!(
            "{text}Secrets were not read, and keys, tokens and apps' environments removed; hosts, addresses and paths of requests are in it.\nLook through it before you give it away.\n"
        ));
        Ok(ExitCode::SUCCESS)
    })
}
