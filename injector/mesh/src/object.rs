//! Objects as users write them: reading, validating, and keeping the last good state of each.

use crate::finding::{Finding, Place};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::IPAddress;
use std::collections::BTreeMap;
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
    /// Where its document starts.
    pub place: Place,
    /// The kind and what it says.
    pub kind: Kind,
}

/// The kinds that Weir reads, with their contents. Istio's kinds are added here.
#[derive(Clone, Debug)]
pub enum Kind {
    /// v1 Namespace
    Namespace(Namespace),
    /// v1 Service
    Service(Service),
    /// v1 Pod
    Pod(Box<Pod>),
    /// apps/v1 Deployment
    Deployment(Box<Deployment>),
    /// networking.k8s.io/v1 IPAddress: the ClusterIP of a Service that names none itself.
    IpAddress(IPAddress),
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
}

/// An object, or a whole file, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The file is no YAML: all its objects keep their last good state.
    File(PathBuf),
    /// The object is not valid.
    Object(Key),
}

/// The objects in force.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    by_key: BTreeMap<Key, Arc<Object>>,
}

/// Reads files in their order; later files override objects of earlier ones (a warning when both stand in the same file).
/// An object with `metadata.deletionTimestamp` removes one of the same key.
pub fn read(_files: &[SourceFile]) -> Read {
    Read::default()
}

impl Objects {
    /// The state after a reading: its objects, and of what it rejected the last good state, if there was one.
    pub fn update(&self, read: Read) -> Objects {
        Objects { by_key: read.objects.into_iter().map(|object| (object.key.clone(), Arc::new(object))).collect() }
    }

    /// All objects, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.by_key.values()
    }
}
