//! Readiness: probes as Kubernetes defines them, made from inside the pod so that they reach the app and not its Envoy.

use super::enter::socket_in;
use super::http;
use super::process::{self, Activity, Program, State};
use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::Method;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Until its first success a probe is repeated at least this often, so that a mesh is ready soon.
const EAGER: Duration = Duration::from_millis(250);

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A status from 200 to 399.
    Http {
        /// The port.
        port: u16,
        /// The path with its query.
        path: String,
        /// Headers of the request; `Host` overrides the pod's address.
        headers: Vec<(String, String)>,
    },
    /// A connection.
    Tcp(u16),
    /// Exit code 0.
    Exec(Vec<String>),
    /// SERVING, by grpc.health.v1.
    Grpc {
        /// The port.
        port: u16,
        /// The service asked for; empty for the server as a whole.
        service: String,
    },
    /// Nothing, because of this: it never succeeds.
    Impossible(String),
}

/// A readiness probe with Kubernetes' settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it asks.
    pub action: Action,
    /// Before the first one.
    pub initial_delay: Duration,
    /// From one to the next.
    pub period: Duration,
    /// For one.
    pub timeout: Duration,
    /// So many failures in a row make it unready.
    pub failures: u32,
    /// So many successes in a row make it ready.
    pub successes: u32,
}

impl Probe {
    /// Whether it can never succeed.
    pub fn is_impossible(&self) -> bool {
        matches!(self.action, Action::Impossible(_))
    }
}

/// Where a probe is made from and to.
#[derive(Debug)]
pub struct Target {
    /// The pod's network.
    pub pod: OwnedFd,
    /// The pod's address.
    pub ip: Ipv4Addr,
    /// What an exec probe runs in: its command is replaced.
    pub program: Program,
}

/// Whether a container is ready, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Ready.
    Ready,
    /// Not ready, because of this.
    Unready(String),
}

/// Probes the program of `state` while it runs; no probe means ready as soon as it runs.
pub fn watch(probe: Option<Probe>, target: Arc<Target>, mut state: watch::Receiver<State>) -> watch::Receiver<Readiness> {
    let (sender, readiness) = watch::channel(Readiness::Unready("not started".into()));
    tokio::spawn(async move {
        loop {
            let activity = state.borrow_and_update().activity.clone();
            match activity {
                Activity::Running(_) => {
                    tokio::select! {
                        changed = state.changed() => if changed.is_err() { return },
                        () = repeat(probe.as_ref(), &target, &sender) => {}
                    }
                }
                Activity::Stopped | Activity::Crashed(_) => {
                    let why = if let Activity::Crashed(why) = activity { why } else { "stopped".into() };
                    sender.send_replace(Readiness::Unready(why));
                    if state.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    readiness
}

async fn repeat(probe: Option<&Probe>, target: &Target, sender: &watch::Sender<Readiness>) {
    let Some(probe) = probe else {
        sender.send_replace(Readiness::Ready);
        return std::future::pending().await;
    };
    sender.send_replace(Readiness::Unready("starting".into()));
    tokio::time::sleep(probe.initial_delay).await;
    let (mut good, mut bad) = (0, 0);
    loop {
        let outcome = match tokio::time::timeout(probe.timeout, ask(&probe.action, target)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("no answer within {:?}", probe.timeout)),
        };
        match outcome {
            Ok(()) => (good, bad) = (good + 1, 0),
            Err(_) => (good, bad) = (0, bad + 1),
        }
        let ready = *sender.borrow() == Readiness::Ready;
        match outcome {
            Ok(()) if !ready && good >= probe.successes => {
                sender.send_replace(Readiness::Ready);
            }
            Err(error) if !ready || bad >= probe.failures => {
                sender.send_if_modified(|state| {
                    let new = Readiness::Unready(format!("readiness probe: {error:#}"));
                    let changed = *state != new;
                    *state = new;
                    changed
                });
            }
            _ => {}
        }
        let ready = *sender.borrow() == Readiness::Ready;
        tokio::time::sleep(if ready { probe.period } else { probe.period.min(EAGER) }).await;
    }
}

async fn ask(action: &Action, target: &Target) -> Result<()> {
    match action {
        Action::Tcp(port) => connect(target, *port).await.map(drop),
        Action::Http { port, path, headers } => {
            let host = format!("{}:{port}", target.ip);
            let (status, _) = http::request(connect(target, *port).await?, Method::GET, &host, path, headers).await?;
            if !(200..400).contains(&status) {
                bail!("GET {path} answered {status}");
            }
            Ok(())
        }
        Action::Exec(command) => exec(command, target).await,
        Action::Impossible(why) => bail!("{why}"),
        Action::Grpc { port, service } => grpc(connect(target, *port).await?, service).await,
    }
}

async fn connect(target: &Target, port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from((target.ip, port));
    socket_in(&target.pod)?.connect(address).await.with_context(|| format!("connecting to port {port}"))
}

async fn exec(command: &[String], target: &Target) -> Result<()> {
    let program = Program { command: command.iter().map(OsString::from).collect(), ..target.program.clone() };
    let status = process::command(&program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await?;
    if !status.success() {
        bail!("{} answered with {status}", command.join(" "));
    }
    Ok(())
}

/// grpc.health.v1.Health/Check, whose two messages have one field each.
async fn grpc(stream: TcpStream, service: &str) -> Result<()> {
    let service = service.as_bytes();
    let length = u8::try_from(service.len()).ok().filter(|length| *length < 0x80).context("the probe's service name is too long")?;
    let message = if length == 0 { Vec::new() } else { [&[0x0a, length], service].concat() };
    let size = u32::try_from(message.len())?.to_be_bytes();
    let frame = [&[0], size.as_slice(), &message].concat();
    let request = hyper::Request::post("http://pod/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(bytes::Bytes::from(frame)))?;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = async { anyhow::Ok(sender.send_request(request).await?.into_body().collect().await?.to_bytes()) }.await;
    driver.abort();
    // A frame's five bytes, then field 1 (status) = 1 (SERVING).
    if answer?.get(5..) != Some(&[0x08, 0x01]) {
        bail!("the gRPC health check does not answer SERVING");
    }
    Ok(())
}
