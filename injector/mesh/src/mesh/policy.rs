//! What a user's policies mean on one workload: full names, the workload's own place, the order of the zones.

use super::canary::{Name, Order};
use super::host::{first_label, full_name, matches};
use super::plugin::{Filter, Plugin};
use super::priority;
use super::virtual_service::VirtualService;
use super::workload::Workload;
use super::{Mesh, ROOT_NAMESPACE};
use crate::node::Role;
use crate::object::destination_rule::LocalityLbSetting;
use crate::object::virtual_service::RouteDestination;
use std::collections::{BTreeMap, BTreeSet};
use weir_policy::canary::{KeySource, SourceAddress};
use weir_policy::{canary, locality};

/// The policies that hold on one workload, compiled for it.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// The filters that its outgoing requests pass, in order, with the JSON that each is sent.
    pub client: Vec<(Plugin, String)>,
    /// The filters that its incoming requests pass.
    pub server: Vec<(Plugin, String)>,
    /// By host of a destination, with the filter's name.
    canaries: BTreeMap<String, (String, canary::Canary)>,
    /// By host with a locality policy.
    localities: BTreeMap<String, OfLocality>,
    /// What the passports of this workload's requests are.
    passports: Passports,
}

/// What a locality policy asks of a host's routes.
#[derive(Clone, Debug)]
struct OfLocality {
    /// The filter's name.
    filter: String,
    /// Whether responses tell who served them.
    served_by: bool,
}

/// What becomes of passports at a workload.
#[derive(Clone, Debug, Default)]
struct Passports {
    /// The first policy that has any.
    policy: Option<canary::Passport>,
    /// The filter that makes them, at a gateway: it runs on all routes.
    maker: Option<String>,
}

impl Policies {
    /// The policies of a workload that is a sidecar's or a gateway.
    pub fn of(mesh: &Mesh, workload: &Workload, role: Role) -> Policies {
        let mut policies = Policies::default();
        if role == Role::Sidecar {
            policies.passports.policy = mesh.plugins.iter().filter(|plugin| plugin.selects(workload)).find_map(Plugin::passport).cloned();
        }
        for plugin in mesh.plugins.iter().filter(|plugin| plugin.selects(workload)) {
            let config = match &plugin.filter {
                Filter::Canary(config) => policies.add_canary(mesh, workload, role, plugin, config),
                Filter::Locality(config) => policies.add_locality(mesh, workload, plugin, config),
                Filter::Foreign { config, .. } => config.as_ref().map(ToString::to_string).unwrap_or_default(),
            };
            if plugin.client {
                policies.client.push((plugin.clone(), config.clone()));
            }
            if plugin.server {
                policies.server.push((plugin.clone(), config));
            }
        }
        policies
    }

    /// The canary policy for destinations of a host.
    pub fn canary(&self, host: &str) -> Option<&canary::Canary> {
        self.canaries.get(host).map(|(_, canary)| canary)
    }

    /// The names of the filters that have a policy for destinations of a host.
    pub fn filters(&self, host: &str) -> impl Iterator<Item = &str> {
        let canary = self.canaries.get(host).map(|(filter, _)| filter.as_str());
        canary.into_iter().chain(self.localities.get(host).map(|locality| locality.filter.as_str()))
    }

    /// Whether responses of a host tell who served them.
    pub fn tells(&self, host: &str) -> bool {
        self.localities.get(host).is_some_and(|locality| locality.served_by)
    }

    /// Whether requests to a host may be answered with a cookie of ours.
    pub fn mints(&self, host: &str) -> bool {
        let mints = |keys: &[KeySource]| matches!(keys.last(), Some(KeySource::Mint(_)));
        let passport = self.passports.policy.as_ref().filter(|_| self.passports.maker.is_some());
        passport.is_some_and(|passport| mints(&passport.key)) || self.canary(host).is_some_and(|canary| mints(&canary.key))
    }

