//! Policies that name what is not there, or that another one comes before.

use super::NOT_FOUND;
use super::suggestion::{among, suggestion};
use crate::finding::{Finding, Severity};
use crate::mesh::plugin::{self, Filter, Plugin};
use crate::mesh::policy::{destinations, full_names, name_of};
use crate::mesh::service::subset_of;
use crate::mesh::workload::Workload;
use crate::mesh::{Mesh, ROOT_NAMESPACE, host};
use crate::object::virtual_service::HttpRoute;
use crate::object::wasm_plugin::WasmPlugin;
use crate::object::{Kind, Object, Objects};
use std::collections::{BTreeSet, HashMap};
use weir_policy::canary::{Canary, Config, KeySource, Override};

struct Check<'a> {
    mesh: &'a Mesh,
    object: &'a Object,
    findings: &'a mut Vec<Finding>,
}

pub(super) fn analyze(mesh: &Mesh, object: &Object, spec: &WasmPlugin, findings: &mut Vec<Finding>) {
    let mut check = Check { mesh, object, findings };
    for (i, _) in spec.matches.iter().enumerate().filter(|(_, selector)| !selector.ports.is_empty()) {
        check.warn(None, &format!("spec.match[{i}].ports"), "Weir does not tell ports apart; the plugin runs on all of them".into());
    }
    let Some(Ok(filter)) = plugin::own_policy(spec) else { return };
    if hosts(&filter).is_empty() && !matches!(&filter, Filter::Canary(config) if config.passport.is_some()) {
        check.warn(None, &format!("spec.pluginConfig.{}", list(&filter)), "the list is empty, so the plugin does nothing".into());
    }
    for (i, hosts) in hosts(&filter).into_iter().enumerate() {
        check.hosts(&format!("spec.pluginConfig.{}[{i}].hosts", list(&filter)), hosts);
    }
    // A plugin whose module is missing has no effect at all.
    let name = object.key.to_string();
    let Some(place) = mesh.plugins.iter().position(|plugin| plugin.object == name) else { return };
    let (earlier, rest) = mesh.plugins.split_at(place);
    if let Some(plugin @ Plugin { filter: Filter::Canary(config), .. }) = rest.first() {
        check.canaries(plugin, config, earlier);
    }
}

/// Finds entries of policies that have no effect, since an earlier one has their hosts: of the same plugin, or of one that runs where it does.
pub(super) fn rivals(mesh: &Mesh, objects: &Objects, findings: &mut Vec<Finding>) {
    let of_plugins = objects.iter().filter(|object| matches!(object.kind, Kind::WasmPlugin(_)));
    let objects: HashMap<String, &Object> = of_plugins.map(|object| (object.key.to_string(), object.as_ref())).collect();
    let runs_at = |plugin: &Plugin| mesh.workloads.iter().filter(|workload| plugin.selects(workload)).collect();
    let places: Vec<Vec<&Workload>> = mesh.plugins.iter().map(runs_at).collect();
    // By host, which plugins' entries have it.
    let mut claims: HashMap<(&str, String), Vec<(usize, usize)>> = HashMap::new();
    for (place, (plugin, own)) in mesh.plugins.iter().zip(&places).enumerate() {
        let Some(object) = objects.get(&plugin.object) else { continue };
        let list = list(&plugin.filter);
        let comes_first =
            |(other, _): &&(usize, usize)| *other == place || mesh.plugins.get(*other).is_some_and(|other| meet(other, plugin, own));
        for (i, hosts) in hosts(&plugin.filter).into_iter().enumerate() {
            let mut claimed = BTreeSet::new();
            for (j, (written, name)) in hosts.iter().zip(full_names(mesh, plugin, hosts)).enumerate() {
                let found = destinations(mesh, plugin, std::slice::from_ref(&name));
                let first = |host: &String| claims.get(&(list, host.clone()))?.iter().find(comes_first).copied();
                // What a wildcard covers beside these may come yet.
                let firsts: Option<Vec<_>> = if written.contains('*') { None } else { found.iter().map(first).collect() };
                if let Some((other, entry)) = firsts.and_then(|firsts| firsts.first().copied()) {
                    let reason = match mesh.plugins.get(other) {
                        Some(other) if other.object != plugin.object => {
                            format!("{} has a policy for it, which comes first where both run", other.object)
                        }
                        _ => format!("{list}[{entry}] has it already"),
                    };
                    let message = format!("this has no effect for {name}: {reason}; leave out one of them");
                    findings.push(object.finding(Severity::Warning, None, &format!("spec.pluginConfig.{list}[{i}].hosts[{j}]"), message));
                }
                claimed.extend(found);
            }
            claimed.into_iter().for_each(|host| claims.entry((list, host)).or_default().push((place, i)));
        }
    }
}

