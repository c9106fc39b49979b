//! Objects as users write them: reading, validating, and keeping the last good state of each.

pub mod destination_rule;
mod duration;
mod format;
pub mod gateway;
mod kept;
mod parse;
mod read;
mod regex;
mod unsupported;
mod validate;
pub mod virtual_service;
pub mod wasm_plugin;
mod yaml;

pub use duration::Span;
pub use kept::{Kept, keep};
pub use read::read;
pub use yaml::Positions;

use crate::finding::{Finding, Place, Severity};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::IPAddress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One file's text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Its text: YAML (JSON is YAML too), one or more documents.
    pub text: String,
}

/// What identifies an object: kind, namespace (empty where the kind has none), name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `VirtualService`, `Pod`, ...
    pub kind: &'static str,
    /// Empty for Namespace and IPAddress; `default` where the manifest names none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// An object of a kind that Weir reads.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its identity.
    pub key: Key,
    /// `metadata`.
    pub meta: ObjectMeta,
    /// The file that it was read from.
    pub source: PathBuf,
    /// Where its user wrote it: the source, unless that holds it for another file.
    pub place: Place,
    /// Where its fields stand.
    pub positions: Positions,
    /// All that it says, as read.
    pub value: Value,
    /// The kind and what it says.
    pub kind: Kind,
}

/// The kinds that Weir reads, with their contents.
#[derive(Clone, Debug)]
pub enum Kind {
    /// v1 Namespace
    Namespace(Namespace),
    /// v1 Service
    Service(Box<Service>),
    /// v1 Pod
    Pod(Box<Pod>),
    /// apps/v1 Deployment
    Deployment(Box<Deployment>),
    /// networking.k8s.io/v1 IPAddress: the ClusterIP of a Service that names none itself.
    IpAddress(IPAddress),
    /// networking.istio.io Gateway
    Gateway(gateway::Gateway),
    /// networking.istio.io VirtualService
    VirtualService(virtual_service::VirtualService),
    /// networking.istio.io DestinationRule
    DestinationRule(destination_rule::DestinationRule),
    /// extensions.istio.io WasmPlugin
    WasmPlugin(Box<wasm_plugin::WasmPlugin>),
}

/// What reading files gave.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The valid objects. Of two with one key the later file's counts.
    pub objects: Vec<Object>,
    /// What is wrong, with file and line.
    pub findings: Vec<Finding>,
    /// What was rejected, so that its last good state stays.
    pub rejected: Vec<Rejected>,
    /// What a `deletionTimestamp` removed: no last good state of it comes back.
    pub deleted: BTreeSet<Key>,
    /// The files in their order: later ones override earlier ones.
    pub files: Vec<PathBuf>,
}

/// An object, or a whole file, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// A part of the file is no YAML: all its objects that were not read keep their last good state.
    File(PathBuf),
    /// The object is not valid.
    Object(Key),
}

/// The objects in force.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    by_key: BTreeMap<Key, Arc<Object>>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl Object {
    /// A finding about one of the object's fields.
    pub fn finding(&self, severity: Severity, code: Option<&'static str>, field: &str, message: String) -> Finding {
        finding(&self.key, &self.place, &self.positions, severity, code, field, message)
    }
}

fn finding(
    key: &Key,
    place: &Place,
    positions: &Positions,
    severity: Severity,
    code: Option<&'static str>,
    field: &str,
    message: String,
) -> Finding {
    let (line, column) = positions.find(field);
    let place = Place { file: place.file.clone(), line, column };
    Finding { severity, code, object: key.to_string(), field: field.into(), place, message, snippet: String::new() }
}

impl Objects {
    /// The state after a reading: its objects, and of what it rejected the last good state, if there was one. A last good
    /// state stands where its file stands: it gives way to a later file's object, not to an earlier one's.
    pub fn update(&self, read: Read) -> Objects {
        let order: BTreeMap<&PathBuf, usize> = read.files.iter().enumerate().map(|(i, path)| (path, i)).collect();
        let place = |object: &Object| order.get(&object.source).copied();
        let mut by_key: BTreeMap<Key, Arc<Object>> =
            read.objects.into_iter().map(|object| (object.key.clone(), Arc::new(object))).collect();
        let is_rejected = |key: &Key, object: &Object| {
            read.rejected.iter().any(|rejected| match rejected {
                Rejected::Object(other) => other == key,
                Rejected::File(path) => object.source == *path,
            })
        };
        for (key, object) in self.by_key.iter().filter(|(key, object)| is_rejected(key, object) && !read.deleted.contains(key)) {
            let newer = by_key.get(key).map(|object| place(object));
            if newer.is_none_or(|newer| newer < place(object)) {
                by_key.insert(key.clone(), object.clone());
            }
        }
        Objects { by_key }
    }

    /// All objects, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.by_key.values()
    }
}
