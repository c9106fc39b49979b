//! One pod's life: its namespaces, its Envoy, then its app; stopped and started on demand; gone in the end.

mod life;

use super::network::Network;
use super::plan::container::PROXY;
use super::plan::{self, Proxy};
use super::process::Place;
use super::protocol::{Config, find_container};
use super::rundir::RunDir;
use life::Life;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How long until a pod that could not be started is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What all pods share.
pub struct Shared {
    /// What `weir up` was asked for.
    pub config: Config,
    /// The run's folder.
    pub dir: RunDir,
    /// The network.
    pub network: Network,
    /// Hears what the user should read.
    pub say: mpsc::UnboundedSender<String>,
    /// Told whenever a pod's status changed.
    pub changed: Arc<tokio::sync::Notify>,
}

/// Who a pod is.
#[derive(Debug)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: Ipv4Addr,
    /// As what it was started.
    pub plan: plan::Pod,
}

impl Identity {
    /// The container that a user means by `asked`.
    pub fn container(&self, asked: &str) -> Result<&str, String> {
        let proxy = (self.plan.proxy != Proxy::None).then_some(PROXY);
        let apps = self.plan.containers.iter().map(|container| container.name.as_str());
        find_container(&self.name, proxy.into_iter().chain(apps), asked)
    }
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Meant to run.
    Up,
    /// Being stopped: no new requests, but those it has are answered.
    Stopping,
    /// Stopped on demand.
    Stopped,
    /// Ended for good.
    Gone,
}

/// A pod's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it may get requests.
    pub ready: bool,
    /// Why not.
    pub reason: String,
    /// Where its programs run, once there is a place.
    pub place: Option<Place>,
    /// Its containers, Envoy's first.
    pub containers: Vec<ContainerStatus>,
}

/// A container's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: Option<u32>,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u32,
}

/// What a pod is told.
#[derive(Debug)]
pub enum Order {
    /// Stop the pod, or one container, at once (SIGKILL) or in order (SIGTERM).
    Stop { container: Option<String>, kill: bool, grace: Option<Duration>, done: oneshot::Sender<Result<String, String>> },
    /// Start what was stopped.
    Start { container: Option<String>, done: oneshot::Sender<Result<String, String>> },
    /// End for good.
    Remove,
}

/// A pod, as the runner holds it.
#[derive(Debug)]
pub struct Handle {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Where it is told what to do.
    pub orders: mpsc::UnboundedSender<Order>,
    /// Its state.
    pub status: watch::Receiver<Status>,
    removed: AtomicBool,
}

impl Handle {
    /// Whether it was told to end for good.
    pub fn leaving(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// Tells it to end for good.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Relaxed);
        let _ = self.orders.send(Order::Remove);
    }
}

/// Starts a pod.
pub fn start(shared: Arc<Shared>, identity: Identity) -> Handle {
    let identity = Arc::new(identity);
    let (orders, inbox) = mpsc::unbounded_channel();
    let first = Status { phase: Phase::Up, ready: false, reason: "starting".into(), place: None, containers: Vec::new() };
    let (sender, status) = watch::channel(first);
    tokio::spawn(live(shared, identity.clone(), inbox, sender));
    Handle { identity, orders, status, removed: AtomicBool::new(false) }
}

/// One stretch after another: while its namespaces hold, and anew when they are lost.
async fn live(shared: Arc<Shared>, identity: Arc<Identity>, mut orders: mpsc::UnboundedReceiver<Order>, status: watch::Sender<Status>) {
    let mut said = String::new();
    loop {
        let (phase, why) = match Life::new(&shared, &identity, &status).await {
            Ok(pod) => {
                said.clear();
                (pod.run(&mut orders).await, "its namespaces are lost".to_string())
            }
            Err(error) => (Phase::Up, format!("{error:#}")),
        };
        if phase == Phase::Gone {
            return;
        }
        if said != why {
            let _ = shared.say.send(format!("{}: {why}; it is tried again", identity.name));
        }
        if wait_to_retry(&shared, &identity, &mut orders, &status, phase, &why).await == Phase::Gone {
            return;
        }
        said = why;
    }
}

/// Takes orders while a pod has no namespaces, until it is time to try again (up) or it is gone. A stopped one waits for its start.
async fn wait_to_retry(
    shared: &Shared,
    identity: &Identity,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    status: &watch::Sender<Status>,
    phase: Phase,
    why: &str,
) -> Phase {
    let show = |phase: Phase, reason: &str| {
        status.send_replace(Status { phase, ready: false, reason: reason.into(), place: None, containers: Vec::new() });
        shared.changed.notify_one();
    };
    show(phase, why);
    let retry = tokio::time::sleep(RETRY);
    tokio::pin!(retry);
    let mut stopped = phase == Phase::Stopped;
    loop {
        tokio::select! {
            () = &mut retry, if !stopped => return Phase::Up,
            order = orders.recv() => match order {
                Some(Order::Stop { container: None, done, .. }) => {
                    stopped = true;
                    show(Phase::Stopped, "stopped");
                    let _ = done.send(Ok(format!("{} stopped", identity.name)));
                }
                Some(Order::Start { container: None, done }) => {
                    let _ = done.send(Ok(format!("{} started", identity.name)));
                    return Phase::Up;
                }
                Some(Order::Stop { done, .. } | Order::Start { done, .. }) => {
                    let _ = done.send(Err(format!("{} has not started: {why}", identity.name)));
                }
                Some(Order::Remove) | None => {
                    show(Phase::Gone, "gone");
                    return Phase::Gone;
                }
            },
        }
    }
}