fn list(filter: &Filter) -> &'static str {
    if matches!(filter, Filter::Locality(_)) { "services" } else { "canaries" }
}

/// The hosts of each entry of a policy.
fn hosts(filter: &Filter) -> Vec<&[String]> {
    match filter {
        Filter::Canary(config) => config.canaries.iter().map(|canary| canary.hosts.as_slice()).collect(),
        Filter::Locality(config) => config.services.iter().map(|service| service.hosts.as_slice()).collect(),
        Filter::Foreign { .. } => Vec::new(),
    }
}

/// Whether a plugin runs where another one does, at some of its `own` workloads; where none is known, whether it would wherever the other
/// one did.
fn meet(earlier: &Plugin, plugin: &Plugin, own: &[&Workload]) -> bool {
    if !own.is_empty() {
        return own.iter().any(|workload| earlier.selects(workload));
    }
    [ROOT_NAMESPACE, &plugin.namespace].contains(&earlier.namespace.as_str()) && subset_of(&earlier.selector, &plugin.selector)
}

impl Check<'_> {
    fn warn(&mut self, code: Option<&'static str>, field: &str, message: String) {
        self.findings.push(self.object.finding(Severity::Warning, code, field, message));
    }

    fn hosts(&mut self, at: &str, hosts: &[String]) {
        let mesh = self.mesh;
        for (j, name) in hosts.iter().enumerate() {
            let name = host::full_name(name, &self.object.key.namespace, &mesh.domain);
            let routed = mesh.virtual_services.iter().flat_map(|owner| &owner.hosts);
            if !mesh.services.keys().chain(routed).any(|known| host::matches(&name, known)) {
                let message = format!("there is no service {name}, so the policy has no effect for it{}", suggestion(mesh, &name));
                self.warn(NOT_FOUND, &format!("{at}[{j}]"), message);
            }
        }
    }

    fn canaries(&mut self, plugin: &Plugin, config: &Config, earlier: &[Plugin]) {
        let mesh = self.mesh;
        let at = "spec.pluginConfig";
        if let Some(passport) = &config.passport {
            let own: Vec<&Workload> = mesh.workloads.iter().filter(|workload| plugin.selects(workload)).collect();
            if let Some(first) = earlier.iter().find(|other| other.passport().is_some() && meet(other, plugin, &own)) {
                let message = format!("{} has passports, and where both run only the first counts: leave out one of them", first.object);
                self.warn(None, &format!("{at}.passport"), message);
            }
            let makes = |other: &Plugin| other.passport().is_some() && self.lacks_gateways(other).is_none();
            if let Some(gateways) = self.lacks_gateways(plugin).filter(|_| !mesh.plugins.iter().any(makes)) {
                let message = format!("no gateway runs this, so nobody gets a passport: {gateways}");
                self.warn(None, &format!("{at}.passport"), message);
            }
            let routes: Vec<&HttpRoute> = mesh.virtual_services.iter().flat_map(|service| &service.http).collect();
            self.overrides(&format!("{at}.passport.override"), &passport.overrides, &routes);
        }
        for (i, canary) in config.canaries.iter().enumerate() {
            let at = format!("{at}.canaries[{i}]");
            self.mint(&at, plugin, canary);
            self.sources(&at, plugin, canary);
            let hosts: BTreeSet<String> = destinations(mesh, plugin, &full_names(mesh, plugin, &canary.hosts)).into_iter().collect();
            let concerns = |route: &&HttpRoute| route.route.iter().any(|choice| hosts.contains(&choice.destination.host));
            let routes: Vec<&HttpRoute> = mesh.virtual_services.iter().flat_map(|service| &service.http).filter(concerns).collect();
            self.stable(&at, canary, &routes);
            self.overrides(&format!("{at}.override"), &canary.overrides, &routes);
        }
    }

    /// A stable that a route which splits requests has not.
    fn stable(&mut self, at: &str, canary: &Canary, routes: &[&HttpRoute]) {
        let Some(stable) = &canary.stable else { return };
        let has = |route: &&&HttpRoute| route.route.iter().any(|choice| name_of(choice) == stable);
        let splits: Vec<&&HttpRoute> = routes.iter().filter(|route| route.route.len() > 1).collect();
        // Of many services at once some may have no such destination.
        let is_for_many = canary.hosts.iter().any(|host| host.contains('*'));
        let lacking = splits.iter().find(|route| !has(route)).filter(|_| !is_for_many || !splits.iter().any(has));
        if let Some(lacking) = lacking {
            let names: Vec<&str> = lacking.route.iter().map(name_of).collect();
            let (first, near) = (names.first().copied().unwrap_or_default(), among(names.iter().copied(), stable));
            let message = format!(
                "a route to these hosts has no destination {stable}, but {}{near}: of that one the first, {first}, is the stable",
                names.join(", ")
            );
            self.warn(NOT_FOUND, &format!("{at}.stable"), message);
        }
    }

    fn overrides(&mut self, at: &str, overrides: &[Override], routes: &[&HttpRoute]) {
        let names: BTreeSet<&str> = routes.iter().flat_map(|route| &route.route).map(name_of).collect();
        // Without any route it is the hosts that are missing.
        for (j, entry) in overrides.iter().enumerate().filter(|(_, entry)| !names.is_empty() && !names.contains(entry.subset.as_str())) {
            let near = among(names.iter().copied(), &entry.subset);
            let known: Vec<&str> = names.iter().copied().take(8).collect();
            let message =
                format!("no route has a destination {}, so the override has no effect{near}: there are {}", entry.subset, known.join(", "));
            self.warn(NOT_FOUND, &format!("{at}[{j}].subset"), message);
        }
    }

    /// A cookie that nobody hands out.
    fn mint(&mut self, at: &str, plugin: &Plugin, canary: &Canary) {
        let Some(KeySource::Mint(mint)) = canary.key.last() else { return };
        let mints = |keys: &[KeySource]| matches!(keys.last(), Some(KeySource::Mint(other)) if other.name == mint.name);
        let is_elsewhere = |other: &Plugin| match &other.filter {
            Filter::Canary(config) => {
                let passport = config.passport.as_ref().is_some_and(|passport| mints(&passport.key));
                (passport || config.canaries.iter().any(|canary| mints(&canary.key))) && self.lacks_gateways(other).is_none()
            }
            _ => false,
        };
        if let Some(gateways) = self.lacks_gateways(plugin).filter(|_| !self.mesh.plugins.iter().any(is_elsewhere)) {
            let message = format!("no gateway runs this, so nobody is given the cookie {}: {gateways}", mint.name);
            self.warn(None, &format!("{at}.key[{}].mint", canary.key.len() - 1), message);
        }
    }

    /// What to do where there are gateways and a plugin selects none of them.
    fn lacks_gateways(&self, plugin: &Plugin) -> Option<String> {
        let is_gateway = |workload: &&Workload| {
            self.mesh.gateways.values().any(|gateway| !gateway.selector.is_empty() && subset_of(&gateway.selector, &workload.labels))
        };
        let mut gateways = self.mesh.workloads.iter().filter(is_gateway).peekable();
        let first = gateways.peek()?.name.clone();
        (!gateways.any(|gateway| plugin.selects(gateway)))
            .then(|| format!("select {first} too, such as by a plugin in {ROOT_NAMESPACE} without a selector"))
    }

    /// Rules for callers that never have the policy.
    fn sources(&mut self, at: &str, plugin: &Plugin, canary: &Canary) {
        for (field, rules) in [("allow", &canary.allow), ("deny", &canary.deny)] {
            for (j, rule) in rules.iter().flatten().enumerate() {
                let namespace = rule.source.as_ref().and_then(|source| source.namespace.as_ref());
                if let Some(namespace) = namespace.filter(|name| plugin.namespace != ROOT_NAMESPACE && **name != plugin.namespace) {
                    let message = format!(
                        "the plugin runs in the namespace {} alone, so no request is of {namespace}: leave out the rule, or put the plugin into {ROOT_NAMESPACE}",
                        plugin.namespace
                    );
                    self.warn(None, &format!("{at}.{field}[{j}].source.namespace"), message);
                }
            }
        }
    }
}