    /// The name of the filter that makes passports here, and so must see every request.
    pub fn passport_maker(&self) -> Option<&str> {
        self.passports.maker.as_deref()
    }

    /// Whether a request may name a host's subset, by an override of the host's policy or by its passport.
    pub fn names_subsets(&self, host: &str) -> bool {
        let by_passport = self.passports.policy.as_ref().is_some_and(|passport| !passport.overrides.is_empty());
        self.canary(host).is_some_and(|canary| by_passport || !canary.overrides.is_empty())
    }

    /// Whether some requests to a host must not get a canary.
    pub fn excludes(&self, host: &str) -> bool {
        self.canary(host).is_some_and(|canary| canary.deny.is_some() || canary.allow.is_some() || canary.governor.is_some())
    }

    /// Whether a canary of a host may be held back.
    pub fn governs(&self, host: &str) -> bool {
        self.canary(host).is_some_and(|canary| canary.governor.is_some())
    }

    /// Whether a locality policy holds for a host: its clusters get priorities by locality and zones to choose from.
    pub fn has_locality(&self, host: &str) -> bool {
        self.localities.contains_key(host)
    }

    /// Whether any locality policy holds.
    pub fn has_any_locality(&self) -> bool {
        !self.localities.is_empty()
    }

    fn add_canary(&mut self, mesh: &Mesh, workload: &Workload, role: Role, plugin: &Plugin, config: &canary::Config) -> String {
        let passport = self.passport(mesh, role, plugin, config);
        let caller = canary::Caller { namespace: Some(workload.namespace.clone()), workload: Some(workload.owner.clone()) };
        let mut compiled = canary::Config {
            version: config.version,
            routed: !passport.as_ref().is_some_and(|passport| passport.edge),
            caller: plugin.tells_callers_apart().then_some(caller),
            report_to: config.canaries.iter().find_map(|canary| canary.governor.as_ref()).and(mesh.report_to.clone()),
            passport,
            canaries: Vec::new(),
        };
        for canary in &config.canaries {
            let named = full_names(mesh, plugin, &canary.hosts);
            let hosts = unclaimed(destinations(mesh, plugin, &named), |host| self.canaries.contains_key(host));
            if hosts.is_empty() {
                continue;
            }
            // The users' order is drawn from the train: from the service's name where the policy names none, so that other hosts move nobody.
            let train = canary.train.clone().or_else(|| named.first().cloned());
            let mut key = if canary.key.is_empty() { hashed_by(mesh, workload, &hosts) } else { canary.key.clone() };
            if role == Role::Sidecar {
                key = key.into_iter().map(not_minted).collect();
            }
            let governor = canary.governor.as_ref().map(|governor| canary::Governor {
                proxies: Some(proxies(mesh, plugin)),
                orders: orders(mesh, &hosts),
                ..governor.clone()
            });
            let stable = canary.stable.clone().or_else(|| governor.as_ref().and_then(|_| first(mesh, &hosts)));
            let canary = canary::Canary { hosts, stable, train, key, governor, ..canary.clone() };
            let of_host = |host: &String| (host.clone(), (plugin.resource_name(), canary.clone()));
            self.canaries.extend(canary.hosts.iter().map(of_host));
            compiled.canaries.push(canary);
        }
        serde_json::to_string(&compiled).unwrap_or_default()
    }

    /// What a filter does with passports: at a gateway the first one with a policy for them makes them, and those behind it read what
    /// it made. Behind the gateways all do.
    fn passport(&mut self, mesh: &Mesh, role: Role, plugin: &Plugin, config: &canary::Config) -> Option<canary::Passport> {
        let secrets = mesh.secrets.0.clone();
        if self.passports.policy.is_none() && role == Role::Router && config.passport.is_some() {
            self.passports.policy.clone_from(&config.passport);
            self.passports.maker = Some(plugin.resource_name());
            return config.passport.clone().map(|passport| canary::Passport { edge: true, secrets, ..passport });
        }
        let reader = canary::Passport { key: Vec::new(), overrides: Vec::new(), edge: false, secrets };
        self.passports.policy.is_some().then_some(reader)
    }

