//! The process that does the work inside the namespaces: follows the user's files, and brings what runs to what they say.

mod tell;

use super::applied::Applied;
use super::cluster::{self, Addresses, Pool};
use super::control::{self, Control};
use super::gateways::Gateways;
use super::message::Receiver;
use super::network::Network;
use super::plan::{self, Plan};
use super::pod::{self, Handle, Identity, Phase, Shared};
use super::protocol::{Config, GatewayView, ServiceView, ToOuter, ToRunner};
use super::reconcile::{self, Running, Step};
use super::rundir::RunDir;
use super::view::Seen;
use super::{control_plane, dns, live};
use crate::files::Sources;
use crate::files::watch::Watch;
use crate::modules;
use crate::serve::DOMAIN;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::MissedTickBehavior;
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::mesh;

/// How often the user is told what is still missing, and what failed is tried again.
const REMIND: Duration = Duration::from_secs(10);
/// From the last pod's readiness until every Envoy knows of it.
const SETTLE: Duration = Duration::from_millis(500);
/// How long programs have to end by themselves at the end of all; `weir up` waits a little longer.
const FAREWELL: Duration = Duration::from_millis(1200);

/// Runs until `weir up` says that it is over, or is gone.
pub fn run() -> Result<ExitCode> {
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let outer = stream.try_clone()?;
    let mut receiver = Receiver::new(stream);
    let Some((ToRunner::Config(config), _)) = receiver.receive()? else { bail!("started without a configuration") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let runner = Runner::new(*config, outer).await?;
        runner.work(receiver).await
    })
}

/// Tells when the sources changed. The watch has a task of its own, since it collects what happens within a moment.
fn follow(sources: &Sources) -> mpsc::Receiver<()> {
    let mut watch = Watch::new(sources);
    let (sender, changes) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            watch.changed().await;
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    changes
}

/// Returns a moment after all was up; never while it is not.
async fn settled(complete: Option<Instant>) {
    match complete {
        Some(since) => tokio::time::sleep_until((since + SETTLE).into()).await,
        None => std::future::pending().await,
    }
}

struct Runner {
    shared: Arc<Shared>,
    outer: UnixStream,
    options: plan::Options,
    mesh: mesh::Options,
    sources: Sources,
    applied: Arc<Mutex<Applied>>,
    plan: Plan,
    pods: BTreeMap<(String, String), Arc<Handle>>,
    pod_ips: Pool,
    service_ips: Pool,
    addresses: Addresses,
    gateways: Gateways,
    files: cluster::Files,
    names: watch::Sender<dns::Names>,
    seen: watch::Sender<Seen>,
    said: mpsc::UnboundedReceiver<String>,
    told: Vec<String>,
    announced: BTreeSet<(String, String)>,
    shown_gateways: Vec<GatewayView>,
    started: Instant,
    control_plane: bool,
    complete: Option<Instant>,
    ready: bool,
    /// Why the last step failed: then the next event repeats it.
    trouble: Option<String>,
}

impl Runner {
    async fn new(config: Config, outer: UnixStream) -> Result<Runner> {
        let dir = RunDir(config.run_dir.clone());
        let network = Network::create().await.context("the network")?;
        let (say, said) = mpsc::unbounded_channel();
        let zones = config.zones.iter().filter_map(|zone| zone.parse().ok()).collect();
        let options = plan::Options { zones, images: config.images.clone() };
        let own = Sources(config.paths.clone());
        let sources = Sources(own.0.iter().cloned().chain([dir.applied()]).collect());
        let (names, resolved) = watch::channel(dns::Names::default());
        dns::serve(resolved).await?;
        let shared = Arc::new(Shared { config, dir: dir.clone(), network, say, changed: Arc::new(Notify::new()) });
        let (seen, shown) = watch::channel(Seen::default());
        let mesh = mesh::Options { domain: DOMAIN.into(), modules: modules::all(), marked: true, ..Default::default() };
        let applied = Arc::new(Mutex::new(Applied::new(&dir, own, mesh.clone())));
        let control = Control { shared: shared.clone(), seen: shown, applied: applied.clone(), runtime: tokio::runtime::Handle::current() };
        control::listen(control)?;
        Ok(Runner {
            shared,
            outer,
            options,
            mesh,
            sources,
            applied,
            plan: Plan::default(),
            pods: BTreeMap::new(),
            pod_ips: Pool::pods(),
            service_ips: Pool::services(),
            addresses: Addresses::new(),
            gateways: Gateways::default(),
            files: cluster::Files::default(),
            names,
            seen,
            said,
            told: Vec::new(),
            announced: BTreeSet::new(),
            shown_gateways: Vec::new(),
            started: Instant::now(),
            control_plane: false,
            complete: None,
            ready: false,
            trouble: None,
        })
    }

