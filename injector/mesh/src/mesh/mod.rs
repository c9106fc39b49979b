//! What the user meant: all objects, validated and joined.

mod analysis;
pub mod canary;
pub mod host;
pub mod plugin;
pub mod policy;
pub(crate) mod priority;
pub mod pull;
pub mod rule;
pub mod service;
pub mod virtual_service;
pub mod workload;

use crate::finding::Finding;
use crate::object::gateway::Gateway;
use crate::object::{Kind, Objects};
use canary::{Canary, Orders};
use plugin::Plugin;
pub use pull::Pulls;
use rule::Rule;
use service::Service;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use virtual_service::VirtualService;
use workload::Workload;

/// The namespace whose plugins and rules concern the whole mesh (Istio's root namespace).
pub const ROOT_NAMESPACE: &str = "istio-system";

/// Settings of the mesh that come from no object.
#[derive(Clone, Debug)]
pub struct Options {
    /// The DNS domain, usually `cluster.local`.
    pub domain: String,
    /// The modules of this release by name: `weir-canary` and `weir-locality`.
    pub modules: BTreeMap<String, Module>,
    /// Whether proxies mark their own connections ([`crate::bootstrap::PROXY_MARK`]), where they have no uid of their own to be told by.
    pub marked: bool,
    /// The modules that are pulled for WasmPlugins.
    pub pulls: Pulls,
    /// The keys of passports that hold, the one that makes them first; none where no passports are made.
    pub secrets: Secrets,
    /// The cluster by which proxies tell what governors saw; none where nobody listens.
    pub report_to: Option<String>,
    /// What holds for canaries in the whole mesh.
    pub orders: Orders,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            domain: "cluster.local".into(),
            modules: BTreeMap::new(),
            marked: false,
            pulls: Pulls::Never,
            secrets: Secrets::default(),
            report_to: None,
            orders: Orders::default(),
        }
    }
}

/// What nobody may read in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Where proxies find a filter's module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Module {
    /// In a file that every proxy can read.
    File {
        /// Where.
        path: PathBuf,
        /// The file's digest in hexadecimal digits; none where it is not known.
        sha256: Option<String>,
    },
    /// In a file named by its digest ([`crate::bootstrap::module`]) where the proxy has it; the others get it from the control plane.
    Served {
        /// Its digest in hexadecimal digits.
        sha256: String,
    },
    /// Nowhere yet, and no request may pass without it.
    Missing,
}

impl Module {
    /// Its digest in hexadecimal digits, where it is known.
    pub fn sha256(&self) -> Option<&str> {
        match self {
            Module::File { sha256, .. } => sha256.as_deref(),
            Module::Served { sha256 } => Some(sha256),
            Module::Missing => None,
        }
    }
}

/// The whole mesh. All names of hosts are full names.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// The DNS domain, usually `cluster.local`.
    pub domain: String,
    /// Whether proxies mark their own connections.
    pub marked: bool,
    /// By full name.
    pub services: BTreeMap<String, Service>,
    /// The running pods, sorted by namespace and name.
    pub workloads: Vec<Workload>,
    /// In Istio's order: oldest first, then by name and namespace.
    pub virtual_services: Vec<VirtualService>,
    /// DestinationRules of one host and namespace united, in the same order.
    pub rules: Vec<Rule>,
    /// Gateways by `namespace/name`.
    pub gateways: BTreeMap<String, Gateway>,
    /// WasmPlugins in the order in which their filters run.
    pub plugins: Vec<Plugin>,
    /// The keys of passports.
    pub secrets: Secrets,
    /// The cluster by which proxies tell what governors saw.
    pub report_to: Option<String>,
    /// What holds for canaries.
    pub orders: Orders,
    /// The canaries that have a policy, sorted by name.
    pub canaries: Vec<Canary>,
    /// The rules of each namespace by their place in `rules`.
    rules_of: BTreeMap<String, Vec<usize>>,
}

