//! One pod's life: its namespaces, its Envoy, then its app; stopped and started on demand; gone in the end.

use super::enter::{self, socket_in};
use super::envoy::{self, ADMIN_PORT, HEALTH_PORT};
use super::network::{Network, RUNNER};
use super::pause::{Pause, Setup};
use super::plan::container::{Container, PROXY, Program as What};
use super::plan::env::{self, Fields};
use super::plan::{self, Proxy};
use super::probe::{self, Action, Probe, Readiness, Target};
use super::process::{Activity, Program, State, Supervised};
use super::protocol::Config;
use super::rundir::RunDir;
use super::{dns, http};
use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all};
use hyper::Method;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// From an endpoint's removal until no caller sends to it any more.
const SETTLE: Duration = Duration::from_millis(600);
/// How long a pod that is gone refuses its callers, before its address becomes unreachable, which takes them seconds to notice.
const LINGER: Duration = Duration::from_secs(10);
/// For an Envoy whose app has ended.
const ENVOY_GRACE: Duration = Duration::from_secs(1);
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
    /// The process that holds its namespaces.
    pub pause: Option<i32>,
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
    let first = Status { phase: Phase::Up, ready: false, reason: "starting".into(), pause: None, containers: Vec::new() };
    let (sender, status) = watch::channel(first);
    tokio::spawn(live(shared, identity.clone(), inbox, sender));
    Handle { identity, orders, status, removed: AtomicBool::new(false) }
}

async fn live(shared: Arc<Shared>, identity: Arc<Identity>, mut orders: mpsc::UnboundedReceiver<Order>, status: watch::Sender<Status>) {
    let mut pod = loop {
        match Life::new(&shared, &identity, &status).await {
            Ok(pod) => break pod,
            Err(error) => {
                let _ = shared.say.send(format!("{}: {error:#}", identity.name));
                status.send_modify(|status| status.reason = format!("{error:#}"));
                shared.changed.notify_one();
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    pod.bring_up();
    loop {
        pod.publish();
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Stop { container, kill, grace, done }) => {
                    let _ = done.send(pod.stop(container.as_deref(), kill, grace).await);
                }
                Some(Order::Start { container, done }) => {
                    let _ = done.send(pod.start(container.as_deref()));
                }
                Some(Order::Remove) | None => {
                    pod.stop_in_order(None).await;
                    pod.phase = Phase::Gone;
                    pod.publish();
                    tokio::time::sleep(LINGER).await;
                    return;
                }
            },
            () = pod.changed() => pod.advance(),
        }
    }
}

/// A pod's container while it lives.
struct Part {
    name: String,
    program: Program,
    supervised: Supervised,
    state: watch::Receiver<State>,
    readiness: watch::Receiver<Readiness>,
    wanted: bool,
}

struct Life<'a> {
    shared: &'a Shared,
    identity: &'a Identity,
    status: &'a watch::Sender<Status>,
    pause: Pause,
    envoy: Option<Part>,
    apps: Vec<Part>,
    apps_started: bool,
    phase: Phase,
}

impl<'a> Life<'a> {
    async fn new(shared: &'a Shared, identity: &'a Identity, status: &'a watch::Sender<Status>) -> Result<Self> {
        let pause = Pause::start(&shared.network, &setup(shared, identity)?).await?;
        let part = |program: Program, name: &str, readiness: Option<Probe>| -> Result<Part> {
            let say = shared.say.clone();
            let supervised = Supervised::new(move |line| {
                let _ = say.send(line);
            });
            let state = supervised.state();
            let target = Target { pod: pause.pod.try_clone()?, ip: identity.ip, program: program.clone() };
            let readiness = probe::watch(readiness, Arc::new(target), state.clone());
            Ok(Part { name: name.into(), program, supervised, state, readiness, wanted: true })
        };
        let envoy = match identity.plan.proxy {
            Proxy::None => None,
            Proxy::Sidecar | Proxy::Gateway => Some(part(envoy_program(shared, identity, pause.pid)?, PROXY, Some(envoy_probe()))?),
        };
        let apps = identity
            .plan
            .containers
            .iter()
            .map(|container| part(app_program(shared, identity, container, pause.pid), &container.name, container.readiness.clone()));
        let apps = apps.collect::<Result<Vec<_>>>()?;
        Ok(Life { shared, identity, status, envoy, apps, apps_started: false, phase: Phase::Up, pause })
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.envoy.iter().chain(&self.apps)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.envoy.iter_mut().chain(&mut self.apps)
    }

