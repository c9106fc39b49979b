//! What an injection leaves in the pod's annotation `sidecar.istio.io/status`, so that it can be repeated and taken back.
//!
//! The first five fields are Istio's, for tools that read them (Kiali). `weir` is ours.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The annotation.
pub const STATUS: &str = "sidecar.istio.io/status";

/// The contents of the annotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// Names of the init containers that are ours.
    pub init_containers: Vec<String>,
    /// Names of the containers that are ours.
    pub containers: Vec<String>,
    /// Names of the volumes that are ours.
    pub volumes: Vec<String>,
    /// Names of the pull secrets that are ours.
    pub image_pull_secrets: Vec<String>,
    /// The revision that injected.
    pub revision: String,
    /// What Istio does not record.
    pub weir: Own,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Own {
    /// Of each container of ours a digest of how it was made, before others changed it.
    pub digests: BTreeMap<String, String>,
    /// Labels that are ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Annotations that are ours, beside the status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<String>,
    /// Lists and maps that the pod had not, as JSON pointers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub created: Vec<String>,
    /// The user's containers that were merged into ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub originals: Vec<Original>,
    /// Probes that were rewritten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
}

/// A container as its user wrote it, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Original {
    /// `containers` or `initContainers`.
    pub list: String,
    /// Its place in the list.
    pub index: usize,
    /// All of it.
    pub container: Value,
}

/// A probe as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe {
    /// The container's name.
    pub container: String,
    /// `livenessProbe`, `readinessProbe` or `startupProbe`.
    pub probe: String,
    /// The port's number.
    pub port: u16,
    /// Its `tcpSocket`.
    pub tcp_socket: Value,
}

/// The annotation's text.
pub(super) fn text(pod: &Value) -> Option<&str> {
    pod.pointer("/metadata/annotations").and_then(|annotations| annotations.get(STATUS)).and_then(Value::as_str)
}

impl Status {
    /// Of a pod that Weir injected.
    pub fn of(pod: &Value) -> Option<Status> {
        serde_json::from_str(text(pod)?).ok()
    }

    /// The annotation's text.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether a pod that was injected so is as an injection of `now` would have it: nothing that ours is made from has changed, and
    /// all of it is still there. What others changed of ours does not count.
    pub fn holds(&self, now: &Status, pod: &Value) -> bool {
        let all_in = |list: &str, names: &[String]| {
            let items = pod.pointer(list).and_then(Value::as_array);
            let has = |name: &String| items.is_some_and(|items| items.iter().any(|item| name_of(item) == Some(name)));
            names.iter().all(has)
        };
        self.weir.digests == now.weir.digests
            && self.weir.probes == now.weir.probes
            && self.revision == now.revision
            && self.init_containers == now.init_containers
            && self.containers == now.containers
            && self.volumes == now.volumes
            && all_in("/spec/initContainers", &self.init_containers)
            && all_in("/spec/containers", &self.containers)
            && all_in("/spec/volumes", &self.volumes)
            && all_in("/spec/imagePullSecrets", &self.image_pull_secrets)
    }
}

/// The `name` of a container, volume or secret.
pub(super) fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}
