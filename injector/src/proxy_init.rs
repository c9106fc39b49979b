//! `weir proxy-init`: the first container of a proxied pod. It writes what Envoy starts with, and redirects the pod's traffic.

use crate::{modules, redirect};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_mesh::bootstrap::{Bootstrap, ControlPlane, FOLDER, build, token_secret};
use weir_mesh::inject::probes;
use weir_mesh::node::{Node, Role};

/// Where a pod's token is mounted.
const TOKEN_FOLDER: &str = "/var/run/secrets/weir";

/// Prepare a pod for its Envoy: bootstrap, modules, redirection. POD_NAME, POD_NAMESPACE and INSTANCE_IP say which pod
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the proxy is
    #[arg(long, value_enum, default_value = "sidecar")]
    role: Kind,
    /// The control plane
    #[arg(long, value_name = "HOST:PORT", default_value = "weir.weir-system.svc:15012")]
    control_plane: String,
    /// DNS domain of the cluster
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// The authority of the control plane's certificate, as PEM
    #[arg(long, env = "WEIR_CA", hide_env_values = true, value_name = "PEM")]
    ca: Option<String>,
    /// A file with it
    #[arg(long, value_name = "FILE", conflicts_with = "ca", required_unless_present = "ca")]
    ca_file: Option<PathBuf>,
    /// File with JSON that is merged into Envoy's bootstrap: objects field by field, lists one after the other
    #[arg(long, value_name = "FILE")]
    bootstrap_override: Option<PathBuf>,
    /// Ports of the app that TCP probes ask for: the proxy looks whether something listens there
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    tcp_probes: Vec<u16>,
    /// Redirect the pod's traffic too
    #[arg(long)]
    redirect: bool,
    #[command(flatten)]
    options: redirect::Options,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Sidecar,
    Router,
}

/// Writes all files, then the rules: what cannot be written must not leave a pod whose traffic leads nowhere.
pub fn run(args: Args) -> Result<ExitCode> {
    write(&args, Path::new(FOLDER))?;
    if args.redirect {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(redirect::apply(&args.options.into()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(args: &Args, folder: &Path) -> Result<()> {
    let secret = folder.join("token.json");
    write_json(&secret, &token_secret(Path::new(TOKEN_FOLDER)))?;
    let Some(from) = modules::folder(None) else {
        bail!("the image has no modules: neither $WEIR_MODULES nor a folder `modules` beside {:?}", std::env::current_exe())
    };
    let node = Node { modules: modules::hand_out(&from, &folder.join("modules"))?, ..node(args)? };
    let ip = node.ip;
    let mut bootstrap = build(&Bootstrap { node, locality: None, control_plane: control_plane(args, secret)? });
    probes::serve(&mut bootstrap, ip, &args.tcp_probes);
    if let Some(file) = &args.bootstrap_override {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        merge(&mut bootstrap, serde_saphyr::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?);
    }
    write_json(&folder.join("envoy.json"), &bootstrap)
}

fn node(args: &Args) -> Result<Node> {
    let told = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: the pod tells it by the downward API"));
    let ip = told("INSTANCE_IP")?;
    Ok(Node {
        role: match args.role {
            Kind::Sidecar => Role::Sidecar,
            Kind::Router => Role::Router,
        },
        ip: ip.parse().with_context(|| format!("INSTANCE_IP is {ip:?}, no address"))?,
        pod: told("POD_NAME")?,
        namespace: told("POD_NAMESPACE")?,
        domain: args.domain.clone(),
        modules: Default::default(),
    })
}

fn control_plane(args: &Args, secret: PathBuf) -> Result<ControlPlane> {
    let (host, port) = args.control_plane.rsplit_once(':').context("--control-plane: expected HOST:PORT")?;
    // A full name, so that nothing is looked up in the pod's search domains.
    let host = if host.ends_with(".svc") { format!("{host}.{}", args.domain) } else { host.to_string() };
    let authority = match (&args.ca, &args.ca_file) {
        (Some(pem), _) => pem.clone(),
        (None, Some(file)) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
        (None, None) => bail!("--ca-file or WEIR_CA is needed"),
    };
    Ok(ControlPlane::Cluster { host, port: port.parse().context("--control-plane: the port")?, authority, secret })
}

/// As Envoy merges `--config-yaml` into a bootstrap.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

fn write_json(file: &Path, value: &Value) -> Result<()> {
    std::fs::write(file, serde_json::to_vec_pretty(value)?).with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_override_changes_fields_and_adds_to_lists() {
        let mut bootstrap = json!({"a": {"x": 1, "y": 2}, "list": [1], "kept": true});
        merge(&mut bootstrap, json!({"a": {"y": 3, "z": 4}, "list": [2]}));
        assert_eq!(bootstrap, json!({"a": {"x": 1, "y": 3, "z": 4}, "list": [1, 2], "kept": true}));
    }
}