    /// Starts Envoy, as the native sidecar that it is in a cluster before the app.
    fn bring_up(&mut self) {
        self.phase = Phase::Up;
        self.apps_started = false;
        self.parts_mut().for_each(|part| part.wanted = true);
        if let Some(envoy) = &self.envoy {
            envoy.supervised.start(envoy.program.clone());
        }
        self.advance();
    }

    /// Starts the app once Envoy is ready.
    fn advance(&mut self) {
        let ready = self.envoy.as_ref().is_none_or(|envoy| *envoy.readiness.borrow() == Readiness::Ready);
        if self.phase == Phase::Up && ready && !self.apps_started {
            self.apps_started = true;
            for app in self.apps.iter().filter(|app| app.wanted) {
                app.supervised.start(app.program.clone());
            }
        }
    }

    async fn changed(&mut self) {
        let changes = self.parts_mut().flat_map(|part| [part.state.changed().boxed(), part.readiness.changed().boxed()]);
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() {
            return std::future::pending().await;
        }
        let _ = select_all(changes).await;
    }

    fn publish(&mut self) {
        let containers = self.parts_mut().map(|part| {
            let state = part.state.borrow_and_update().clone();
            let ready = *part.readiness.borrow_and_update() == Readiness::Ready;
            let pid = if let Activity::Running(pid) = state.activity { Some(pid) } else { None };
            ContainerStatus { name: part.name.clone(), pid, ready: ready && pid.is_some(), restarts: state.restarts }
        });
        let containers: Vec<_> = containers.collect();
        let waits = self.parts().zip(&containers).find(|(_, status)| !status.ready);
        let reason = match (self.phase, waits) {
            (Phase::Up, None) => String::new(),
            (Phase::Up, Some((part, _))) => match &*part.readiness.borrow() {
                Readiness::Unready(why) => format!("{}: {why}", part.name),
                Readiness::Ready => format!("{}: starting", part.name),
            },
            (Phase::Stopping, _) => "stopping".into(),
            (Phase::Stopped, _) => "stopped".into(),
            (Phase::Gone, _) => "gone".into(),
        };
        let ready = self.phase == Phase::Up && waits.is_none();
        let new = Status { phase: self.phase, ready, reason, pause: Some(self.pause.pid), containers };
        let modified = self.status.send_if_modified(|status| {
            let modified = *status != new;
            *status = new;
            modified
        });
        if modified {
            self.shared.changed.notify_one();
        }
    }

    async fn stop(&mut self, container: Option<&str>, kill: bool, grace: Option<Duration>) -> Result<String, String> {
        let Some(name) = container else {
            if self.phase != Phase::Up {
                return Ok(format!("{} is stopped already", self.identity.name));
            }
            if kill {
                self.phase = Phase::Stopped;
                join_all(self.parts().map(|part| part.supervised.stop(Signal::KILL, Duration::ZERO))).await;
            } else {
                self.stop_in_order(grace).await;
                self.phase = Phase::Stopped;
            }
            return Ok(format!("{} stopped", self.identity.name));
        };
        let grace = grace.unwrap_or(self.identity.plan.grace);
        let Some(part) = self.parts_mut().find(|part| part.name == name) else { return Err(self.no_container(name)) };
        part.wanted = false;
        let (signal, grace) = if kill { (Signal::KILL, Duration::ZERO) } else { (Signal::TERM, grace) };
        part.supervised.stop(signal, grace).await;
        Ok(format!("{name} of {} stopped", self.identity.name))
    }

    /// What a cluster does with a pod that is deleted: its endpoints go, Envoy drains, the app gets SIGTERM, Envoy ends after it.
    async fn stop_in_order(&mut self, grace: Option<Duration>) {
        if self.phase != Phase::Up {
            return;
        }
        self.phase = Phase::Stopping;
        self.publish();
        if let Some(envoy) = &self.envoy
            && matches!(envoy.supervised.activity(), Activity::Running(_))
        {
            // An Envoy that cannot be asked has nothing to drain.
            let _ = self.admin("/healthcheck/fail").await;
            let _ = self.admin("/drain_listeners?graceful&skip_exit&inboundonly").await;
            tokio::time::sleep(SETTLE).await;
        }
        let grace = grace.unwrap_or(self.identity.plan.grace);
        join_all(self.apps.iter().map(|app| app.supervised.stop(Signal::TERM, grace))).await;
        if let Some(envoy) = &self.envoy {
            envoy.supervised.stop(Signal::TERM, ENVOY_GRACE).await;
        }
    }

