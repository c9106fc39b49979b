//! The control plane of a cluster.

use super::DOMAIN;
use super::monitoring::{self, Monitoring};
use super::proxies::Proxies;
use crate::ads::nodes::Nodes;
use crate::ads::service::Ads;
use crate::certificates::{self, Authority, Pems, RENEWAL, Shown};
use crate::kubernetes::lease::{self, Replica};
use crate::kubernetes::status::{self, Replicas};
use crate::kubernetes::tokens::Tokens;
use crate::kubernetes::{authority, follow, trust, watch as cluster};
use crate::listen;
use crate::modules::{self, pull::Puller, store::Store};
use crate::programmed;
use crate::validation::Validator;
use crate::webhook::Webhook;
use anyhow::{Context, Result, bail};
use kube::Client;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_mesh::inject::Values;
use weir_mesh::mesh::{Options, Pulls};

/// ADS and modules, with TLS, for proxies.
const PROXIES: u16 = 15012;
/// Admission, with TLS, for the API server.
const WEBHOOK: u16 = 15017;
/// Health and metrics.
const MONITORING: u16 = 15014;
/// Pages about the mesh, on loopback alone: who may forward a port to this pod may read them.
const DEBUG: u16 = 15013;
/// The Service of the control plane.
const SERVICE: &str = "weir";
/// The settings of injection.
const CONFIG: &str = "/etc/weir/config/config.yaml";
/// A certificate of the user's for the webhooks and for proxies, as cert-manager writes it.
const CERTIFICATE: &str = "/etc/weir/webhook";
/// How often is looked whether there is a new certificate, and whether the webhooks still know the authority.
const TELLING: Duration = Duration::from_secs(5);
/// From an authority's being told to its certificate's being shown.
const TOLD: Duration = Duration::from_secs(3);
/// After SIGTERM: until all who choose among the replicas know that this one ends.
const LEAVING: Duration = Duration::from_secs(5);

