//! `weir check`: whether a cluster is fit for Weir, and whether the Weir in it is well. One line for each thing that was looked at, and for what is
//! wrong what to do.

mod cluster;
mod line;
mod mesh;
mod pods;
mod rights;

use crate::commands::print;
use crate::install::installed::{By, Installed, NAMESPACE, find};
use crate::kubernetes::access::{Access, message, run as wait_for};
use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use line::{Grade, Line, bad, good, note};
use std::process::ExitCode;

/// Check whether the cluster is fit for Weir and, where it is installed, whether it is well; exits with 1 if there is a problem
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", |arg| arg.help("The namespace of the control plane; else where it is found")))]
pub struct Args {
    #[command(flatten)]
    access: Access,
}

/// Checks.
pub fn run(args: &Args) -> Result<ExitCode> {
    wait_for(async {
        let (client, _) = args.access.client().await?;
        let (text, is_well) = report(&client, args.access.namespace.as_deref()).await;
        print(&text);
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// All lines as text, and whether there is no problem.
pub async fn report(client: &Client, namespace: Option<&str>) -> (String, bool) {
    let lines = lines(client, namespace).await;
    let problems = lines.iter().filter(|line| line.grade == Grade::Bad).count();
    let total = match problems {
        0 => "No problems.".to_string(),
        1 => "1 problem.".to_string(),
        many => format!("{many} problems."),
    };
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    (format!("{text}{total}\n"), problems == 0)
}

async fn lines(client: &Client, namespace: Option<&str>) -> Vec<Line> {
    let mut lines = match client.apiserver_version().await {
        Ok(info) => vec![cluster::version(&info)],
        // Nothing else can be known then.
        Err(error) => return vec![bad(message(&error), "look at --kubeconfig and --context, and whether `kubectl version` is answered")],
    };
    let installed = match find(client, namespace).await {
        Ok(installed) => installed,
        Err(error) => {
            lines.push(bad(format!("{error:#}"), ""));
            // Often it is these that lack.
            lines.extend(known(rights::lines(client, namespace.unwrap_or(NAMESPACE)).await, "your rights"));
            return lines;
        }
    };
    let is_there = installed.by.is_some();
    lines.push(place(&installed));
    if !is_there {
        lines.extend(known(rights::lines(client, &installed.namespace).await, "your rights"));
    }
    let settings = mesh::settings(client, &installed.namespace).await.unwrap_or_default();
    lines.extend(known(cluster::istio(client, &settings.revision).await, "whether Istio is there"));
    lines.extend(known(cluster::definitions(client, is_there).await, "the CRDs"));
    if is_there {
        lines.extend(known(mesh::deployments(client, &installed.namespace).await, "the Deployments"));
        lines.extend(known(mesh::webhook(client, &installed.namespace).await, "the webhook"));
        lines.extend(known(mesh::leader(client, &installed.namespace, Timestamp::now()).await, "the leader"));
    }
    match pods::seen(client, &installed.namespace).await {
        Ok(seen) => {
            lines.extend(pods::standards(&seen));
            if is_there {
                lines.extend(pods::sidecars(&seen, &settings));
            }
        }
        Err(error) => lines.push(note(format!("namespaces and pods could not be looked at: {error:#}"), "")),
    }
    lines
}

/// What could not be looked at is no problem of the cluster's.
fn known(lines: Result<Vec<Line>>, what: &str) -> Vec<Line> {
    lines.unwrap_or_else(|error| vec![note(format!("{what}: could not be looked at: {error:#}"), "")])
}

fn place(installed: &Installed) -> Line {
    let (namespace, ours) = (&installed.namespace, env!("CARGO_PKG_VERSION"));
    match &installed.by {
        None => good(format!("Weir is not installed yet; {namespace} would be its namespace")),
        Some(By::Weir(record)) if record.version == ours => good(format!("Weir {ours} is installed in the namespace {namespace}")),
        Some(By::Weir(record)) => note(
            format!("Weir {} is installed in the namespace {namespace}, and this program is {ours}", record.version),
            "weir upgrade, or the program of that version",
        ),
        Some(By::Helm { release, .. }) => good(format!("Weir is installed in the namespace {namespace}, by Helm as the release {release}")),
        Some(By::Other) => note(
            format!("Weir is in the namespace {namespace}, and neither Helm nor `weir install` brought it"),
            "weir install takes it over",
        ),
    }
}
