//! `weir install`: Weir's objects from the Helm chart inside this program, so that both ways of installing give the same.

mod chart;
mod functions;
mod layer;
mod set;
mod values;

use crate::commands::print;
use crate::crds;
use anyhow::{Context, bail};
use layer::Layer;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
pub use values::Values;

/// The release's name, in labels alone: the objects are named by what they are.
const RELEASE: &str = "weir";

/// Put Weir into the cluster: control plane, injection of sidecars, ingress gateway.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The namespace of the control plane and the ingress gateway
    #[arg(short, long, default_value = "weir-system")]
    namespace: String,
    /// File with values as for the Helm chart; of several, later ones override earlier ones
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One value, as `ingressGateway.service.type=NodePort`; overrides those of files
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print the objects as YAML, in the order in which they are applied, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Installs, or prints what would be.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let objects = render(&read(&args.files, &args.sets)?, &args.namespace)?;
    if args.dry_run {
        print(&yaml(&objects)?);
        return Ok(ExitCode::SUCCESS);
    }
    bail!("this version prints the objects alone: weir install --dry-run | kubectl apply --server-side -f -")
}

/// The chart's values with those of files and of `--set KEY=VALUE`s over them; what is wrong is named by its file, line and field.
pub fn read(files: &[PathBuf], sets: &[String]) -> anyhow::Result<Values> {
    let mut layers = vec![Layer::defaults()?];
    for path in files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        layers.push(Layer::file(&path.display().to_string(), &text)?);
    }
    layer::values(layers, sets)
}

/// All objects in the order in which they are applied: the namespace, Istio's kinds, then the chart's.
pub fn render(values: &Values, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let mut objects = vec![namespace_object(namespace)];
    objects.extend(crds::all()?);
    objects.extend(chart::render(values, &chart::Release { name: RELEASE, namespace, service: "weir" })?);
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

#[cfg(test)]
mod tests;