    async fn work(mut self, mut receiver: Receiver) -> Result<ExitCode> {
        let (sender, mut orders) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Ok(Some(message)) = receiver.receive::<ToRunner>() {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut changes = follow(&self.sources);
        self.follow_files()?;
        if self.plan.pods.is_empty() {
            let paths: Vec<_> = self.shared.config.paths.iter().map(|path| path.display().to_string()).collect();
            bail!("nothing to run: no Deployment, Pod or Gateway in {}", paths.join(", "));
        }
        if let Some(missing) = control_plane::copy_modules(&self.shared.dir) {
            self.line(missing);
        }
        let control_plane = control_plane::start(&self.shared.config, &self.shared.dir, self.shared.say.clone());
        let shared = self.shared.clone();
        let answers = control_plane::answers(&shared.dir);
        tokio::pin!(answers);
        let mut live = live::follow(self.seen.subscribe());
        let mut remind = tokio::time::interval_at((Instant::now() + REMIND).into(), REMIND);
        remind.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some((ToRunner::Listener { gateway, port }, files)) => self.listener(&gateway, port, files),
                    Some((ToRunner::Config(_), _)) => {}
                    Some((ToRunner::End, _)) | None => break,
                },
                Some(()) = changes.recv() => self.follow(Runner::follow_files),
                () = shared.changed.notified() => self.follow(Runner::follow_pods),
                Some(line) = self.said.recv() => self.line(line),
                () = &mut answers, if !self.control_plane => {
                    self.control_plane = true;
                    self.follow(Runner::follow_pods);
                }
                () = settled(self.complete), if !self.ready => self.become_ready(),
                _ = remind.tick(), if !self.ready || self.trouble.is_some() => self.remind(),
                Some(line) = live.recv(), if self.ready => self.send(&ToOuter::Live(line)),
            }
        }
        self.farewell(&control_plane).await;
        Ok(ExitCode::SUCCESS)
    }

    /// Takes a step. One that fails, such as on a full disk, ends nothing: it is said once, and all is tried again.
    fn follow(&mut self, step: fn(&mut Runner) -> Result<()>) {
        let step = if self.trouble.is_some() { Runner::follow_files } else { step };
        let trouble = step(self).err().map(|error| format!("{error:#}"));
        if let Some(trouble) = trouble.iter().find(|_| trouble != self.trouble) {
            self.line(format!("{trouble}; it is tried again"));
        }
        self.trouble = trouble;
    }

    /// Reads the files and plans anew.
    fn follow_files(&mut self) -> Result<()> {
        let (objects, mut findings, said) = {
            let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
            let (findings, said) = applied.follow()?;
            (applied.in_force(), findings, said)
        };
        said.into_iter().for_each(|line| self.line(line));
        findings.append(&mut mesh::build(&objects, &self.mesh).1);
        self.plan = plan::plan(&objects, &self.options);
        let text = |finding: &Finding| match finding.severity {
            // Without its place: that of a kind which is ignored is only where it came first.
            Severity::Info => format!("info: {}", finding.message),
            _ => finding.to_string(),
        };
        self.tell(findings.iter().map(text).chain(self.plan.notes.clone()).collect());
        self.addresses = cluster::addresses(&self.plan.services, &self.addresses, &mut self.service_ips);
        let addresses = cluster::address_objects(&self.plan.services, &self.addresses);
        let written = self.files.write(&self.shared.dir, "addresses.yaml", addresses);
        let (closed, wanted) = self.gateways.follow(&self.plan.gateways);
        for (gateway, port) in closed {
            self.send(&ToOuter::Closed { gateway, port });
        }
        for (gateway, port) in wanted {
            self.send(&ToOuter::Bind { gateway, port });
        }
        let done = self.follow_pods();
        written.and(done)
    }

    /// Starts and ends pods, and shows the others what there is now.
    fn follow_pods(&mut self) -> Result<()> {
        self.pods.retain(|_, pod| pod.status.borrow().phase != Phase::Gone);
        let statuses: Vec<_> = self.pods.values().map(|pod| (pod.clone(), pod.status.borrow().clone())).collect();
        let running: Vec<_> = statuses
            .iter()
            .map(|(pod, status)| Running { name: &pod.identity.name, pod: &pod.identity.plan, ready: status.ready, leaving: pod.leaving() })
            .collect();
        let mut done = Ok(());
        for step in reconcile::steps(&self.plan.pods, &running) {
            match step {
                Step::Start(name, plan) => done = self.start(name, *plan).and(done),
                Step::End(namespace, name) => {
                    if let Some(pod) = self.pods.get(&(namespace, name)) {
                        pod.remove();
                    }
                }
            }
        }
        let written = self.files.write(&self.shared.dir, "pods.yaml", cluster::pod_objects(self.pods.values().map(Arc::as_ref)));
        let pods: Vec<_> = self.pods.values().map(Arc::as_ref).collect();
        self.names.send_replace(Arc::new(cluster::names(&self.plan.services, &self.addresses, &pods)));
        self.gateways.follow_pods(&pods);
        self.announce();
        self.seen.send_replace(Seen {
            pods: self.pods.values().cloned().collect(),
            gateways: self.gateways.views(),
            services: self.plan.services.iter().map(|service| self.service_view(service)).collect(),
        });
        self.look_for_all();
        self.tell_gateways();
        done.and(written)
    }

    fn start(&mut self, name: String, plan: plan::Pod) -> Result<()> {
        let ip = self.pod_ips.take(|ip| self.pods.values().any(|pod| pod.identity.ip == ip)).context("no addresses left for pods")?;
        let key = (plan.namespace.clone(), name.clone());
        let handle = pod::start(self.shared.clone(), Identity { name, ip, plan });
        self.pods.insert(key, Arc::new(handle));
        Ok(())
    }

    fn listener(&mut self, gateway: &str, port: u16, files: Vec<OwnedFd>) {
        let Some(listener) = files.into_iter().next() else { return };
        if let Err(error) = self.gateways.open(gateway, port, listener) {
            self.line(format!("port {port} of gateway {gateway} outside: {error:#}"));
        }
        self.follow(Runner::follow_pods);
    }

    fn service_view(&self, service: &plan::Service) -> ServiceView {
        let cluster_ip = self.addresses.get(&(service.namespace.clone(), service.name.clone())).copied();
        ServiceView { namespace: service.namespace.clone(), name: service.name.clone(), cluster_ip }
    }

    /// Asks all programs to end, and waits a moment; what is left then, the kernel ends with the namespace.
    async fn farewell(&self, control_plane: &super::process::Supervised) {
        for container in self.pods.values().flat_map(|pod| pod.status.borrow().containers.clone()) {
            if let Some(pid) = container.pid {
                super::process::signal_group(pid, Signal::TERM);
            }
        }
        let ended = |pod: &Arc<Handle>| pod.status.borrow().containers.iter().all(|container| container.pid.is_none());
        let all = async {
            while !self.pods.values().all(ended) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
        let _ = tokio::time::timeout(Duration::from_millis(200), control_plane.stop(Signal::TERM, Duration::from_millis(150))).await;
    }
}
