//! `weir version`: of this program, and of what runs in the cluster.

use crate::commands::print;
use crate::install::installed::find;
use crate::kubernetes::access::{Access, run as wait_for};
use crate::kubernetes::proxied::{self, version};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// A cluster that has not answered by then is told as none.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Show the version of this program, and those of control plane and proxies if a cluster answers
#[derive(Debug, clap::Args)]
#[command(mut_arg("namespace", |arg| arg.help("The namespace of the control plane; else where it is found")))]
pub struct Args {
    #[command(flatten)]
    access: Access,
    /// This program's version alone; no cluster is asked
    #[arg(long)]
    short: bool,
    /// For programs
    #[arg(short, long, conflicts_with = "short")]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// As one object
    Json,
}

/// What is known.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(flatten)]
    cluster: Option<Cluster>,
    /// Why nothing is known of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    namespace: String,
    control_plane: Vec<Replicas>,
    data_plane: Vec<Proxies>,
}

/// Replicas of one version.
#[derive(Debug, PartialEq, Serialize)]
struct Replicas {
    version: String,
    replicas: usize,
}

/// Proxies of one version.
#[derive(Debug, PartialEq, Serialize)]
struct Proxies {
    version: String,
    envoy: String,
    pods: usize,
}

/// Prints them.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.short {
        print(&format!("{}\n", env!("CARGO_PKG_VERSION")));
        return Ok(ExitCode::SUCCESS);
    }
    let versions = wait_for(async {
        let asked = async { ask(&args.access.client().await?.0, args.access.namespace.as_deref()).await };
        let asked = tokio::time::timeout(TIMEOUT, asked).await.context("the cluster does not answer").and_then(|asked| asked);
        Ok(versions(asked))
    })?;
    print(&match args.output {
        Some(Output::Json) => serde_json::to_string_pretty(&versions)? + "\n",
        None => text(&versions),
    });
    Ok(ExitCode::SUCCESS)
}

/// For people.
pub async fn report(client: &Client, namespace: Option<&str>) -> String {
    text(&versions(ask(client, namespace).await))
}

fn versions(asked: Result<Cluster>) -> Versions {
    let (cluster, unknown) = match asked {
        Ok(cluster) => (Some(cluster), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    Versions { client: env!("CARGO_PKG_VERSION").into(), cluster, unknown }
}

async fn ask(client: &Client, namespace: Option<&str>) -> Result<Cluster> {
    let namespace = find(client, namespace).await?.namespace;
    let pods = proxied::pods(client).await?;
    Ok(counted(namespace, &pods))
}

fn counted(namespace: String, pods: &[Pod]) -> Cluster {
    let (mut planes, mut proxies) = (BTreeMap::new(), BTreeMap::new());
    for pod in pods {
        if let Some(images) = proxied::images(pod) {
            *proxies.entry((version(&images.weir).to_string(), version(&images.envoy).to_string())).or_insert(0) += 1;
        } else if pod.namespace().as_ref() == Some(&namespace) && pod.labels().get("app").is_some_and(|app| app == "weir") {
            let image = pod.spec.iter().flat_map(|spec| &spec.containers).find(|it| it.name == "weir").and_then(|it| it.image.clone());
            *planes.entry(version(&image.unwrap_or_default()).to_string()).or_insert(0) += 1;
        }
    }
    Cluster {
        namespace,
        control_plane: planes.into_iter().map(|(version, replicas)| Replicas { version, replicas }).collect(),
        data_plane: proxies.into_iter().map(|((version, envoy), pods)| Proxies { version, envoy, pods }).collect(),
    }
}

fn text(versions: &Versions) -> String {
    let mut text = format!("client         {}\n", versions.client);
    if let Some(cluster) = &versions.cluster {
        if cluster.control_plane.is_empty() {
            text += &format!("control plane  none in the namespace {}\n", cluster.namespace);
        }
        for Replicas { version, replicas } in &cluster.control_plane {
            let replicas = if *replicas == 1 { "1 replica".into() } else { format!("{replicas} replicas") };
            text += &format!("control plane  {version}, {replicas} in the namespace {}\n", cluster.namespace);
        }
        for Proxies { version, envoy, pods } in &cluster.data_plane {
            let pods = if *pods == 1 { "1 pod".into() } else { format!("{pods} pods") };
            text += &format!("data plane     {version} with Envoy {envoy}, {pods}\n");
        }
    }
    if let Some(why) = &versions.unknown {
        text += &format!("cluster        not known: {why}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(namespace: &str, app: &str, inits: Value, container: &str, image: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": namespace, "labels": {"app": app}},
            "spec": {"initContainers": inits, "containers": [{"name": container, "image": image}]},
        }))
        .unwrap()
    }

    #[test]
    fn versions_are_counted_by_what_runs() {
        let init = |version: &str| json!([{"name": "weir-init", "image": format!("hub/weir:{version}")}]);
        let pods = [
            pod("mesh", "weir", json!([]), "weir", "hub/weir:2"),
            pod("mesh", "weir", json!([]), "weir", "hub/weir:2"),
            pod("mesh", "weir-ingressgateway", init("2"), "istio-proxy", "envoy:v1.40.0"),
            pod("shop", "weir", init("1"), "istio-proxy", "envoy:v1.39.0"),
            pod("shop", "weir", json!([]), "weir", "another"),
        ];
        let versions = Versions { client: "2".into(), cluster: Some(counted("mesh".into(), &pods)), unknown: None };
        let expected = "\
client         2
control plane  2, 2 replicas in the namespace mesh
data plane     1 with Envoy v1.39.0, 1 pod
data plane     2 with Envoy v1.40.0, 1 pod
";
        assert_eq!(text(&versions), expected);
        let value = serde_json::to_value(&versions).unwrap();
        assert_eq!(value["controlPlane"], json!([{"version": "2", "replicas": 2}]));
    }
}
