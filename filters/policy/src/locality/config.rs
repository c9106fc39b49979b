//! The locality policy as it is written: in a WasmPlugin's `pluginConfig` by a user, and, compiled, in Envoy's filter.

use crate::Error;
use crate::json::{Object, Read, Value};
use serde::Serialize;

/// The configuration of the locality filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "Weir locality filter"))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Locality {
    /// The region; empty where nodes have none.
    pub region: String,
    /// The zone.
    pub zone: String,
}

/// How requests to one service choose their zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
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

impl Read for Config {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .required("version", &mut read.version)
            .optional("locality", &mut read.locality)
            .required("services", &mut read.services)
            .end()?;
        Ok(read)
    }
}

impl Read for Locality {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?.required("region", &mut read.region).required("zone", &mut read.zone).end()?;
        Ok(read)
    }
}

impl Read for Service {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?.required("hosts", &mut read.hosts).or("servedBy", &mut read.served_by).or("zones", &mut read.zones).end()?;
        Ok(read)
    }
}
