//! What an Envoy has other than the control plane would send it: names and versions of both sides, compared.

use super::join::names;
use super::show::TYPES;
use crate::ads::status::{NodeStatus, Rejection, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What `/debug/config` answers: by type and name.
pub type Wanted = BTreeMap<String, BTreeMap<String, Resource>>;

/// A resource as the control plane would send it.
#[derive(Clone, Debug, Deserialize)]
pub struct Resource {
    version: String,
    objects: Vec<String>,
}

/// The whole comparison.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// `POD.NAMESPACE`.
    pub name: String,
    /// The replica that it is connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<String>,
    /// By the type's short name.
    pub types: BTreeMap<String, Type>,
}

/// One type's.
#[derive(Debug, Serialize)]
pub struct Type {
    /// As the control plane sees it.
    pub state: State,
    /// How many resources the control plane would send.
    pub wanted: usize,
    /// How many Envoy has of it.
    pub has: usize,
    /// Where they differ, by name.
    pub differences: Vec<Difference>,
    /// What Envoy rejected.
    pub rejected: Vec<Rejection>,
}

/// A resource that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// In what.
    pub how: How,
    /// The user's objects that it was made from.
    pub objects: Vec<String>,
}

/// In what a resource differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// Envoy lacks it.
    Missing,
    /// The control plane would not send it.
    NotWanted,
    /// Envoy has another version.
    Version,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            How::Missing => "Envoy lacks it",
            How::NotWanted => "Envoy still has it",
            How::Version => "Envoy has another version",
        })
    }
}

/// Compares them.
pub fn compare(control_plane: Option<String>, status: &NodeStatus, wanted: &Wanted, dump: &Value) -> Compared {
    let has = versions(dump);
    let types = TYPES.map(|kind| {
        let empty = BTreeMap::new();
        let (wanted, mut has) = (wanted.get(kind).unwrap_or(&empty), has.get(kind).cloned().unwrap_or_default());
        // Envoy lists endpoints also of clusters that get none from a control plane.
        has.retain(|name, _| kind != "EDS" || wanted.contains_key(name));
        // In the state of the world all resources of a response have its version.
        let by_version = status.protocol == "delta";
        let names: BTreeSet<_> = wanted.keys().chain(has.keys()).collect();
        let differences = names.into_iter().filter_map(|name| {
            let how = match (wanted.get(name), has.get(name)) {
                (Some(_), None) => How::Missing,
                (None, _) => How::NotWanted,
                (Some(wanted), Some(Some(version))) if by_version && *version != wanted.version => How::Version,
                _ => return None,
            };
            let objects = wanted.get(name).map(|resource| resource.objects.clone()).unwrap_or_default();
            Some(Difference { name: name.clone(), how, objects })
        });
        let state = status.types.get(kind);
        let of = Type {
            state: state.map_or(State::NotSent, |status| status.state),
            wanted: wanted.len(),
            has: has.len(),
            differences: differences.collect(),
            rejected: state.map(|status| status.rejected.clone()).unwrap_or_default(),
        };
        (kind.to_string(), of)
    });
    let (namespace, name) = names(&status.node);
    Compared { name: format!("{name}.{namespace}"), control_plane, types: types.into() }
}

/// Names and versions of what an Envoy got from its control plane; Envoy tells no versions of endpoints.
fn versions(dump: &Value) -> BTreeMap<&'static str, BTreeMap<String, Option<String>>> {
    let mut types: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for part in dump["configs"].as_array().into_iter().flatten() {
        for (kind, list, name, version) in [
            ("CDS", "dynamic_active_clusters", "/cluster/name", "/version_info"),
            ("CDS", "dynamic_warming_clusters", "/cluster/name", "/version_info"),
            ("EDS", "dynamic_endpoint_configs", "/endpoint_config/cluster_name", "/version_info"),
            ("LDS", "dynamic_listeners", "/name", "/active_state/version_info"),
            ("RDS", "dynamic_route_configs", "/route_config/name", "/version_info"),
            ("ECDS", "ecds_filters", "/ecds_filter/name", "/version_info"),
        ] {
            let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_string);
            for value in part[list].as_array().into_iter().flatten() {
                if let Some(name) = text(value, name) {
                    types.entry(kind).or_default().insert(name, text(value, version));
                }
            }
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compared(protocol: &str) -> Compared {
        let status = NodeStatus { node: "sidecar~1.2.3.4~a-0.shop~shop.svc.x".into(), protocol: protocol.into(), types: BTreeMap::new() };
        let resource = |version: &str| json!({"version": version, "objects": ["Service shop/a"]});
        let wanted = json!({"CDS": {"same": resource("1"), "other": resource("2"), "new": resource("3")}, "EDS": {"same": resource("9")}});
        let cluster = |name: &str, version: &str| json!({"version_info": version, "cluster": {"name": name}});
        let dump = json!({"configs": [
            {"dynamic_active_clusters": [cluster("same", "1"), cluster("other", "1"), cluster("old", "1")]},
            {"dynamic_endpoint_configs": [{"endpoint_config": {"cluster_name": "same"}}, {"endpoint_config": {"cluster_name": "static"}}]},
            {"dynamic_listeners": [{"name": "l", "active_state": {"version_info": "5"}}]},
        ]});
        compare(None, &status, &serde_json::from_value(wanted).unwrap(), &dump)
    }

    fn found(compared: &Compared, kind: &str) -> Vec<(String, How)> {
        compared.types[kind].differences.iter().map(|difference| (difference.name.clone(), difference.how)).collect()
    }

    #[test]
    fn names_what_is_missing_what_should_have_gone_and_what_has_another_version() {
        let delta = compared("delta");
        let expected = [("new", How::Missing), ("old", How::NotWanted), ("other", How::Version)].map(|(name, how)| (name.to_string(), how));
        assert_eq!(found(&delta, "CDS"), expected);
        assert_eq!((found(&delta, "EDS"), delta.types["EDS"].has), (vec![], 1));
        assert_eq!(found(&delta, "LDS"), [("l".to_string(), How::NotWanted)]);
        assert_eq!(found(&compared("sotw"), "CDS"), expected[..2]);
    }

    #[test]
    fn shows_counts_then_the_differences_with_the_objects_behind_them() {
        let shown = super::super::show::comparison(&compared("delta"));
        assert!(
            shown.starts_with(
                "a-0.shop\n\nTYPE   STATE      CONTROL PLANE   ENVOY   DIFFERENT\nCDS    NOT SENT   3               3       3\n"
            ),
            "{shown}"
        );
        assert!(shown.contains("\nCDS    new     Envoy lacks it              Service shop/a\n"), "{shown}");
    }
}
