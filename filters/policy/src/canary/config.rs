//! The canary policy as it is written: in a WasmPlugin's `pluginConfig` by a user, and, compiled, in Envoy's filter.

mod key;
mod rule;

pub use key::{KeySource, Mint, SameSite, SourceAddress};
pub use rule::{Caller, Match, Override, Rule};

use crate::Error;
use crate::error::quoted;
use crate::json::{Object, Read, Value};
use serde::Serialize;

/// The configuration of the canary filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(
        title = "Weir canary filter",
        extend("examples" = [{
            "version": 1,
            "canaries": [{
                "hosts": ["reviews"],
                "stable": "v1",
                "key": [{"cookie": "user"}, {"header": "x-user-id"}],
                "override": [{"header": {"name": "x-tester", "exact": "yes"}, "subset": "v2"}],
                "governor": {}
            }]
        }])
    )
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The version of this configuration: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1), extend("examples" = [1])))]
    pub version: u32,
    /// Filled in by the control plane, for what it sends: only the routes of these hosts run the filter. So where there is one
    /// canary, it is this one that a request is for.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    /// Filled in by the control plane where a rule asks for it: whose requests the filter sees.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// Filled in by the control plane where it wants to be told what governors saw: the cluster by which the proxy reaches it.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_to: Option<String>,
    /// Carries the user from the gateway to every hop.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"key": [{"cookie": "user"}]}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<Passport>,
    /// One entry per service with a canary.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"hosts": ["reviews"], "key": [{"cookie": "user"}]}]])))]
    pub canaries: Vec<Canary>,
}

/// A user's identity on the way through the mesh: a digest with a MAC, the member `weir` of the request's `baggage`
/// (<https://www.w3.org/TR/baggage/>). A gateway makes it; on later hops it comes before a canary's own `key`, if the apps in
/// between pass `baggage` on, as OpenTelemetry does. Where they do not, `key` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Passport {
    /// Where a gateway finds the user, in order. Without a user, it draws one for this request, so that all hops agree.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"cookie": "user"}, {"mint": {"name": "weir-user"}}]])))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeySource>,
    /// Requests that go to a subset of this name on every hop that has one, whatever the weights.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"header": {"name": "x-tester", "exact": "yes"}, "subset": "v2"}]])))]
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Filled in by the control plane: this is a gateway. It makes passports, and believes none.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edge: bool,
    /// Filled in by the control plane: the keys of the MAC that hold, of 64 hexadecimal digits each. A gateway uses the first.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// How users are dealt to the versions of one service. The weights stay in the service's route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("examples" = [{"hosts": ["reviews"], "key": [{"cookie": "user"}]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Canary {
    /// The hosts of the service, as in a VirtualService: short names belong to the plugin's namespace, `*` is allowed.
    /// The filter is sent the full names of the destinations.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("examples" = [["reviews"], ["reviews", "*.reviews.example"]])))]
    pub hosts: Vec<String>,
    /// The subset (or first label of the host) that takes what the canaries leave; without it the destination listed first.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["v1"])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// Where to find the user, in order: the first that is there and not empty. Without a user Envoy draws per request.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"cookie": "user"}, {"header": "x-user-id"}, {"sourceAddress": {}}]])))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeySource>,
    /// Canaries of one train give a user the same bucket. Without it each service deals anew (by its first host here).
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["autumn"])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<String>,
    /// Who may get a canary by weight: requests that a rule matches; all others get the stable. Without it everybody may.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"header": {"name": "x-group", "exact": "beta"}}, {"source": {"workload": "frontend"}, "percent": 50}]])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Rule>>,
    /// Who always gets the stable, whatever else holds: requests that a rule matches.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"cookie": {"name": "user", "oneOf": ["ann", "bob"]}}]])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<Rule>>,
    /// Requests that go to a fixed subset whatever the weights, such as testers'. The first that matches counts.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [[{"header": {"name": "x-tester", "exact": "yes"}, "subset": "v2"}]])))]
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Holds a canary back by itself that fails more often, or is slower, than the stable. Without it nothing is compared.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<Governor>,
}

