//! How the control plane is asked: over the socket of a mesh on this machine, or in a cluster by the API server's port-forward.

use crate::ask;
use crate::canary::page::{COMMANDS, PAGE, Page};
use crate::commands::target::{Chosen, Target};
use crate::kubernetes::forward;
use crate::proxy_status::{DEBUG, Replica, replicas};
use anyhow::{Context, Result, bail};
use futures_util::future::join_all;
use hyper::Method;
use kube::Client;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

/// How long a replica that leads is waited for: when one ends, another takes over within this time.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// A mesh's control plane.
pub enum Mesh {
    /// The socket of one on this machine.
    Here(PathBuf),
    /// A cluster's.
    Cluster(Client),
}

impl Mesh {
    /// The one that is meant.
    pub async fn of(target: &Target) -> Result<Mesh> {
        Ok(match target.choose().await? {
            Chosen::Here(dir) => Mesh::Here(dir.serve_socket()),
            Chosen::Cluster(cluster) => Mesh::Cluster(cluster.client),
        })
    }

    /// How the canaries stand, by the replica that leads if one does.
    pub async fn page(&self) -> Result<Page> {
        match self {
            Mesh::Here(socket) => here(socket, Method::GET, PAGE).await,
            Mesh::Cluster(client) => {
                let pages = pages(client).await?;
                let last = pages.len() - 1;
                let place = pages.iter().position(|(_, page)| page.leads).unwrap_or(last);
                pages.into_iter().nth(place).map(|(_, page)| page).context("a page")
            }
        }
    }

    /// Has the control plane do something.
    pub async fn steer(&self, command: &str, service: &str, canary: &str) -> Result<Page> {
        let path = format!("{COMMANDS}{command}/{service}/{canary}");
        match self {
            Mesh::Here(socket) => here(socket, Method::POST, &path).await,
            Mesh::Cluster(client) => {
                let start = Instant::now();
                loop {
                    if let Some((leader, _)) = pages(client).await?.into_iter().find(|(_, page)| page.leads) {
                        let answer = forward::ask(client, &leader.namespace, &leader.name, DEBUG, Method::POST, &path).await?;
                        return Ok(serde_json::from_slice(&answer)?);
                    }
                    if start.elapsed() > PATIENCE {
                        bail!("no replica of the control plane leads, so none can do that: `weir check` may say why");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn here(socket: &PathBuf, method: Method, path: &str) -> Result<Page> {
    let stream = UnixStream::connect(socket).await.with_context(|| format!("no answer from a control plane on {}", socket.display()))?;
    Ok(serde_json::from_slice(&ask::ask(stream, method, path).await?)?)
}

/// What each replica knows that answers; at least one.
async fn pages(client: &Client) -> Result<Vec<(Replica, Page)>> {
    let replicas = replicas(client).await?;
    let one = async |replica: &Replica| {
        let answer = forward::get(client, &replica.namespace, &replica.name, DEBUG, PAGE).await?;
        anyhow::Ok((replica.clone(), serde_json::from_slice(&answer)?))
    };
    let (pages, silent): (Vec<_>, Vec<_>) = join_all(replicas.iter().map(one)).await.into_iter().partition(Result::is_ok);
    if pages.is_empty() {
        let silent: String = silent.into_iter().filter_map(Result::err).map(|error| format!("\n  {error:#}")).collect();
        bail!("no replica of the control plane answers:{silent}");
    }
    pages.into_iter().collect()
}
