//! Modules that WasmPlugins name by `oci://`, `https://` or `http://`: somebody pulls them, and says here how that stands.

use super::Module;
use super::plugin::{is_image, own_policy};
use crate::finding::Severity;
use crate::object::wasm_plugin::{PullPolicy, WasmPlugin};
use crate::object::{Kind, Object};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be pulled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// As the user wrote it.
    pub url: String,
    /// What the image's manifest, or the file, must have for its digest; empty: anything. In lower case.
    pub sha256: String,
    /// Sources that differ in this are pulled each by itself: object and generation, where the policy is to pull always.
    pub revision: String,
}

/// How the pull for one object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// What was to be pulled.
    pub source: Source,
    /// The module, or the last that was there.
    pub module: Option<Module>,
    /// Why the source was not pulled (yet), and how bad that is.
    pub problem: Option<(Severity, String)>,
}

/// The modules that are pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pulls {
    /// None are: a plugin that needs one has no effect.
    #[default]
    Never,
    /// All are taken for there, by those who only look for what is wrong with objects.
    Assumed,
    /// These, by the object, as `WasmPlugin shop/auth`.
    Known(Arc<BTreeMap<String, Pulled>>),
}

/// It is on its way.
pub fn pending() -> (Severity, String) {
    (Severity::Warning, "the module is being pulled".to_string())
}

/// What an object needs to be pulled.
pub fn source(object: &Object) -> Option<Source> {
    let Kind::WasmPlugin(plugin) = &object.kind else { return None };
    if own_policy(plugin).is_some() || plugin.url.starts_with("file://") || !is_pullable(&plugin.url) {
        return None;
    }
    let generation = object.value.pointer("/metadata/generation").and_then(serde_json::Value::as_u64).unwrap_or_default();
    let revision = if always(plugin) { format!("{} {generation}", object.key) } else { String::new() };
    Some(Source { url: plugin.url.clone(), sha256: plugin.sha256.to_ascii_lowercase(), revision })
}

fn is_pullable(url: &str) -> bool {
    is_image(url) || ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
}

/// Istio's rule: a file that may be any is asked for again with every change of the object, an image where the user says so or its tag moves.
fn always(plugin: &WasmPlugin) -> bool {
    let last = plugin.url.rsplit('/').next().unwrap_or_default();
    match plugin.image_pull_policy {
        _ if !is_image(&plugin.url) => plugin.sha256.is_empty(),
        PullPolicy::Always => true,
        PullPolicy::IfNotPresent => false,
        PullPolicy::Unspecified => !last.contains('@') && (last.ends_with(":latest") || !last.contains(':')),
    }
}

impl Pulls {
    /// The module of an object, and what is wrong.
    pub(super) fn module(&self, object: &Object, wanted: &Source) -> (Option<Module>, Option<(Severity, String)>) {
        let known = match self {
            Pulls::Never => {
                return (None, Some((Severity::Warning, "modules are pulled on a cluster alone; here the url begins with file://".into())));
            }
            Pulls::Assumed => return (Some(Module::Served { sha256: wanted.sha256.clone() }), None),
            Pulls::Known(known) => known.get(&object.key.to_string()),
        };
        let module = known.and_then(|pulled| pulled.module.clone());
        let problem = match known {
            Some(pulled) if pulled.source == *wanted => pulled.problem.clone(),
            _ => Some(pending()),
        };
        (module, problem)
    }
}
