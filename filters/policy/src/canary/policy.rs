//! Compiles a canary configuration into what a decision reads.

use super::config::{Canary, Config, KeySource, Match, Override};
use super::mint::Mint;
use crate::{Error, check, host, json};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// A validated canary policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    routed: bool,
    hosts: host::Index,
    canaries: Box<[Compiled]>,
}

/// The canary of one service, ready to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The hash of the train, or else of the service: it gives each train an order of users of its own.
    pub(super) seed: u64,
    pub(super) keys: Box<[Source]>,
    pub(super) mint: Option<Mint>,
    pub(super) overrides: Box<[Tester]>,
}

/// An override, ready to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tester {
    pub(super) source: Source,
    pub(super) exact: Box<[u8]>,
    pub(super) subset: Box<str>,
}

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

impl Policy {
    /// Parses and validates the filter's JSON.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::try_from(&json::read::<Config>(json)?)
    }

    /// Reads the filter's JSON and validates it, without compiling it: for the control plane.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn read(json: &[u8]) -> Result<Config, Error> {
        let config = json::read(json)?;
        Self::try_from(&config).map(|_| config)
    }

    /// The canary of every request that the filter meets, if the routes see to that it is always the same.
    pub fn only(&self) -> Option<&Compiled> {
        self.canaries.first().filter(|_| self.routed && self.canaries.len() == 1)
    }

    /// The canary of a host, if there is one.
    pub fn for_host(&self, host: &[u8]) -> Option<&Compiled> {
        self.canaries.get(self.hosts.find(host)?)
    }
}

impl TryFrom<&Config> for Policy {
    type Error = Error;

    fn try_from(config: &Config) -> Result<Self, Error> {
        json::version(config.version)?;
        let hosts = host::Index::new("canaries", config.canaries.iter().map(|canary| canary.hosts.as_slice()))?;
        let canaries = config.canaries.iter().enumerate();
        let canaries = canaries.map(|(place, canary)| compile(&format!("canaries[{place}]"), canary)).collect::<Result<_, _>>()?;
        Ok(Self { routed: config.routed, hosts, canaries })
    }
}

fn compile(path: &str, canary: &Canary) -> Result<Compiled, Error> {
    for (field, value) in [("stable", &canary.stable), ("train", &canary.train)] {
        if let Some(value) = value {
            check::name(|| format!("{path}.{field}"), value)?;
        }
    }
    let keys = canary.key.iter().enumerate().map(|(place, key)| compile_key(&format!("{path}.key[{place}]"), key));
    let overrides = canary.overrides.iter().enumerate();
    let overrides = overrides.map(|(place, entry)| compile_override(&format!("{path}.override[{place}]"), entry));
    let salt = canary.train.as_ref().or(canary.hosts.first()).map_or("", String::as_str);
    Ok(Compiled {
        seed: xxh3_64(salt.as_bytes()),
        keys: keys.collect::<Result<_, _>>()?,
        mint: compile_mint(path, &canary.key)?,
        overrides: overrides.collect::<Result<_, _>>()?,
    })
}

fn compile_mint(path: &str, keys: &[KeySource]) -> Result<Option<Mint>, Error> {
    let Some(place) = keys.iter().position(|key| matches!(key, KeySource::Mint(_))) else { return Ok(None) };
    match keys.get(place..) {
        Some([KeySource::Mint(mint)]) => Mint::new(&format!("{path}.key[{place}].mint"), mint).map(Some),
        _ => Err(Error::new(format!("{path}.key[{place}].mint"), "expected as the last: whoever comes to it has a user then")),
    }
}

fn compile_key(path: &str, key: &KeySource) -> Result<Source, Error> {
    match key {
        KeySource::Header(name) => header(|| format!("{path}.header"), name),
        KeySource::Cookie(name) => cookie(|| format!("{path}.cookie"), name),
        KeySource::Query(name) => query(|| format!("{path}.query"), name),
        KeySource::JwtClaim(name) => claim(|| format!("{path}.jwtClaim"), name),
        KeySource::Mint(mint) => cookie(|| format!("{path}.mint.name"), &mint.name),
        KeySource::SourceAddress(_) => Ok(Source::Address),
    }
}

fn compile_override(path: &str, entry: &Override) -> Result<Tester, Error> {
    check::name(|| format!("{path}.subset"), &entry.subset)?;
    let (source, Match { exact, .. }) = match (&entry.header, &entry.cookie) {
        (Some(wanted), None) => (header(|| format!("{path}.header.name"), &wanted.name)?, wanted),
        (None, Some(wanted)) => (cookie(|| format!("{path}.cookie.name"), &wanted.name)?, wanted),
        _ => return Err(Error::new(path, "expected exactly one of `header` and `cookie`")),
    };
    Ok(Tester { source, exact: exact.as_bytes().into(), subset: entry.subset.as_str().into() })
}

fn header(path: impl FnOnce() -> String, name: &str) -> Result<Source, Error> {
    check::token(path, "header", name)?;
    Ok(Source::Header(name.to_ascii_lowercase().into()))
}

fn cookie(path: impl FnOnce() -> String, name: &str) -> Result<Source, Error> {
    check::token(path, "cookie", name)?;
    Ok(Source::Cookie(name.into()))
}

fn query(path: impl FnOnce() -> String, name: &str) -> Result<Source, Error> {
    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"&=#".contains(&byte)) {
        return Err(Error::new(path(), format!("expected the name of a parameter as it stands in a URL, found {name:?}")));
    }
    Ok(Source::Query(name.into()))
}

fn claim(path: impl FnOnce() -> String, name: &str) -> Result<Source, Error> {
    if name.split('.').any(str::is_empty) || name.contains('\0') {
        return Err(Error::new(
            path(),
            format!("expected the name of a claim, with dots between the names of nested ones, found {name:?}"),
        ));
    }
    Ok(Source::Claim { name: name.into(), attribute: (CLAIMS.to_owned() + &name.replace('.', "\0")).into() })
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
