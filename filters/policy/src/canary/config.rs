//! The canary policy as it is written: in a WasmPlugin's `pluginConfig` by a user, and, compiled, in Envoy's filter.

use serde::{Deserialize, Serialize};

/// The configuration of the canary filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(title = "Weir canary filter"))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Config {
    /// The version of this configuration: 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub version: u32,
    /// Filled in by the control plane, for what it sends: only the routes of these hosts run the filter. So where there is one
    /// canary, it is this one that a request is for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    /// One entry per service with a canary.
    pub canaries: Vec<Canary>,
}

/// How users are dealt to the versions of one service. The weights stay in the service's route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
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
    /// Requests that go to a fixed subset whatever the weights, such as testers'. The first that matches counts.
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
}

/// A place where the user's name or number stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum KeySource {
    /// The cookie of this name.
    Cookie(String),
    /// The request header of this name.
    Header(String),
    /// The parameter of this name in the query of the request's URL, as it stands there: escapes are not resolved.
    Query(String),
    /// A claim of the token that Envoy's JWT filter verified (RFC 7519), such as `sub`; dots lead into objects, as in Istio's
    /// `request.auth.claims`. A claim of a token that nobody verified is not there.
    JwtClaim(String),
    /// The cookie of this name too; at a gateway, a request without a user is given one by it. So it stands last.
    Mint(Mint),
    /// The client's address as Envoy knows it: of a client behind another proxy, at a gateway, that proxy's.
    SourceAddress(SourceAddress),
}

/// A cookie that a gateway gives to who has none: it makes a user of a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Mint {
    /// The cookie's name.
    pub name: String,
    /// How long the browser keeps it: hours, minutes and seconds, such as `720h`. Without it, until the browser ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// Whether the browser sends it over HTTPS alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secure: bool,
    /// Whether it is kept from the page's scripts.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub http_only: bool,
    /// Whether the browser sends it with requests that other sites cause.
    #[serde(default)]
    pub same_site: SameSite,
}

fn yes() -> bool {
    true
}

/// When a browser sends a cookie with a request that another site causes
/// (<https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis>, `SameSite`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from))]
#[serde(try_from = "String")]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    #[default]
    Lax,
    /// Always; a browser takes it with `secure` alone.
    None,
}

impl TryFrom<String> for SameSite {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "Strict" => Ok(Self::Strict),
            "Lax" => Ok(Self::Lax),
            "None" => Ok(Self::None),
            _ => Err(format!("expected Strict, Lax or None, found {name:?}")),
        }
    }
}

/// The client's address has no settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SourceAddress {}

/// A subset for requests with a certain header or cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{"required": ["header"]}, {"required": ["cookie"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Override {
    /// The header to match; exactly one of `header` and `cookie` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Match>,
    /// The cookie to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Match>,
    /// The subset (or first label of the host) that serves a request that matches.
    pub subset: String,
}

/// A name and the value it must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object")]
pub struct Match {
    /// The name of the header or cookie.
    pub name: String,
    /// The whole value, with case.
    pub exact: String,
}