    fn start(&mut self, container: Option<&str>) -> Result<String, String> {
        match container {
            None if self.phase == Phase::Stopped => self.bring_up(),
            None => {
                self.parts_mut().for_each(|part| part.wanted = true);
                self.parts().for_each(|part| part.supervised.start(part.program.clone()));
            }
            Some(_) if self.phase == Phase::Stopped => return Err(format!("{} is stopped: start it as a whole", self.identity.name)),
            Some(name) => {
                let Some(part) = self.parts_mut().find(|part| part.name == name) else { return Err(self.no_container(name)) };
                part.wanted = true;
                part.supervised.start(part.program.clone());
            }
        }
        Ok(format!("{} started", container.unwrap_or(&self.identity.name)))
    }

    fn no_container(&self, name: &str) -> String {
        let names: Vec<_> = self.parts().map(|part| part.name.as_str()).collect();
        format!("{} has no container {name}: it has {}", self.identity.name, names.join(", "))
    }

    async fn admin(&self, path: &str) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
        let ask = async {
            let stream = socket_in(&self.pause.pod)?.connect(address).await?;
            http::request(stream, Method::POST, "localhost", path, &[]).await.map(drop)
        };
        tokio::time::timeout(Duration::from_secs(1), ask).await.context("Envoy's admin port does not answer")?
    }
}

fn envoy_probe() -> Probe {
    let second = Duration::from_secs(1);
    let action = Action::Http { port: HEALTH_PORT, path: "/healthz/ready".into(), headers: Vec::new() };
    Probe { action, initial_delay: Duration::ZERO, period: second, timeout: second, failures: 2, successes: 1 }
}

fn setup(shared: &Shared, identity: &Identity) -> Result<Setup> {
    let folder = shared.dir.pod(&identity.plan.namespace, &identity.name);
    std::fs::create_dir_all(&folder)?;
    let files = [
        ("resolv.conf", dns::resolv_conf(&identity.plan.namespace)),
        ("hosts", format!("127.0.0.1 localhost\n{} {}\n", identity.ip, identity.name)),
        // Other sources than files and DNS would ask the machine's own resolver, which does not know these names.
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_string()),
    ];
    let mut shown = Vec::new();
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
        shown.push((folder.join(name), PathBuf::from("/etc").join(name)));
    }
    Ok(Setup { ip: identity.ip, hostname: identity.name.clone(), redirect: identity.plan.proxy == Proxy::Sidecar, files: shown })
}

fn envoy_program(shared: &Shared, identity: &Identity, pause: i32) -> Result<Program> {
    let Identity { name, ip, plan } = identity;
    let file = shared.dir.pod(&plan.namespace, name).join("envoy.json");
    let command = envoy::prepare(&shared.config.envoy, &file, plan.proxy, name, &plan.namespace, *ip, &plan.zone)?;
    Ok(Program {
        name: format!("{name}/{PROXY}"),
        pause: Some(pause),
        command,
        env: base_env(),
        folder: PathBuf::from("/"),
        log: shared.dir.log(&plan.namespace, name, PROXY),
    })
}

/// The program of a container, in the pod of the process `pause`.
pub fn app_program(shared: &Shared, identity: &Identity, container: &Container, pause: i32) -> Program {
    let Identity { name, ip, plan } = identity;
    let labels = plan.labels.clone().into_iter().chain(plan.zone.labels()).collect();
    let fields = Fields {
        name,
        namespace: &plan.namespace,
        labels: &labels,
        annotations: &plan.annotations,
        service_account: &plan.service_account,
        node: &format!("node-{}", plan.zone.zone),
        ip: *ip,
        host: RUNNER,
    };
    let variables = env::resolve(&container.env, &fields);
    let arguments =
        |arguments: &[String]| -> Vec<OsString> { arguments.iter().map(|argument| env::expand(argument, &variables).into()).collect() };
    let command = match &container.program {
        What::Sample(rest) => [OsString::from(enter::SELF), "sample".into()].into_iter().chain(arguments(rest)).collect(),
        What::Local(all) => arguments(all),
    };
    let mut env = base_env();
    env.insert("HOSTNAME".into(), name.into());
    env.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
    Program {
        name: format!("{name}/{}", container.name),
        pause: Some(pause),
        command,
        env,
        folder: container
            .folder
            .as_ref()
            .map(PathBuf::from)
            .filter(|folder| folder.is_dir())
            .or_else(|| std::env::current_dir().ok())
            .unwrap_or_else(|| "/".into()),
        log: shared.dir.log(&plan.namespace, name, &container.name),
    }
}

/// What programs of this machine need to run at all. The rest of the user's environment, such as http_proxy, stays outside.
pub fn base_env() -> BTreeMap<OsString, OsString> {
    let names = ["PATH", "HOME", "USER", "SHELL", "LANG", "TZ", "TMPDIR", "TERM", "LD_LIBRARY_PATH"];
    names.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect()
}