    fn add_locality(&mut self, mesh: &Mesh, workload: &Workload, plugin: &Plugin, config: &locality::Config) -> String {
        let own = &workload.locality;
        let locality = locality::Locality { region: own.region.clone(), zone: own.zone.clone() };
        let locality = (!own.zone.is_empty()).then_some(locality);
        let mut compiled =
            locality::Config { version: config.version, routed: true, locality, price: config.price.clone(), services: Vec::new() };
        for service in &config.services {
            let named = full_names(mesh, plugin, &service.hosts);
            let hosts = mesh.services.keys().filter(|host| named.iter().any(|pattern| matches(pattern, host))).cloned().collect();
            for host in unclaimed(hosts, |host| self.localities.contains_key(host)) {
                let of_host = OfLocality { filter: plugin.resource_name(), served_by: service.served_by };
                self.localities.insert(host.clone(), of_host);
                let setting = priority::setting(mesh, workload, &host);
                let zones = zones(mesh, workload, &setting, &host);
                // What the user distributes is not for the filter to distribute.
                let spill = service.spill.clone().filter(|_| setting.distribute.is_empty());
                // Each service on its own: how long one takes says nothing about another.
                compiled.services.push(locality::Service { hosts: vec![host], served_by: false, spill, zones });
            }
        }
        serde_json::to_string(&compiled).unwrap_or_default()
    }
}

/// How many proxies run a plugin, by powers of two, so that a pod that comes or goes changes no filter's configuration.
fn proxies(mesh: &Mesh, plugin: &Plugin) -> u32 {
    let count = mesh.workloads.iter().filter(|workload| plugin.selects(workload)).count();
    u32::try_from(count.next_power_of_two()).unwrap_or(u32::MAX)
}

/// What holds for the canaries of a service: of those for which nothing but the usual does, nothing.
fn orders(mesh: &Mesh, hosts: &[String]) -> Vec<canary::Order> {
    let concerned = mesh.orders.iter().filter(|(name, _)| hosts.first() == Some(&name.service));
    let order = |(name, order): (&Name, &Order)| canary::Order {
        canary: name.canary.clone(),
        share: order.share.into(),
        since: order.since,
        round: order.round,
    };
    concerned.map(order).collect()
}

/// The destination that a route splitting the requests to one of the hosts names first.
pub(super) fn first(mesh: &Mesh, hosts: &[String]) -> Option<String> {
    let concerns = |choice: &RouteDestination| hosts.contains(&choice.destination.host);
    let routes = mesh.virtual_services.iter().flat_map(|service| &service.http).filter(|route| route.route.len() > 1);
    let route = routes.into_iter().find(|route| route.route.iter().any(concerns))?;
    let stable = route.route.first().map(|choice| name_of(choice).to_string());
    stable.filter(|stable| is_taken(&canary::Canary { stable: Some(stable.clone()), ..canary::Canary::default() }))
}

/// Whether filters take a canary with this.
fn is_taken(canary: &canary::Canary) -> bool {
    let canary = canary::Canary { hosts: vec!["host".into()], ..canary.clone() };
    canary::Policy::try_from(&canary::Config { version: 1, canaries: vec![canary], ..canary::Config::default() }).is_ok()
}

