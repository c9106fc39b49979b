//! `weir install`: Weir's objects from the Helm chart inside this program, so that both ways of installing give the same.

mod apply;
pub mod bring;
mod chart;
mod component;
mod functions;
pub mod installed;
mod layer;
pub mod plan;
pub mod ready;
pub mod record;
pub mod reference;
pub mod remains;
mod set;
pub mod uninstall;
pub mod upgrade;
mod values;
pub mod why;

use crate::commands::print;
use crate::crds;
use crate::kubernetes::access::{Access, run as wait_for};
use anyhow::{Context, bail};
use bring::Job;
use installed::{By, NAMESPACE};
use layer::Layer;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
pub use values::Values;

/// The release's name, in labels alone: the objects are named by what they are.
const RELEASE: &str = "weir";

/// Put Weir into the cluster: control plane, injection of sidecars, ingress gateway. Again, it makes the installation what the values say
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", |arg| arg.help("The namespace of the control plane and the ingress gateway; else weir-system")))]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    options: Options,
    /// Print the objects as YAML, in the order in which they are applied, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What can be said of an installation and of an upgrade.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// File with values as for the Helm chart; of several, later ones override earlier ones
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One value, as `ingressGateway.service.type=NodePort`; overrides those of files
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Take fields that others have changed since
    #[arg(long)]
    force_conflicts: bool,
    /// Wait until all is ready, and say why if it does not become so
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Duration,
}

impl Options {
    fn wait(&self) -> Option<Duration> {
        self.wait.then_some(self.timeout)
    }
}

/// Installs, or prints what would be.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = read(None, &args.options.files, &args.options.sets)?;
    if args.dry_run {
        let namespace = args.access.namespace.as_deref().unwrap_or(NAMESPACE);
        print(&yaml(&render(&chosen.values, namespace)?)?);
        return Ok(ExitCode::SUCCESS);
    }
    wait_for(async {
        let (client, _) = args.access.client().await?;
        let installed = installed::find(&client, args.access.namespace.as_deref()).await?;
        let before = match installed.by {
            Some(By::Helm { release, namespace }) => bail!(
                "Helm installed Weir here, as the release {release} in the namespace {namespace}. Change it by `helm upgrade {release} CHART -n {namespace}`, or remove it first: helm uninstall {release} -n {namespace}"
            ),
            Some(By::Weir(record)) => Some(record),
            Some(By::Other) | None => None,
        };
        bring::bring(
            &client,
            &Job { namespace: installed.namespace, chosen, before, force: args.options.force_conflicts, wait: args.options.wait() },
        )
        .await
    })
}

/// Values as they hold, and what of them somebody gave.
#[derive(Debug)]
pub struct Chosen {
    /// All of them.
    pub values: Values,
    /// Those that are over the chart's.
    pub given: Map<String, Value>,
}

/// The chart's values, over them those that an installation remembers, those of files and of `--set KEY=VALUE`s. What is wrong is named by its
/// file, line and field.
pub fn read(remembered: Option<&str>, files: &[PathBuf], sets: &[String]) -> anyhow::Result<Chosen> {
    let mut layers = vec![Layer::defaults()?];
    if let Some(text) = remembered {
        layers.push(Layer::file("values of the installation", text)?);
    }
    for path in files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        layers.push(Layer::file(&path.display().to_string(), &text)?);
    }
    let (values, given) = layer::values(layers, sets)?;
    Ok(Chosen { values, given })
}

/// All objects in the order in which they are applied: the namespace, Istio's kinds, then the chart's.
pub fn render(values: &Values, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let mut objects = vec![namespace_object(namespace)];
    objects.extend(crds::all()?);
    objects.extend(chart::render(values, &chart::Release { name: RELEASE, namespace, service: "weir" })?);
    // What only the control plane would find: it would not start.
    for config in objects.iter().filter_map(|object| object.pointer("/data/config.yaml")?.as_str()) {
        weir_mesh::inject::Values::read(config).context("values for injection")?;
    }
    Ok(objects)
}

/// Its pods ask for no privileges, and get none. Sidecars are not for it.
fn namespace_object(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"istio-injection": "disabled", "pod-security.kubernetes.io/enforce": "restricted"},
        },
    })
}

/// The objects as documents of one YAML text.
fn yaml(objects: &[Value]) -> anyhow::Result<String> {
    let documents: Result<Vec<_>, _> = objects.iter().map(functions::to_yaml).collect();
    Ok(documents?.iter().map(|document| format!("---\n{document}\n")).collect())
}

/// Prints a line.
fn say(line: &str) {
    print(&format!("{line}\n"));
}

#[cfg(test)]
mod tests;
