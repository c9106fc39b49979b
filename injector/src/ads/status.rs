//! What `/debug/syncz` answers: how every connected node stands, and what is wrong with the user's objects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use weir_mesh::finding::Finding;
use weir_mesh::snapshot::Type;

/// The whole answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Syncz {
    /// The connected nodes, sorted.
    pub nodes: Vec<NodeStatus>,
    /// What is wrong with the user's objects.
    pub findings: Vec<FindingStatus>,
}

/// One node's stream.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node id.
    pub node: String,
    /// `delta` or `sotw`.
    pub protocol: String,
    /// By the type's short name: `CDS`, `EDS`, `LDS`, `RDS`, `ECDS`.
    pub types: BTreeMap<String, TypeStatus>,
}

/// How each type of a stream stands.
pub type NodeTypes = BTreeMap<Type, TypeStatus>;

/// How one type of a stream stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypeStatus {
    /// In one word.
    pub state: State,
    /// How many resources the node was told.
    pub resources: usize,
    /// Hash of their names and versions.
    pub version: String,
    /// Responses that the node has not answered.
    pub unanswered: usize,
    /// Names that the node asked for and that do not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Resources that the node rejected and has not got since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejection>,
}

/// A type's state in one word, as `istioctl proxy-status` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The node has all that it should have.
    Synced,
    /// Something is on its way, or waits for its turn.
    Stale,
    /// The node rejected something and keeps what it had.
    Nacked,
    /// The node has not asked, or is no pod of the mesh that we know.
    NotSent,
}

/// A resource that a node rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The resource.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The user's objects that it was made from.
    pub objects: Vec<String>,
    /// The node's reason.
    pub reason: String,
}

/// A finding, also as the one line that people read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindingStatus {
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// As `weir analyze` prints it.
    pub text: String,
    /// `Kind namespace/name`.
    pub object: String,
    /// What else a [`Finding`] says: code, field, place, message.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl FindingStatus {
    /// Whether it concerns a namespace: one of its objects, or what may be one.
    pub fn is_of(&self, namespace: &str) -> bool {
        match self.object.split_once(' ') {
            None => true,
            Some((kind, name)) => name.split_once('/').map_or(kind == "Namespace" && name == namespace, |(inside, _)| inside == namespace),
        }
    }
}

impl From<&Finding> for FindingStatus {
    fn from(finding: &Finding) -> Self {
        let mut more = match serde_json::to_value(finding) {
            Ok(Value::Object(more)) => more,
            _ => Map::new(),
        };
        for named in ["severity", "object"] {
            more.remove(named);
        }
        FindingStatus { severity: finding.severity.to_string(), text: finding.to_string(), object: finding.object.clone(), more }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Synced => "SYNCED",
            State::Stale => "STALE",
            State::Nacked => "NACKED",
            State::NotSent => "NOT SENT",
        })
    }
}

/// The name that people use for the discovery service of a type.
pub fn short(kind: Type) -> &'static str {
    match kind {
        Type::Cluster => "CDS",
        Type::ClusterLoadAssignment => "EDS",
        Type::Listener => "LDS",
        Type::RouteConfiguration => "RDS",
        Type::ExtensionConfig => "ECDS",
    }
}

/// One version for many resources, given as sorted names and versions: the same resources, the same version.
pub fn version_of<'a>(resources: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hash = Sha256::new();
    for (name, version) in resources {
        for part in [name, version] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_concerns_the_namespace_of_its_object_and_one_of_a_file_all() {
        let is_of = |object: &str| {
            let finding = FindingStatus { severity: String::new(), text: String::new(), object: object.into(), more: Map::new() };
            finding.is_of("shop")
        };
        for (object, expected) in [("", true), ("Pod shop/a", true), ("Namespace shop", true), ("Pod bank/a", false), ("Node shop", false)]
        {
            assert_eq!(is_of(object), expected, "{object}");
        }
    }
}
