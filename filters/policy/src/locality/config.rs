//! The locality policy as it is written: in a WasmPlugin's `pluginConfig` by a user, and, compiled, in Envoy's filter.

use serde::{Deserialize, Serialize};

/// The configuration of the locality filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "Weir locality filter"))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Config {
    /// The version of this configuration: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub version: u32,
    /// Where this proxy runs; set by the control plane. Without it no zone is ever named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<Locality>,
    /// One entry per service.
    pub services: Vec<Service>,
}

/// A place, as in the Kubernetes labels `topology.kubernetes.io/region` and `/zone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Locality {
    /// The region; empty where nodes have none.
    pub region: String,
    /// The zone.
    pub zone: String,
}

/// How requests to one service choose their zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Service {
    /// The hosts of the service, as in a VirtualService: short names belong to the plugin's namespace, `*` is allowed.
    /// The filter is sent full names.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub hosts: Vec<String>,
    /// Whether responses tell who served them: `x-weir-served-by: ZONE/ADDRESS`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served_by: bool,
    /// The other zones of the service, `REGION/ZONE`, the preferred one first; set by the control plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
}
