//! The control plane of a cluster.

use super::monitoring::{self, Monitoring};
use super::proxies::Proxies;
use crate::ads::nodes::Nodes;
use crate::ads::service::Ads;
use crate::canary::engine;
use crate::canary::page::Local;
use crate::canary::store::{Place, Store as Kept};
use crate::certificates::{self, Authority, Pems, RENEWAL, Shown};
use crate::kubernetes::canaries::{self, Shared};
use crate::kubernetes::lease::{self, Replica};
use crate::kubernetes::replicas::Replicas;
use crate::kubernetes::status;
use crate::kubernetes::tokens::Tokens;
use crate::kubernetes::trust::{self, Authorities};
use crate::kubernetes::{authority, follow, passports, watch as cluster};
use crate::listen;
use crate::modules::{self, pull::Puller, store::Store};
use crate::programmed;
use crate::validation::Validator;
use crate::webhook::{Turns, Webhook};
use anyhow::{Context, Result, bail};
use kube::{Client, Config};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_mesh::bootstrap::CLUSTER;
use weir_mesh::inject::Values;
use weir_mesh::mesh::{Options, Pulls};

/// ADS and modules, with TLS, for proxies.
const PROXIES: u16 = 15012;
/// Admission, with TLS, for the API server.
const WEBHOOK: u16 = 15017;
/// Health and metrics.
const MONITORING: u16 = 15014;
/// Pages about the mesh, on loopback alone: who may forward a port to this pod may read them, and steer canaries.
const DEBUG: u16 = 15013;
/// The Service of the control plane.
const SERVICE: &str = "weir";
/// The settings of injection.
const CONFIG: &str = "/etc/weir/config/config.yaml";
/// A certificate of the user's for the webhooks, as cert-manager writes it. Proxies know Weir's own authority: they keep the one that they
/// started with, and a user's may change.
const CERTIFICATE: &str = "/etc/weir/webhook";
/// How often is looked whether there is a new certificate, and whether all still know the authorities.
const TELLING: Duration = Duration::from_secs(5);
/// From an authority's being told to its certificate's being shown.
const TOLD: Duration = Duration::from_secs(3);
/// After SIGTERM: until all who choose among the replicas know that this one ends.
const LEAVING: Duration = Duration::from_secs(5);

/// How long the API server may say nothing.
const SILENCE: Duration = Duration::from_secs(75);
/// How long nothing is served before the modules are there that WasmPlugins name: without them these have no effect.
const PULLS: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or SIGINT.
pub async fn serve(folder: Option<PathBuf>) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = |name| std::env::var(name).with_context(|| format!("{name} is not set: the control plane runs in a pod that says it"));
    let replica = Replica { namespace: told("POD_NAMESPACE")?, name: told("POD_NAME")? };
    let namespace = replica.namespace.clone();
    let values = values(&namespace)?;
    let client = client().await.context("no access to a cluster")?;

    let (close, closing) = watch::channel(false);
    let (serving, served) = watch::channel(None);
    let (count, report) = watch::channel(Arc::default());
    let monitoring = Monitoring { served: served.clone(), closing: closing.clone(), report: report.clone() };
    tokio::spawn(listen::serve_tcp(tcp(MONITORING).await?, monitoring, closing.clone()));
    let (lead, leads) = watch::channel(false);
    tokio::spawn(lease::strive(client.clone(), replica.clone(), lead, closing.clone()));

    let names = [format!("{SERVICE}.{namespace}.svc"), format!("{SERVICE}.{namespace}.svc.{}", values.proxy.cluster_domain)];
    let authority = authority::of(&client, &namespace).await?;
    let own = Shown::new(&authority.issue(&names)?)?;
    let mounted = Mounted::find()?;
    let webhooks = mounted.as_ref().map_or(&own, |mounted| &mounted.shown).clone();
    let authorities = Authorities {
        webhooks: mounted.as_ref().map_or(&authority.certificate, |mounted| &mounted.pems.authority).clone(),
        proxies: authority.certificate.clone(),
    };
    introduce(&client, &namespace, &authorities).await;
    let modules = Store::default();
    let options = Options {
        domain: values.proxy.cluster_domain.clone(),
        modules: serve_modules(folder, &modules),
        report_to: Some(CLUSTER.into()),
        ..Default::default()
    };
    let validator = Validator::new(served, Options { pulls: Pulls::Assumed, ..options.clone() });
    let webhook = Webhook { values: Arc::new(values), ca: authority.certificate.clone(), validator, turns: Turns::default() };
    tokio::spawn(listen::serve_tls(tcp(WEBHOOK).await?, webhooks.server_config()?, webhook, closing.clone()));
    tokio::spawn(renew(authority, names, own.clone()));
    tokio::spawn(certify(client.clone(), namespace.clone(), authorities, mounted, leads.clone()));

    let mut changes = cluster::all(&client);
    let (mut puller, pulls) = Puller::new(modules.clone());
    let (keys, secrets) = watch::channel(passports::of(&client, &namespace).await?);
    tokio::spawn(passports::follow(client.clone(), namespace.clone(), leads.clone(), keys));
    let shared = Shared::within(client.clone(), &namespace);
    let known = shared.load().await?;
    let (canaries, engine, orders) = engine::new(&known, Kept::at(Place::Shared(Box::new(shared.clone()))));
    let (keep, kept) = watch::channel(known);
    tokio::spawn(shared.follow(keep));
    let (mut follower, mut world) =
        follow::first(&mut changes, &options, pulls, secrets, orders).await.context("the cluster is no longer watched")?;
    // A proxy that runs a module keeps it while this replica learns what it was.
    if tokio::time::timeout(PULLS, puller.first(&world.objects)).await.is_err() {
        puller.overdue();
    }
    if puller.has_pulled() {
        world = follower.world();
    }
    tracing::info!(objects = world.objects.iter().count(), "serving");
    let (publish, world) = watch::channel(Arc::new(world));
    let following = follower.run(changes, publish);
    tokio::spawn(puller.run(world.clone()));

    let ads = Ads { world: world.clone(), nodes: Nodes::default(), tokens: Some(Tokens::new(client.clone())), canaries: canaries.clone() };
    tokio::spawn(engine.run(world.clone(), leads.clone(), kept));
    tokio::spawn(programmed::count(ads.clone(), count));
    let replicas = Replicas { own: replica, port: MONITORING };
    tokio::spawn(canaries::fetch(world, canaries, leads.clone(), replicas.clone()));
    tokio::spawn(status::tell(client, ads.clone(), report, leads, replicas, monitoring::REPORT));
    let debug = listen::tcp((Ipv4Addr::LOCALHOST, DEBUG).into()).await?;
    tokio::spawn(listen::serve_tcp(debug, Local { ads: ads.clone() }, closing.clone()));
    tokio::spawn(listen::serve_tls(tcp(PROXIES).await?, own.server_config()?, Proxies { ads: ads.clone(), modules }, closing));
    serving.send_replace(Some(ads));

    tokio::select! {
        () = following => bail!("the cluster is no longer watched"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let _ = close.send(true);
    tokio::time::sleep(LEAVING).await;
    Ok(())
}

/// A client that notices when the API server is gone without a word: a watch hears at least every 65 s, an answer comes sooner.
async fn client() -> Result<Client> {
    let mut config = Config::infer().await?;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Ok(Client::try_from(config)?)
}

/// The user's certificate for the webhooks.
struct Mounted {
    pems: Pems,
    shown: Arc<Shown>,
}

impl Mounted {
    fn find() -> Result<Option<Mounted>> {
        if !Path::new(CERTIFICATE).exists() {
            return Ok(None);
        }
        let pems = certificates::read(Path::new(CERTIFICATE))?;
        Ok(Some(Mounted { shown: Shown::new(&pems)?, pems }))
    }

    /// What is mounted, if it is not what is shown.
    fn next(&self) -> Option<Pems> {
        match certificates::read(Path::new(CERTIFICATE)) {
            Ok(pems) => (pems != self.pems).then_some(pems),
            Err(error) => {
                tracing::error!("no new certificate, the old one stays: {error:#}");
                None
            }
        }
    }
}

/// Tells by which authorities this replica is known, if they are others than so far, before anybody is sent here.
async fn introduce(client: &Client, namespace: &str, authorities: &Authorities) {
    match trust::tell(client, namespace, authorities, false).await {
        Ok(true) => {}
        Ok(false) => {
            if let Err(error) = trust::tell(client, namespace, authorities, true).await {
                // Another replica may have been first. Whoever leads goes on trying.
                tracing::warn!("{error:#}");
            }
            tokio::time::sleep(TOLD).await;
        }
        Err(error) => tracing::warn!("{error:#}"),
    }
}

/// Keeps Weir's own certificate fresh.
async fn renew(authority: Authority, names: [String; 2], shown: Arc<Shown>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = authority.issue(&names).and_then(|pems| shown.set(&pems)) {
            tracing::error!("no new certificate, the old one stays: {error:#}");
        }
    }
}

