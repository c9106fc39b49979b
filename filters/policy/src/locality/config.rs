//! The locality policy as it is written: in a WasmPlugin's `pluginConfig` by a user, and, compiled, in Envoy's filter.

use crate::Error;
use crate::json::{Decimal, Object, Read, Value};
use serde::Serialize;

/// The configuration of the locality filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(
        title = "Weir locality filter",
        extend("examples" = [{
            "version": 1,
            "price": {"perGB": 0.02},
            "services": [{"hosts": ["order-history", "*.stock.svc.cluster.local"], "servedBy": true, "spill": {"targetUtilization": 0.8}}]
        }])
    )
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The version of this configuration: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1), extend("examples" = [1])))]
    pub version: u32,
    /// Filled in by the control plane, for what it sends: only the routes of these hosts run the filter. So where there is one service, it
    /// is this one that a request is for.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    /// Where this proxy runs; filled in by the control plane. Without it no zone is ever named.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<Locality>,
    /// What traffic between zones costs. With it the filter counts what goes from zone to zone, why, and what that costs.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"perGB": 0.02}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// One entry per service.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"hosts": ["order-history"]}]])))]
    pub services: Vec<Service>,
}

/// What traffic between zones costs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Price {
    /// The price of a gigabyte (10^9 bytes) from one zone to another, in any currency.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [0.02])))]
    #[serde(rename = "perGB")]
    pub per_gb: Decimal,
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
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("examples" = [["order-history"]])))]
    pub hosts: Vec<String>,
    /// Whether responses tell who served them: `x-weir-served-by: ZONE/ADDRESS`.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [true]), extend("default" = false)))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served_by: bool,
    /// When requests leave the own zone that still serves: before its endpoints are overloaded. Without it they leave when it fails.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spill: Option<Spill>,
    /// Filled in by the control plane: the other zones of the service, `REGION/ZONE`, in tiers: the preferred ones first.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Vec<String>>,
}

/// Sends to other zones what the own one cannot take: as little as keeps its endpoints about as busy as the target says, by how long they
/// take to answer, compared with the other zones'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Spill {
    /// How busy the endpoints of the own zone may be before requests leave it: from 0.5 to 0.95.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.5, max = 0.95), extend("examples" = [0.7])))]
    pub target_utilization: Decimal,
}

impl Default for Spill {
    fn default() -> Self {
        Self { target_utilization: Decimal::from_millionths(800_000) }
    }
}

impl Read for Config {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .required("version", &mut read.version)
            .or("routed", &mut read.routed)
            .filled_in()
            .optional("locality", &mut read.locality)
            .filled_in()
            .optional("price", &mut read.price)
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
        Object::of(value)?
            .required("hosts", &mut read.hosts)
            .or("servedBy", &mut read.served_by)
            .optional("spill", &mut read.spill)
            .or("zones", &mut read.zones)
            .filled_in()
            .end()?;
        Ok(read)
    }
}

impl Read for Price {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?.required("perGB", &mut read.per_gb).end()?;
        Ok(read)
    }
}

impl Read for Spill {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?.or("targetUtilization", &mut read.target_utilization).end()?;
        Ok(read)
    }
}
