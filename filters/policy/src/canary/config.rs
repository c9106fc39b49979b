//! The canary policy as it is written: in a WasmPlugin's `pluginConfig` by a user, and, compiled, in Envoy's filter.

mod key;
mod rule;

pub use key::{KeySource, Mint, SameSite, SourceAddress};
pub use rule::{Caller, Match, Override, Rule};

use crate::Error;
use crate::json::{Object, Read, Value};
use serde::Serialize;

/// The configuration of the canary filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "Weir canary filter"))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The version of this configuration: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub version: u32,
    /// Filled in by the control plane, for what it sends: only the routes of these hosts run the filter. So where there is one
    /// canary, it is this one that a request is for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    /// Filled in by the control plane where a rule asks for it: whose requests the filter sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// Carries the user from the gateway to every hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<Passport>,
    /// One entry per service with a canary.
    pub canaries: Vec<Canary>,
}

/// A user's identity on the way through the mesh: a digest with a MAC, the member `weir` of the request's `baggage`
/// (<https://www.w3.org/TR/baggage/>). A gateway makes it; on later hops it comes before a canary's own `key`, if the apps in
/// between pass `baggage` on, as OpenTelemetry does. Where they do not, `key` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Passport {
    /// Where a gateway finds the user, in order. Without a user, it draws one for this request, so that all hops agree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeySource>,
    /// Requests that go to a subset of this name on every hop that has one, whatever the weights.
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Filled in by the control plane: this is a gateway. It makes passports, and believes none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edge: bool,
    /// Filled in by the control plane: the keys of the MAC that hold, of 64 hexadecimal digits each. A gateway uses the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// How users are dealt to the versions of one service. The weights stay in the service's route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Canary {
    /// The hosts of the service, as in a VirtualService: short names belong to the plugin's namespace, `*` is allowed.
    /// The filter is sent the full names of the destinations.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub hosts: Vec<String>,
    /// The subset (or first label of the host) that takes what the canaries leave; without it the destination listed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// Where to find the user, in order: the first that is there and not empty. Without a user Envoy draws per request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeySource>,
    /// Canaries of one train give a user the same bucket. Without it each service deals anew (by its first host here).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<String>,
    /// Who always gets the stable, whatever else holds: requests that a rule matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<Rule>>,
    /// Requests that go to a fixed subset whatever the weights, such as testers'. The first that matches counts.
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Who may get a canary by weight: requests that a rule matches; all others get the stable. Without it everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Rule>>,
}

impl Read for Config {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["version", "routed", "caller", "passport", "canaries"])?;
        Ok(Self {
            version: object.required("version")?,
            routed: object.or("routed", false)?,
            caller: object.optional("caller")?,
            passport: object.optional("passport")?,
            canaries: object.required("canaries")?,
        })
    }
}

impl Read for Passport {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["key", "override", "edge", "secrets"])?;
        Ok(Self {
            key: object.or("key", Vec::new())?,
            overrides: object.or("override", Vec::new())?,
            edge: object.or("edge", false)?,
            secrets: object.or("secrets", Vec::new())?,
        })
    }
}

impl Read for Canary {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["hosts", "stable", "key", "train", "deny", "override", "allow"])?;
        Ok(Self {
            hosts: object.required("hosts")?,
            stable: object.optional("stable")?,
            key: object.or("key", Vec::new())?,
            train: object.optional("train")?,
            deny: object.optional("deny")?,
            overrides: object.or("override", Vec::new())?,
            allow: object.optional("allow")?,
        })
    }
}
