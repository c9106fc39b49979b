//! Where a value of the request stands.

use super::config::KeySource;
use crate::error::quoted;
use crate::{Error, check};
use std::fmt;

/// Where a value of the request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The header of this name, in lower case as Envoy keeps it.
    Header(Box<str>),
    /// The cookie of this name.
    Cookie(Box<str>),
    /// The parameter of this name in the URL's query.
    Query(Box<str>),
    /// A verified claim.
    Claim {
        /// As the policy has it.
        name: Box<str>,
        /// Where Envoy has it: an attribute's path.
        attribute: Box<str>,
    },
    /// The client's address without its port.
    Address,
}

/// Where Envoy's JWT filter leaves the claims if it is told to call them `payload`, as Istio does.
const CLAIMS: &str = "metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0payload\0";

impl Source {
    pub(super) fn of_key(key: &KeySource) -> Result<Self, Error> {
        let (field, source) = match key {
            KeySource::Header(name) => ("header", Self::header(name)),
            KeySource::Cookie(name) => ("cookie", Self::cookie(name)),
            KeySource::Query(name) => ("query", Self::query(name)),
            KeySource::JwtClaim(name) => ("jwtClaim", Self::claim(name)),
            KeySource::Mint(mint) => ("mint.name", Self::cookie(&mint.name)),
            KeySource::SourceAddress(_) => return Ok(Self::Address),
        };
        source.map_err(|error| error.inside(field))
    }

    pub(super) fn header(name: &str) -> Result<Self, Error> {
        check::token("header", name)?;
        Ok(Self::Header(name.to_ascii_lowercase().into()))
    }

    pub(super) fn cookie(name: &str) -> Result<Self, Error> {
        check::token("cookie", name)?;
        Ok(Self::Cookie(name.into()))
    }

    fn query(name: &str) -> Result<Self, Error> {
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"&=#".contains(&byte)) {
            return Err(Error::new("", format!("expected the name of a parameter as it stands in a URL, found {}", quoted(name))));
        }
        Ok(Self::Query(name.into()))
    }

    pub(super) fn claim(name: &str) -> Result<Self, Error> {
        if name.split('.').any(str::is_empty) || name.contains('\0') {
            return Err(Error::new(
                "",
                format!("expected the name of a claim, with dots between the names of nested ones, found {}", quoted(name)),
            ));
        }
        Ok(Self::Claim { name: name.into(), attribute: (CLAIMS.to_owned() + &name.replace('.', "\0")).into() })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Claim { name, .. } => write!(f, "claim {name}"),
            Self::Address => f.write_str("source address"),
        }
    }
}