/// How long nothing is served before the modules are there that WasmPlugins name: without them these have no effect.
const PULLS: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or SIGINT.
pub async fn serve(folder: Option<PathBuf>) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = |name| std::env::var(name).with_context(|| format!("{name} is not set: the control plane runs in a pod that says it"));
    let replica = Replica { namespace: told("POD_NAMESPACE")?, name: told("POD_NAME")? };
    let namespace = replica.namespace.clone();
    let client = Client::try_default().await.context("no access to a cluster")?;

    let (close, closing) = watch::channel(false);
    let (serving, served) = watch::channel(None);
    let (count, report) = watch::channel(Arc::default());
    let monitoring = Monitoring { served: served.clone(), report: report.clone() };
    tokio::spawn(listen::serve_tcp(tcp(MONITORING).await?, monitoring, closing.clone()));
    let (lead, leads) = watch::channel(false);
    tokio::spawn(lease::strive(client.clone(), replica.clone(), lead, closing.clone()));

    let names = [format!("{SERVICE}.{namespace}.svc"), format!("{SERVICE}.{namespace}.svc.{DOMAIN}")];
    let source = Source::find(&client, &namespace, &names).await?;
    let first = source.pems()?;
    let shown = Shown::new(&first)?;
    let tls = shown.server_config()?;
    let (authorities, ca) = watch::channel(first.authority.clone());
    let modules = Store::default();
    let options = Options { domain: DOMAIN.into(), modules: serve_modules(folder, &modules), marked: false, pulls: Pulls::Never };
    let validator = Validator::new(served, Options { pulls: Pulls::Assumed, ..options.clone() });
    let webhook = Webhook { values: Arc::new(values(&namespace)?), ca, validator };
    tokio::spawn(listen::serve_tls(tcp(WEBHOOK).await?, tls.clone(), webhook, closing.clone()));
    tokio::spawn(certify(client.clone(), namespace, source, first, shown, authorities, leads.clone()));

    let mut changes = cluster::all(&client);
    let (mut puller, pulls) = Puller::new(modules.clone());
    let (mut follower, mut world) = follow::first(&mut changes, &options, pulls).await.context("the cluster is no longer watched")?;
    // A proxy that runs a module keeps it while this replica learns what it was.
    let _ = tokio::time::timeout(PULLS, puller.first(&world.objects)).await;
    if puller.has_pulled() {
        world = follower.world();
    }
    tracing::info!(objects = world.objects.iter().count(), "serving");
    let (publish, world) = watch::channel(Arc::new(world));
    let following = follower.run(changes, publish);
    tokio::spawn(puller.run(world.clone()));

    let ads = Ads { world, nodes: Nodes::default(), tokens: Some(Tokens::new(client.clone())) };
    tokio::spawn(programmed::count(ads.clone(), count));
    let replicas = Replicas { own: replica, port: MONITORING, page: monitoring::REPORT };
    tokio::spawn(status::tell(client, ads.clone(), report, leads, replicas));
    let debug = listen::tcp((Ipv4Addr::LOCALHOST, DEBUG).into()).await?;
    tokio::spawn(listen::serve_tcp(debug, ads.clone(), closing.clone()));
    tokio::spawn(listen::serve_tls(tcp(PROXIES).await?, tls.clone(), Proxies { ads: ads.clone(), modules }, closing));
    serving.send_replace(Some(ads));

    tokio::select! {
        () = following => bail!("the cluster is no longer watched"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    serving.send_replace(None);
    let _ = close.send(true);
    tokio::time::sleep(LEAVING).await;
    Ok(())
}

/// Where the control plane's certificates come from.
enum Source {
    /// From an authority of its own.
    Own {
        /// What signs them.
        authority: Authority,
        /// For whom.
        names: [String; 2],
    },
    /// From a Secret of the user's, which is mounted.
    Mounted,
}

impl Source {
    async fn find(client: &Client, namespace: &str, names: &[String; 2]) -> Result<Source> {
        if Path::new(CERTIFICATE).exists() {
            return Ok(Source::Mounted);
        }
        Ok(Source::Own { authority: authority::of(client, namespace).await?, names: names.clone() })
    }

    fn pems(&self) -> Result<Pems> {
        match self {
            Source::Own { authority, names } => authority.issue(names),
            Source::Mounted => certificates::read(Path::new(CERTIFICATE)),
        }
    }

    /// A certificate that is to be shown in the place of this one, if there is one.
    fn next(&self, now: &Pems, since: Instant) -> Result<Option<Pems>> {
        match self {
            Source::Own { .. } if since.elapsed() < RENEWAL => Ok(None),
            Source::Own { .. } => self.pems().map(Some),
            Source::Mounted => self.pems().map(|pems| (pems != *now).then_some(pems)),
        }
    }
}

/// Keeps the certificate fresh, and all who must trust it informed: those before it is shown. The leader tells, and looks again and again
/// whether somebody wrote over it.
async fn certify(
    client: Client,
    namespace: String,
    source: Source,
    first: Pems,
    shown: Arc<Shown>,
    authorities: watch::Sender<String>,
    mut leads: watch::Receiver<bool>,
) {
    let (mut now, mut since) = (first, Instant::now());
    loop {
        let next = source.next(&now, since).unwrap_or_else(|error| {
            tracing::error!("no new certificate, the old one stays: {error:#}");
            None
        });
        let pems = next.as_ref().unwrap_or(&now);
        let leader = *leads.borrow_and_update();
        match (trust::tell(&client, &namespace, &pems.authority, leader).await, &next) {
            (Err(error), _) => tracing::warn!("{error:#}"),
            (Ok(false), _) | (_, None) => {}
            (Ok(true), Some(next)) => {
                // The API servers have their own copies of what was written.
                tokio::time::sleep(TOLD).await;
                match shown.set(next) {
                    Ok(()) => {
                        tracing::info!("a new certificate is shown");
                        authorities.send_replace(next.authority.clone());
                        (now, since) = (next.clone(), Instant::now());
                    }
                    Err(error) => tracing::error!("the new certificate cannot be used, the old one stays: {error:#}"),
                }
            }
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
