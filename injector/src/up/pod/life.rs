//! A pod's life while its namespaces hold: its Envoy, then its app, stopped and started on demand.

use super::{ContainerStatus, Identity, Order, Phase, Shared, Status};
use crate::up::enter::socket_in;
use crate::up::http;
use crate::up::pause::Pause;
use crate::up::plan::Proxy;
use crate::up::plan::container::PROXY;
use crate::up::probe::{self, Probe, Readiness, Target};
use crate::up::process::{Activity, Program, State, Supervised};
use crate::up::programs::{app_program, envoy_probe, envoy_program, setup};
use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all};
use hyper::Method;
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use weir_mesh::bootstrap::ADMIN_PORT;

/// From an endpoint's removal until no caller sends to it any more.
const SETTLE: Duration = Duration::from_millis(600);
/// How long a pod that is gone refuses its callers, before its address becomes unreachable, which takes them seconds to notice.
const LINGER: Duration = Duration::from_secs(10);
/// For an Envoy whose app has ended.
const ENVOY_GRACE: Duration = Duration::from_secs(1);

/// A pod's container while it lives.
struct Part {
    name: String,
    program: Program,
    supervised: Supervised,
    state: watch::Receiver<State>,
    readiness: watch::Receiver<Readiness>,
    wanted: bool,
}

/// A pod while its namespaces hold.
pub struct Life<'a> {
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
    /// Makes the namespaces; nothing runs in them yet.
    pub async fn new(shared: &'a Shared, identity: &'a Identity, status: &'a watch::Sender<Status>) -> Result<Self> {
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
            Proxy::Sidecar | Proxy::Gateway => Some(part(envoy_program(shared, identity, &pause.place)?, PROXY, Some(envoy_probe()))?),
        };
        let apps =
            identity.plan.containers.iter().map(|container| {
                part(app_program(shared, identity, container, &pause.place), &container.name, container.readiness.clone())
            });
        let apps = apps.collect::<Result<Vec<_>>>()?;
        Ok(Life { shared, identity, status, envoy, apps, apps_started: false, phase: Phase::Up, pause })
    }

    /// Lives until it is removed, which makes it gone, or its namespaces are lost: says where it was in its life then.
    pub async fn run(mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Phase {
        self.bring_up();
        loop {
            self.publish();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Stop { container, kill, grace, done }) => {
                        let _ = done.send(self.stop(container.as_deref(), kill, grace).await);
                    }
                    Some(Order::Start { container, done }) => {
                        let _ = done.send(self.start(container.as_deref()));
                    }
                    Some(Order::Remove) | None => {
                        self.stop_in_order(None).await;
                        self.phase = Phase::Gone;
                        self.publish();
                        tokio::time::sleep(LINGER).await;
                        self.pause.end_rest();
                        return self.phase;
                    }
                },
                held = self.changed() => {
                    if !held {
                        self.end_at_once().await;
                        return self.phase;
                    }
                    self.advance();
                }
            }
        }
    }

    async fn end_at_once(&self) {
        join_all(self.parts().map(|part| part.supervised.stop(Signal::KILL, Duration::ZERO))).await;
        self.pause.end_rest();
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

    /// Waits for a change; false when the namespaces are lost.
    async fn changed(&mut self) -> bool {
        let Life { envoy, apps, pause, .. } = self;
        let parts = envoy.iter_mut().chain(apps);
        let changes: Vec<_> = parts.flat_map(|part| [part.state.changed().boxed(), part.readiness.changed().boxed()]).collect();
        let changes = async {
            if changes.is_empty() {
                return std::future::pending().await;
            }
            let _ = select_all(changes).await;
        };
        tokio::select! {
            () = changes => true,
            () = pause.ended() => false,
        }
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
        let new = Status { phase: self.phase, ready, reason, place: Some(self.pause.place.clone()), containers };
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
                self.end_at_once().await;
            } else {
                self.stop_in_order(grace).await;
                self.phase = Phase::Stopped;
            }
            return Ok(format!("{} stopped", self.identity.name));
        };
        let grace = grace.unwrap_or(self.identity.plan.grace);
        let part = self.part(name)?;
        let name = part.name.clone();
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
        self.pause.end_rest();
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
                let part = self.part(name)?;
                part.wanted = true;
                part.supervised.start(part.program.clone());
            }
        }
        Ok(format!("{} started", container.unwrap_or(&self.identity.name)))
    }

    /// The container that a user means.
    fn part(&mut self, asked: &str) -> Result<&mut Part, String> {
        let name = self.identity.container(asked)?;
        self.parts_mut().find(|part| part.name == name).ok_or_else(|| format!("{name} has no program"))
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