/// Shows the user's certificate as it changes, to an API server that knows its authority by then. The leader tells, and looks again and
/// again whether somebody wrote over it.
async fn certify(
    client: Client,
    namespace: String,
    mut authorities: Authorities,
    mut mounted: Option<Mounted>,
    mut leads: watch::Receiver<bool>,
) {
    loop {
        let next = mounted.as_ref().and_then(Mounted::next);
        if let Some(next) = &next {
            authorities.webhooks.clone_from(&next.authority);
        }
        let leader = *leads.borrow_and_update();
        match (trust::tell(&client, &namespace, &authorities, leader).await, next, &mut mounted) {
            (Err(error), ..) => tracing::warn!("{error:#}"),
            (Ok(true), Some(next), Some(mounted)) => {
                // The API servers have their own copies of what was written.
                tokio::time::sleep(TOLD).await;
                match mounted.shown.set(&next) {
                    Ok(()) => {
                        tracing::info!("a new certificate is shown");
                        mounted.pems = next;
                    }
                    Err(error) => tracing::error!("the new certificate cannot be used, the old one stays: {error:#}"),
                }
            }
            _ => {}
        }
        tokio::select! {
            () = tokio::time::sleep(TELLING) => {}
            // Who begins to lead tells at once.
            Ok(()) = leads.changed() => {}
        }
    }
}

/// The settings of injection, from the mounted ConfigMap.
fn values(namespace: &str) -> Result<Values> {
    let mut values = match std::fs::read_to_string(CONFIG) {
        Ok(text) => Values::read(&text).context(CONFIG)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Values::default(),
        Err(error) => return Err(error).context(CONFIG),
    };
    values.namespace = namespace.into();
    Ok(values)
}

/// On every address of the pod.
async fn tcp(port: u16) -> Result<tokio::net::TcpListener> {
    match listen::tcp((Ipv6Addr::UNSPECIFIED, port).into()).await {
        // A machine without IPv6.
        Err(_) => listen::tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
        listener => listener,
    }
}

fn serve_modules(named: Option<PathBuf>, store: &Store) -> std::collections::BTreeMap<String, weir_mesh::mesh::Module> {
    let Some(folder) = modules::folder(named.as_deref()) else {
        tracing::warn!("no folder of modules; canary and locality policies have no effect");
        return Default::default();
    };
    let modules = modules::serve(&folder, store);
    for missing in modules.missing {
        tracing::warn!("{missing}; policies for it have no effect");
    }
    modules.found
}
