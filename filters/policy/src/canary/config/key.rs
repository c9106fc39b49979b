//! Where the user stands in a request.

use crate::Error;
use crate::error::quoted;
use crate::json::{Object, Read, Value, variant};
use serde::Serialize;

/// A place where the user's name or number stands: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum KeySource {
    /// The cookie of this name.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"cookie": "user"}])))]
    Cookie(String),
    /// The request header of this name.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"header": "x-user-id"}])))]
    Header(String),
    /// The parameter of this name in the query of the request's URL, as it stands there: escapes are not resolved.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"query": "user"}])))]
    Query(String),
    /// A claim of the token that Envoy's JWT filter verified (RFC 7519), such as `sub`; dots lead into objects, as in Istio's
    /// `request.auth.claims`. A claim of a token that nobody verified is not there.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"jwtClaim": "sub"}, {"jwtClaim": "account.id"}])))]
    JwtClaim(String),
    /// The cookie of this name too; at a gateway, a request without a user is given one by it. So it stands last.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"mint": {"name": "weir-user", "lifetime": "720h"}}])))]
    Mint(Mint),
    /// The client's address. Of a client behind other proxies a gateway knows it from `x-forwarded-for`, as far as its pod's annotation
    /// `proxy.istio.io/config` says how many of them to trust (`gatewayTopology: {numTrustedProxies: 1}`); else it is that of the nearest one.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"sourceAddress": {}}])))]
    SourceAddress(SourceAddress),
}

/// A cookie that a gateway gives to who has none: it makes a user of a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Mint {
    /// The cookie's name.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["weir-user"])))]
    pub name: String,
    /// How long the browser keeps it: hours, minutes and seconds, such as `720h`. Without it, until the browser ends.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["720h", "1h30m"])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// Whether the browser sends it over HTTPS alone.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [true]), extend("default" = false)))]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secure: bool,
    /// Whether it is kept from the page's scripts.
    #[cfg_attr(feature = "schema", schemars(default = "yes", extend("examples" = [false]), extend("default" = true)))]
    #[serde(skip_serializing_if = "Clone::clone")]
    pub http_only: bool,
    /// Whether the browser sends it with requests that other sites cause.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["Strict"])))]
    #[serde(default)]
    pub same_site: SameSite,
}

#[cfg(feature = "schema")]
fn yes() -> bool {
    true
}

impl Default for Mint {
    fn default() -> Self {
        Self { name: String::new(), lifetime: None, secure: false, http_only: true, same_site: SameSite::default() }
    }
}

/// When a browser sends a cookie with a request that another site causes
/// (<https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis>, `SameSite`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user follows a link.
    #[default]
    Lax,
    /// Always; a browser takes it with `secure` alone.
    None,
}

/// The client's address has no settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SourceAddress {}

impl Read for KeySource {
    fn read(value: Value) -> Result<Self, Error> {
        variant(value, &["cookie", "header", "query", "jwtClaim", "mint", "sourceAddress"], |name, value| {
            Ok(match name {
                "cookie" => Self::Cookie(String::read(value)?),
                "header" => Self::Header(String::read(value)?),
                "query" => Self::Query(String::read(value)?),
                "jwtClaim" => Self::JwtClaim(String::read(value)?),
                "mint" => Self::Mint(Mint::read(value)?),
                _ => Object::of(value)?.end().map(|()| Self::SourceAddress(SourceAddress {}))?,
            })
        })
    }
}

impl Read for Mint {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .required("name", &mut read.name)
            .optional("lifetime", &mut read.lifetime)
            .or("secure", &mut read.secure)
            .or("httpOnly", &mut read.http_only)
            .or("sameSite", &mut read.same_site)
            .end()?;
        Ok(read)
    }
}

impl Read for SameSite {
    fn read(value: Value) -> Result<Self, Error> {
        match String::read(value)?.as_str() {
            "Strict" => Ok(Self::Strict),
            "Lax" => Ok(Self::Lax),
            "None" => Ok(Self::None),
            name => Err(Error::new("", format!("expected Strict, Lax or None, found {}", quoted(name)))),
        }
    }
}
