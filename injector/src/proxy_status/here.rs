//! The proxies of a mesh on this machine.

use super::{Both, Place, Seen};
use crate::ads::status::Syncz;
use crate::commands::envoy;
use crate::up::message::{self, Receiver};
use crate::up::protocol::{PROXY, PodName, Request, Response};
use crate::up::rundir::{self, RunDir};
use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use std::path::Path;
use tokio::net::UnixStream;

/// What is seen of it.
pub async fn look(dir: &RunDir) -> Result<Seen> {
    let socket = dir.serve_socket();
    let syncz = ask(&socket).await.with_context(|| format!("no answer from a control plane on {}", socket.display()))?;
    let stream = rundir::connect(Some(&dir.0))?;
    message::send(&stream, &Request::Get, &[])?;
    let Some((Response::View(view), _)) = Receiver::new(stream).receive::<Response>()? else {
        bail!("the mesh gave another answer than was asked for")
    };
    let proxied = view.pods.into_iter().filter(|pod| pod.containers.iter().any(|container| container.name == PROXY));
    let pods = proxied.map(|pod| Place {
        namespace: pod.namespace,
        name: pod.name,
        node: String::new(),
        zone: pod.zone,
        version: pod.version,
        state: pod.state,
    });
    Ok(Seen { pods: pods.collect(), ..Seen::from(syncz) })
}

/// What a pod's Envoy should have, and what it has.
pub async fn both(dir: &RunDir, pod: &PodName) -> Result<Both> {
    let (namespace, name) = envoy::find_here(dir, pod)?;
    let socket = dir.serve_socket();
    let nodes = ask(&socket).await?.nodes;
    let status = nodes.into_iter().find(|node| super::join::names(&node.node) == (namespace.clone(), name.clone()));
    let status = status.with_context(|| format!("{name}.{namespace} is not connected to the control plane"))?;
    let wanted = get(&socket, &format!("/debug/config?node={}", status.node)).await?;
    Ok(Both { replica: None, status, wanted, dump: envoy::here(dir, pod, envoy::DUMP)? })
}

/// Asks the control plane behind a unix socket how its nodes stand.
pub async fn ask(socket: &Path) -> Result<Syncz> {
    Ok(serde_json::from_slice(&get(socket, "/debug/syncz").await?)?)
}

async fn get(socket: &Path, path: &str) -> Result<Bytes> {
    crate::ask::get(UnixStream::connect(socket).await?, path).await
}