/// By what the DestinationRule of one of the hosts tells requests apart, if one does: all of it, else one of its ports, else a subset.
fn hashed_by(mesh: &Mesh, workload: &Workload, hosts: &[String]) -> Vec<KeySource> {
    let rules = hosts.iter().filter_map(|host| mesh.rule(&workload.namespace, host));
    let policies = rules.flat_map(|rule| rule.policy.iter().chain(rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref())));
    let mut balancers = policies.flat_map(|policy| {
        let of_ports = policy.port_level_settings.iter().map(|settings| &settings.load_balancer);
        std::iter::once(&policy.load_balancer).chain(of_ports).flatten()
    });
    let Some(hash) = balancers.find_map(|balancer| balancer.consistent_hash.as_ref()) else { return Vec::new() };
    let by_address = hash.use_source_ip.unwrap_or_default().then_some(KeySource::SourceAddress(SourceAddress {}));
    let named = hash.http_header_name.clone().map(KeySource::Header);
    let named = named.or(hash.http_cookie.as_ref().map(|cookie| KeySource::Cookie(cookie.name.clone())));
    let key = named.or(hash.http_query_parameter_name.clone().map(KeySource::Query)).or(by_address).into_iter().collect();
    // Envoy hashes by some that no filter finds, such as `:authority`.
    Some(key).filter(|key: &Vec<_>| is_taken(&canary::Canary { key: key.clone(), ..canary::Canary::default() })).unwrap_or_default()
}

/// How policies name a destination: by its subset, else by the first label of its host.
pub(crate) fn name_of(choice: &RouteDestination) -> &str {
    match choice.destination.subset.as_str() {
        "" => first_label(&choice.destination.host),
        subset => subset,
    }
}

/// Cookies are handed out at gateways; behind them they are found.
fn not_minted(source: KeySource) -> KeySource {
    match source {
        KeySource::Mint(mint) => KeySource::Cookie(mint.name),
        other => other,
    }
}

/// The full names of a plugin's hosts.
pub(super) fn full_names(mesh: &Mesh, plugin: &Plugin, hosts: &[String]) -> Vec<String> {
    hosts.iter().map(|host| full_name(host, &plugin.namespace, &mesh.domain)).collect()
}

/// What requests for the named hosts may end at: these hosts, the services among them, and the destinations of their VirtualServices.
pub(super) fn destinations(mesh: &Mesh, plugin: &Plugin, named: &[String]) -> Vec<String> {
    let is_named = |host: &str| named.iter().any(|pattern| matches(pattern, host));
    let concerns = |service: &&VirtualService| {
        (plugin.namespace == ROOT_NAMESPACE || service.is_visible_in(&plugin.namespace)) && service.hosts.iter().any(|host| is_named(host))
    };
    let routes = mesh.virtual_services.iter().filter(concerns).flat_map(|service| &service.http);
    let routed = routes.flat_map(|route| &route.route).map(|choice| choice.destination.host.clone());
    let services = mesh.services.keys().filter(|host| is_named(host)).cloned();
    let found: BTreeSet<String> = services.chain(routed).collect();
    named.iter().filter(|host| !host.contains('*')).cloned().chain(found).collect()
}

/// Each host once, and none that an earlier policy has taken.
fn unclaimed(hosts: Vec<String>, taken: impl Fn(&str) -> bool) -> Vec<String> {
    let mut seen = BTreeSet::new();
    hosts.into_iter().filter(|host| !taken(host) && seen.insert(host.clone())).collect()
}

/// The other zones where a service's pods are, ready or not (so that a pod that goes changes no filter's configuration),
/// in the order in which they fail over; those of one rank together.
fn zones(mesh: &Mesh, workload: &Workload, setting: &LocalityLbSetting, host: &str) -> Vec<Vec<String>> {
    let Some(service) = mesh.services.get(host) else { return Vec::new() };
    let mut tiers: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let others =
        mesh.pods(service).filter(|pod| !pod.locality.zone.is_empty() && pod.locality.zone_name() != workload.locality.zone_name());
    let mut ranked: Vec<_> = others.map(|pod| (priority::of_endpoint(workload, pod, setting), pod.locality.zone_name())).collect();
    ranked.sort();
    // A zone whose pods are of several ranks is of the first.
    for (rank, zone) in ranked.into_iter().filter(|(_, zone)| known.insert(zone.clone())) {
        tiers.entry(rank).or_default().insert(zone);
    }
    tiers.into_values().map(|zones| zones.into_iter().collect()).collect()
}
