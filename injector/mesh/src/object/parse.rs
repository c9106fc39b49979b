//! One document as an object of a known kind; each field that does not fit is named by its path.

use super::read::Problems;
use super::{Kind, unsupported, validate};
use crate::finding::Severity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Kubernetes' schema is k8s-openapi's to know: its unknown fields are not reported.
const ISTIO_GROUPS: [&str; 2] = ["networking.istio.io", "extensions.istio.io"];

/// Each kind that Weir reads: its group and the group's versions, the newest first.
const KINDS: [(&str, &str, &[&str]); 11] = [
    ("Namespace", "", &["v1"]),
    ("Node", "", &["v1"]),
    ("Service", "", &["v1"]),
    ("Pod", "", &["v1"]),
    ("Deployment", "apps", &["v1"]),
    ("IPAddress", "networking.k8s.io", &["v1"]),
    ("EndpointSlice", "discovery.k8s.io", &["v1"]),
    ("Gateway", "networking.istio.io", &["v1", "v1beta1", "v1alpha3"]),
    ("VirtualService", "networking.istio.io", &["v1", "v1beta1", "v1alpha3"]),
    ("DestinationRule", "networking.istio.io", &["v1", "v1beta1", "v1alpha3"]),
    ("WasmPlugin", "extensions.istio.io", &["v1alpha1"]),
];

/// The kind, if it is one that Weir reads in that version.
pub(super) fn known_kind(api_version: &str, kind: &str) -> Option<&'static str> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let is_it = |(known, of, versions): &&(&str, &str, &[&str])| *known == kind && *of == group && versions.contains(&version);
    KINDS.iter().find(is_it).map(|(known, ..)| *known)
}

/// The `apiVersion` of a kind that Weir reads.
pub(super) fn api_version(kind: &str) -> String {
    let (group, version) =
        KINDS.iter().find(|(known, ..)| *known == kind).map_or(("", ""), |(_, group, versions)| (group, versions.first().unwrap_or(&"")));
    if group.is_empty() { version.to_string() } else { format!("{group}/{version}") }
}

/// The object's metadata and contents; none when a field has the wrong type.
pub(super) fn parse(known: &str, api_version: &str, mut value: Value, problems: &mut Problems) -> Option<(ObjectMeta, Kind)> {
    if ISTIO_GROUPS.iter().any(|group| api_version.starts_with(group)) {
        let meta: ObjectMeta = typed(value.get_mut("metadata").map(Value::take).unwrap_or_default(), "metadata", None, problems)?;
        // What goes need not be right: a removal names its object and no more.
        let reported = meta.deletion_timestamp.is_none().then_some(known);
        let mut spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
        drop_nulls(&mut spec);
        let kind = match known {
            "Gateway" => Kind::Gateway(typed(spec, "spec", reported, problems)?),
            "VirtualService" => Kind::VirtualService(typed(spec, "spec", reported, problems)?),
            "DestinationRule" => Kind::DestinationRule(typed(spec, "spec", reported, problems)?),
            _ => Kind::WasmPlugin(Box::new(typed(spec, "spec", reported, problems)?)),
        };
        return Some(valid(meta, kind, problems));
    }
    macro_rules! kubernetes {
        ($make:expr) => {{
            let object = typed(value, "", None, problems)?;
            valid(ObjectMeta::clone(metadata_of(&object)), $make(object), problems)
        }};
    }
    Some(match known {
        "Namespace" => kubernetes!(Kind::Namespace),
        "Node" => kubernetes!(|node| Kind::Node(Box::new(node))),
        "Service" => kubernetes!(|service| Kind::Service(Box::new(service))),
        "Pod" => kubernetes!(|pod| Kind::Pod(Box::new(pod))),
        "Deployment" => kubernetes!(|deployment| Kind::Deployment(Box::new(deployment))),
        "EndpointSlice" => kubernetes!(|slice| Kind::EndpointSlice(Box::new(slice))),
        _ => kubernetes!(Kind::IpAddress),
    })
}

/// Validates an object that is there to stay.
fn valid(meta: ObjectMeta, kind: Kind, problems: &mut Problems) -> (ObjectMeta, Kind) {
    if meta.deletion_timestamp.is_none() {
        validate::validate(&kind, problems);
    }
    (meta, kind)
}

fn metadata_of<T: k8s_openapi::Metadata<Ty = ObjectMeta>>(object: &T) -> &ObjectMeta {
    object.metadata()
}

/// Kubernetes treats a field that is null as one that is not there; a plugin's own configuration is not its business.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, field| !field.is_null());
            map.iter_mut().filter(|(name, _)| *name != "pluginConfig").for_each(|(_, field)| drop_nulls(field));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Reads `value` as a `T`; `at` is its path inside the object. Unknown fields are reported of a kind that is named.
fn typed<T: DeserializeOwned>(value: Value, at: &str, reported: Option<&str>, problems: &mut Problems) -> Option<T> {
    let value = if value.is_null() { Value::Object(Default::default()) } else { value };
    let join = |path: &str| match (at, path) {
        ("", path) => path.to_string(),
        (at, "." | "") => at.to_string(),
        (at, path) => format!("{at}.{path}"),
    };
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path| unknown.push(path.to_string());
    let mut track = serde_path_to_error::Track::new();
    let inner = serde_path_to_error::Deserializer::new(value, &mut track);
    let result = T::deserialize(serde_ignored::Deserializer::new(inner, &mut note));
    let mut is_whole = true;
    if let Some(kind) = reported {
        for path in unknown {
            // serde_ignored writes `http.0.?.name`; ours are written `http[0].name`.
            let path = join(&bracketed(&path));
            let (severity, message) = unsupported::verdict(kind, &path);
            is_whole &= severity != Severity::Error;
            problems.add(severity, &path, message.into());
        }
    }
    match result {
        Ok(parsed) => is_whole.then_some(parsed),
        Err(error) => {
            let path = join(&track.path().to_string());
            problems.add(Severity::Error, &path, error.to_string());
            None
        }
    }
}

fn bracketed(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}