/// What makes the filter compare each canary with the stable, and send the canary's users to the stable while it is worse. It lets some in
/// again by and by, and all when the canary holds out. It never gives a canary more than the route does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Governor {
    /// Whether a canary is held back too that is slower, by more than a tenth and a millisecond.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [false]), extend("default" = true)))]
    #[serde(skip_serializing_if = "Clone::clone")]
    pub latency: bool,
    /// Who is kept from a canary that is held back.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["newUsers"]), extend("default" = "everyone")))]
    #[serde(skip_serializing_if = "Hold::is_everyone")]
    pub hold: Hold,
    /// Filled in by the control plane: how many proxies run the filter. At most one good canary in a thousand is ever held back, by any
    /// of them.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<u32>,
    /// Filled in by the control plane: what holds for canaries in the whole mesh.
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
}

/// Who is kept from a canary that is held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Hold {
    /// All of its users get the stable, but those who are let in again.
    #[default]
    Everyone,
    /// Those who came before keep their version, whatever it does to them; only users who have come since get the stable. It takes a `mint`
    /// at the end of `key`, or behind the gateway the cookie that the gateway's `mint` makes, which says when a user came. Who is found
    /// otherwise counts as new.
    NewUsers,
}

impl Hold {
    fn is_everyone(&self) -> bool {
        *self == Self::Everyone
    }
}

/// What the control plane, which sums up what all proxies see, says of a canary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Order {
    /// The canary's subset, or the first label of its host.
    pub canary: String,
    /// What part of the canary's users may go to it, in ten thousandths; no proxy gives it more, and each may give it less.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 10_000)))]
    pub share: u32,
    /// Since when it has less than all of them, in seconds since 1970.
    #[serde(default)]
    pub since: u32,
    /// Grows when proxies are to forget what they know of the canary, and that they held it back.
    #[serde(default)]
    pub round: u32,
}

impl Default for Governor {
    fn default() -> Self {
        Self { latency: true, hold: Hold::default(), proxies: None, orders: Vec::new() }
    }
}

impl Read for Governor {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .or("latency", &mut read.latency)
            .or("hold", &mut read.hold)
            .optional("proxies", &mut read.proxies)
            .filled_in()
            .or("orders", &mut read.orders)
            .filled_in()
            .end()?;
        Ok(read)
    }
}

impl Read for Hold {
    fn read(value: Value) -> Result<Self, Error> {
        match String::read(value)?.as_str() {
            "everyone" => Ok(Self::Everyone),
            "newUsers" => Ok(Self::NewUsers),
            name => Err(Error::new("", format!("expected everyone or newUsers, found {}", quoted(name)))),
        }
    }
}

impl Read for Order {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .required("canary", &mut read.canary)
            .required("share", &mut read.share)
            .or("since", &mut read.since)
            .or("round", &mut read.round)
            .end()?;
        Ok(read)
    }
}

impl Read for Config {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .required("version", &mut read.version)
            .or("routed", &mut read.routed)
            .filled_in()
            .optional("caller", &mut read.caller)
            .filled_in()
            .optional("reportTo", &mut read.report_to)
            .filled_in()
            .optional("passport", &mut read.passport)
            .required("canaries", &mut read.canaries)
            .end()?;
        Ok(read)
    }
}

impl Read for Passport {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .or("key", &mut read.key)
            .or("override", &mut read.overrides)
            .or("edge", &mut read.edge)
            .filled_in()
            .or("secrets", &mut read.secrets)
            .filled_in()
            .end()?;
        Ok(read)
    }
}

impl Read for Canary {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .required("hosts", &mut read.hosts)
            .optional("stable", &mut read.stable)
            .or("key", &mut read.key)
            .optional("train", &mut read.train)
            .optional("allow", &mut read.allow)
            .optional("deny", &mut read.deny)
            .or("override", &mut read.overrides)
            .optional("governor", &mut read.governor)
            .end()?;
        Ok(read)
    }
}