/// Joins all objects into a mesh, and reports what does not fit together.
pub fn build(objects: &Objects, options: &Options) -> (Mesh, Vec<Finding>) {
    let mut findings = Vec::new();
    let gateways = objects.iter().filter_map(|object| match &object.kind {
        Kind::Gateway(gateway) => Some((format!("{}/{}", object.key.namespace, object.key.name), lower_case(gateway.clone()))),
        _ => None,
    });
    let workloads = workload::build(objects, &mut findings);
    let mut services = service::build(objects, &options.domain);
    service::select(&mut services, &workloads);
    let rules = rule::build(objects, &options.domain);
    let mut rules_of: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate() {
        rules_of.entry(rule.namespace.clone()).or_default().push(index);
    }
    let mut mesh = Mesh {
        domain: options.domain.clone(),
        marked: options.marked,
        secrets: options.secrets.clone(),
        report_to: options.report_to.clone(),
        orders: options.orders.clone(),
        canaries: Vec::new(),
        services,
        workloads,
        virtual_services: virtual_service::build(objects, &options.domain),
        rules,
        rules_of,
        gateways: gateways.collect(),
        plugins: plugin::build(objects, options, &mut findings),
    };
    mesh.canaries = canary::build(&mesh);
    analysis::analyze(&mesh, objects, &mut findings);
    canary::tell(&mesh, objects, &options.orders, &mut findings);
    findings.sort_by(|a, b| (&a.place, &a.field).cmp(&(&b.place, &b.field)));
    (mesh, findings)
}

/// Names of hosts have no case; Envoy compares them in lower case.
fn lower_case(mut gateway: Gateway) -> Gateway {
    gateway.servers.iter_mut().flat_map(|server| &mut server.hosts).for_each(|host| host.make_ascii_lowercase());
    gateway
}

impl Mesh {
    /// Whether passports are made anywhere.
    pub fn has_passports(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.passport().is_some())
    }

    /// Whether requests leave the mesh for a service that it knows.
    pub fn leads_outside(&self) -> bool {
        self.services.values().any(|service| service.is_outside && service.ports.iter().any(|port| port.protocol.may_be_http()))
    }

    /// The workload of a pod.
    pub fn workload(&self, namespace: &str, pod: &str) -> Option<&Workload> {
        let key = |workload: &Workload| (namespace, pod).cmp(&(&workload.namespace, &workload.name)).reverse();
        self.workloads.binary_search_by(key).ok().and_then(|index| self.workloads.get(index))
    }

    /// The pods that a service selects, ready or not, sorted by name; of one that selects none, its other endpoints.
    pub fn pods<'m>(&'m self, service: &'m Service) -> impl Iterator<Item = &'m Workload> {
        service.pods.iter().filter_map(|index| self.workloads.get(*index)).chain(&service.others)
    }

    /// The rule that holds for calls from a namespace to a host (`istio-semantics` 2): the client's namespace (of the
    /// root namespace its private rules), then the service's, then the root namespace; the first
    /// of them with any match, and in it the most specific host.
    pub fn rule(&self, client_namespace: &str, host: &str) -> Option<&Rule> {
        let best = |namespace: &str, counts: &dyn Fn(&Rule) -> bool| {
            let own = self.rules_of.get(namespace).into_iter().flatten().filter_map(|index| self.rules.get(*index));
            let concerns = |rule: &&Rule| host::matches(&rule.host, host) && counts(rule);
            own.filter(concerns).max_by_key(|rule| host::specificity(&rule.host))
        };
        let is_root = client_namespace == ROOT_NAMESPACE;
        let own = best(client_namespace, &|rule| rule.is_visible_in(client_namespace) && (!is_root || rule.is_private()));
        let exported = |namespace: &str| best(namespace, &|rule| rule.is_visible_in(client_namespace));
        let of_service = || exported(&self.services.get(host)?.namespace);
        own.or_else(of_service).or_else(|| exported(ROOT_NAMESPACE))
    }
}
