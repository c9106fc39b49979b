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
pub(crate) mod yaml;

pub use duration::Span;
pub use kept::{Kept, keep};
pub use read::{read, read_value};
pub use yaml::{Document, Positions, YamlError, documents};

use crate::finding::{Finding, Place, Severity};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IPAddress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Empty for Namespace, Node and IPAddress; `default` where the manifest names none.
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
    /// v1 Node: where its pods are
    Node(Box<Node>),
    /// v1 Service
    Service(Box<Service>),
    /// v1 Pod
    Pod(Box<Pod>),
    /// apps/v1 Deployment
    Deployment(Box<Deployment>),
    /// networking.k8s.io/v1 IPAddress: the ClusterIP of a Service that names none itself.
    IpAddress(IPAddress),
    /// discovery.k8s.io/v1 EndpointSlice: the endpoints of a Service that selects no pods.
    EndpointSlice(Box<EndpointSlice>),
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
    /// Objects of kinds that Weir does not read.
    pub ignored: Vec<String>,
    /// The files, and files and folders that cannot be read, in their order: later ones override earlier ones.
    pub files: Vec<PathBuf>,
}

/// An object, or a whole file, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// A part of the file is no YAML or an object without a name, or the file or folder cannot be read: all its objects that were not
    /// read keep their last good state.
    File(PathBuf),
    /// The object is not valid.
    Object(Key),
}

/// The objects in force.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    by_key: BTreeMap<Key, Arc<Object>>,
}

/// An object's name as messages have it.
fn shown(kind: &str, namespace: &str, name: &str) -> String {
    match namespace {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.kind, &self.namespace, &self.name))
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
        let order: BTreeMap<&Path, usize> = read.files.iter().enumerate().map(|(i, path)| (path.as_path(), i)).collect();
        // A file in a folder that cannot be read has the folder's place.
        let place = |object: &Object| object.source.ancestors().find_map(|path| order.get(path).copied());
        let mut by_key: BTreeMap<Key, Arc<Object>> =
            read.objects.into_iter().map(|object| (object.key.clone(), Arc::new(object))).collect();
        let is_rejected = |key: &Key, object: &Object| {
            read.rejected.iter().any(|rejected| match rejected {
                Rejected::Object(other) => other == key,
                Rejected::File(path) => object.source.starts_with(path),
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

    /// Says of what was rejected that it stays as it was `before`, where it does.
    pub fn note_kept(&self, before: &Objects, findings: &mut [Finding]) {
        let same = |key: &Key, object: &Arc<Object>| before.get(key).is_some_and(|before| Arc::ptr_eq(before, object));
        let kept: Vec<_> = self.by_key.iter().filter(|(key, object)| same(key, object)).collect();
        for finding in findings.iter_mut().filter(|finding| finding.severity == Severity::Error) {
            if finding.object.is_empty() && kept.iter().any(|(_, object)| object.source.starts_with(&finding.place.file)) {
                finding.message.push_str("; what the file said before stays in force");
            } else if kept.iter().any(|(key, _)| key.to_string() == finding.object) {
                finding.message.push_str("; what the object said before stays in force");
            }
        }
    }

    /// The same with other objects in the place of their namesakes; a key with none is removed.
    pub fn with<'a>(&self, layer: impl IntoIterator<Item = (&'a Key, Option<&'a Arc<Object>>)>) -> Objects {
        let mut by_key = self.by_key.clone();
        for (key, object) in layer {
            match object {
                Some(object) => drop(by_key.insert(key.clone(), object.clone())),
                None => drop(by_key.remove(key)),
            }
        }
        Objects { by_key }
    }

    /// The object of this key.
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.by_key.get(key)
    }

    /// All objects, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.by_key.values()
    }
}

#[cfg(test)]
mod tests;
