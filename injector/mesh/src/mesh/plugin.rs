//! WasmPlugins: which filter runs where, and Weir's own policies in them.

use super::service::subset_of;
use super::workload::Workload;
use super::{Module, Options, ROOT_NAMESPACE, pull};
use crate::finding::{Finding, Severity};
use crate::object::wasm_plugin::{FailStrategy, Mode, Phase, WasmPlugin};
use crate::object::{Kind, Object, Objects};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use weir_policy::{canary, locality};

/// The name of the canary filter's module.
pub const CANARY: &str = "weir-canary";
/// The name of the locality filter's module.
pub const LOCALITY: &str = "weir-locality";

/// A filter and the workloads that it concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// `metadata.namespace`; the root namespace concerns all.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Labels of the workloads; empty: all.
    pub selector: BTreeMap<String, String>,
    /// Where in the chain, first.
    pub phase: Phase,
    /// Where in the phase: higher first, none last.
    pub priority: Option<i32>,
    /// Whether it concerns requests that the workload makes (and those of a gateway).
    pub client: bool,
    /// Whether it concerns requests that the workload gets.
    pub server: bool,
    /// Its code.
    pub module: Module,
    /// What runs.
    pub filter: Filter,
    /// The user's object.
    pub object: String,
}

/// What a plugin runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Weir's canary filter.
    Canary(canary::Config),
    /// Weir's locality filter.
    Locality(locality::Config),
    /// A module of the user's.
    Foreign {
        /// `pluginName`: the root id.
        name: String,
        /// `pluginConfig`.
        config: Option<serde_json::Value>,
        /// What happens when it fails.
        fail: FailStrategy,
    },
}

impl Plugin {
    /// The filter's name in a chain and its resource's name, as Istio has it.
    pub fn resource_name(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }

    /// Its policy of passports, if it has one.
    pub fn passport(&self) -> Option<&canary::Passport> {
        match &self.filter {
            Filter::Canary(config) => config.passport.as_ref(),
            _ => None,
        }
    }

    /// Whether a rule of its asks who calls.
    pub fn tells_callers_apart(&self) -> bool {
        let Filter::Canary(config) = &self.filter else { return false };
        let rules = config.canaries.iter().flat_map(|canary| canary.deny.iter().chain(&canary.allow)).flatten();
        rules.map(|rule| &rule.source).any(Option::is_some)
    }

    /// Whether it concerns a workload.
    pub fn selects(&self, workload: &Workload) -> bool {
        (self.namespace == ROOT_NAMESPACE || self.namespace == workload.namespace) && subset_of(&self.selector, &workload.labels)
    }
}

/// The module that a url names: the last segment of its path, without tag and `.wasm`.
pub(crate) fn module_name(url: &str) -> &str {
    let last = url.rsplit('/').next().unwrap_or(url);
    let name = last.split(['@', ':']).next().unwrap_or(last);
    name.strip_suffix(".wasm").unwrap_or(name)
}

/// Whether a url names an image, as Istio reads it: then a digest is the image's.
pub(crate) fn is_image(url: &str) -> bool {
    url.starts_with("oci://") || !url.contains("://")
}

/// The policy of one of Weir's own modules, or none for another module; an error names the JSON path.
pub(crate) fn own_policy(plugin: &WasmPlugin) -> Option<Result<Filter, weir_policy::Error>> {
    let json = plugin.plugin_config.clone().unwrap_or_default().to_string();
    match module_name(&plugin.url) {
        CANARY => Some(canary::Policy::read(json.as_bytes()).map(Filter::Canary)),
        LOCALITY => Some(locality::Policy::read(json.as_bytes()).map(Filter::Locality)),
        _ => None,
    }
}

