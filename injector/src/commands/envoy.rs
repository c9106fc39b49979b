//! What the administration of a pod's Envoy answers: it listens on the pod's loopback alone.

use super::target::{Chosen, Cluster};
use crate::kubernetes::forward;
use crate::up::message::{self, Receiver};
use crate::up::protocol::{PodName, Request, Response};
use crate::up::rundir::{self, RunDir};
use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;

/// The port of Envoy's administration.
const PORT: u16 = 15000;
/// All of its configuration.
pub const DUMP: &str = "/config_dump?include_eds";

/// A pod whose Envoy is asked.
pub enum Envoy {
    /// Of a mesh on this machine.
    Here(RunDir, PodName),
    /// Of a cluster, by namespace and name.
    There(Cluster, String, String),
}

impl Envoy {
    /// The Envoy of a pod that a user names.
    pub async fn of(mesh: Chosen, pod: PodName) -> Result<Envoy> {
        Ok(match mesh {
            Chosen::Here(dir) => Envoy::Here(dir, pod),
            Chosen::Cluster(cluster) => {
                let (namespace, name) = cluster.pod(&pod).await?;
                Envoy::There(cluster, namespace, name)
            }
        })
    }

    /// What it answers to a GET.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        match self {
            Envoy::Here(dir, pod) => here(dir, pod, path),
            Envoy::There(cluster, namespace, name) => there(cluster, namespace, name, path).await,
        }
    }
}

/// The same of a pod of a cluster.
pub async fn there(cluster: &Cluster, namespace: &str, pod: &str, path: &str) -> Result<Bytes> {
    forward::get(&cluster.client, namespace, pod, PORT, path).await.context("the pod's Envoy cannot be asked; has it one?")
}

/// The same of a pod on this machine: this program is run inside it, and fetches what is asked for.
pub fn here(dir: &RunDir, pod: &PodName, path: &str) -> Result<Bytes> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let command = [program, "sample".into(), "fetch".into(), format!("http://127.0.0.1:{PORT}{path}")];
    let request = Request::Exec { pod: pod.clone(), container: None, command: command.into(), folder: "/".into(), terminal: None };
    let stream = rundir::connect(Some(&dir.0))?;
    let ((answer, output), (complaint, errors)) = (std::io::pipe()?, std::io::pipe()?);
    message::send(&stream, &request, &[std::fs::File::open("/dev/null")?.as_fd(), output.as_fd(), errors.as_fd()])?;
    drop((output, errors));
    let complaint = std::thread::spawn(move || read(complaint));
    let answer = read(answer)?;
    match super::accepted(Receiver::new(stream).receive::<Response>()?.map(|(response, _)| response))? {
        Response::Exit(0) => Ok(answer.into()),
        _ => {
            let complaint = complaint.join().ok().and_then(Result::ok).unwrap_or_default();
            bail!("the Envoy of {} gave no answer: {}", pod.name, String::from_utf8_lossy(&complaint).trim());
        }
    }
}

/// Namespace and name of the pod on this machine that a user means.
pub fn find_here(dir: &RunDir, pod: &PodName) -> Result<(String, String)> {
    let stream = rundir::connect(Some(&dir.0))?;
    message::send(&stream, &Request::Find(pod.clone()), &[])?;
    match super::accepted(Receiver::new(stream).receive::<Response>()?.map(|(response, _)| response))? {
        Response::Found(pod) => Ok((pod.namespace, pod.name)),
        _ => bail!("the mesh gave another answer than was asked for"),
    }
}

fn read(mut pipe: PipeReader) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes)?;
    Ok(bytes)
}