pub(super) fn build(objects: &Objects, options: &Options, findings: &mut Vec<Finding>) -> Vec<Plugin> {
    let mut plugins = Vec::new();
    for object in objects.iter() {
        if let Kind::WasmPlugin(plugin) = &object.kind {
            let (module, fault) = module(object, plugin, options);
            if let Some((severity, field, message)) = fault {
                let effect = match module {
                    None => "the plugin has no effect",
                    Some(Module::Missing) => "requests get 503, since its failStrategy is not FAIL_OPEN",
                    Some(_) => "the module that was there stays in force",
                };
                findings.push(object.finding(severity, None, field, format!("{message}; {effect}")));
            }
            if let Some(module) = module {
                plugins.push((object.meta.creation_timestamp.clone(), resolve(object, plugin, module)));
            }
        }
    }
    // Istio's order: a plugin without a priority comes last, of equal ones those of the root namespace come first, then the oldest.
    plugins.sort_by_key(|(created, plugin)| {
        let order = (plugin.phase, Reverse(plugin.priority), plugin.namespace != ROOT_NAMESPACE);
        (order, created.clone(), plugin.name.clone(), plugin.namespace.clone())
    });
    plugins.into_iter().map(|(_, plugin)| plugin).collect()
}

/// Why a plugin has no effect: how bad that is, in which field, and what to do.
type Fault = (Severity, &'static str, String);

fn resolve(object: &Object, plugin: &WasmPlugin, module: Module) -> Plugin {
    let own = own_policy(plugin).and_then(Result::ok);
    let modes: Vec<Mode> = plugin.matches.iter().map(|selector| selector.mode).collect();
    let concerns =
        |mode: Mode| modes.is_empty() || modes.iter().any(|own| *own == mode || matches!(own, Mode::ClientAndServer | Mode::Undefined));
    Plugin {
        namespace: object.key.namespace.clone(),
        name: object.key.name.clone(),
        selector: plugin.selector.clone().unwrap_or_default().match_labels,
        phase: plugin.phase,
        priority: plugin.priority,
        client: concerns(Mode::Client),
        // Weir's own filters choose where a request goes: that is settled when it arrives.
        server: own.is_none() && concerns(Mode::Server),
        module,
        filter: own.unwrap_or_else(|| Filter::Foreign {
            name: plugin.plugin_name.clone(),
            config: plugin.plugin_config.clone(),
            fail: plugin.fail_strategy,
        }),
        object: object.key.to_string(),
    }
}

/// A plugin's module, and what is wrong.
fn module(object: &Object, plugin: &WasmPlugin, options: &Options) -> (Option<Module>, Option<Fault>) {
    let warning = |message: String| Some((Severity::Warning, "spec.url", message));
    if own_policy(plugin).and_then(Result::ok).is_some() {
        return match own_module(plugin, options) {
            Ok(module) => (Some(module), None),
            Err(fault) => (None, Some(fault)),
        };
    }
    if let Some(path) = plugin.url.strip_prefix("file://") {
        return (Some(Module::File { path: path.into(), sha256: None }), None);
    }
    match pull::source(object) {
        None => (None, warning(format!("{:?} is no url of a module: expected oci://, https://, http:// or file://", plugin.url))),
        Some(source) => {
            let (module, problem) = options.pulls.module(object, &source);
            // Istio's rule: what cannot be fetched fails as the plugin does. While it is on its way, all stays as it was.
            let failed = problem.as_ref().is_some_and(|(severity, _)| *severity == Severity::Error);
            let closed = failed && plugin.fail_strategy != FailStrategy::FailOpen;
            let module = module.or(closed.then_some(Module::Missing));
            (module, problem.map(|(severity, message)| (severity, "spec.url", message)))
        }
    }
}

fn own_module(plugin: &WasmPlugin, options: &Options) -> Result<Module, Fault> {
    let name = module_name(&plugin.url);
    let missing = || (Severity::Warning, "spec.url", format!("the module {name} is missing: run `make wasm`"));
    let module = options.modules.get(name).ok_or_else(missing)?;
    match module.sha256() {
        Some(sha256) if !plugin.sha256.is_empty() && !is_image(&plugin.url) && !plugin.sha256.eq_ignore_ascii_case(sha256) => {
            Err((Severity::Error, "spec.sha256", format!("the module {name} has the digest {sha256}, not {}", plugin.sha256)))
        }
        _ => Ok(module.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::module_name;

    #[test]
    fn a_module_is_named_by_the_last_segment_of_its_url() {
        for url in ["file:///etc/weir/weir-canary.wasm", "oci://hub/weir/weir-canary:v1", "hub/weir-canary@sha256:00", "weir-canary"] {
            assert_eq!(module_name(url), "weir-canary", "{url}");
        }
    }
}
