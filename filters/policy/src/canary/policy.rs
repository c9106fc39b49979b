//! Compiles a canary configuration into what a decision reads.

use super::border::Border;
use super::config::{Caller, Canary, Config, KeySource, Rule};
use super::group::{Group, Tester};
use super::mint::Mint;
use super::source::Source;
use super::user::Users;
use crate::{Error, check, host, json};
use xxhash_rust::xxh3::xxh3_64;

/// A validated canary policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    routed: bool,
    pub(super) border: Option<Border>,
    hosts: host::Index,
    canaries: Box<[Compiled]>,
}

/// The canary of one service, ready to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The hash of the train, or else of the service: it gives each train an order of users of its own.
    pub(super) seed: u64,
    pub(super) users: Users,
    pub(super) deny: Box<[Group]>,
    pub(super) overrides: Box<[Tester]>,
    pub(super) allow: Option<Box<[Group]>>,
}

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
        let border = config.passport.as_ref().map(Border::compile).transpose()?;
        let hosts = host::Index::new("canaries", config.canaries.iter().map(|canary| canary.hosts.as_slice()))?;
        let compile = |(place, canary)| compile(&format!("canaries[{place}]"), canary, config.caller.as_ref());
        let canaries = config.canaries.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { routed: config.routed, border, hosts, canaries })
    }
}

fn compile(path: &str, canary: &Canary, caller: Option<&Caller>) -> Result<Compiled, Error> {
    for (field, value) in [("stable", &canary.stable), ("train", &canary.train)] {
        if let Some(value) = value {
            check::name(|| format!("{path}.{field}"), value)?;
        }
    }
    let overrides = canary.overrides.iter().enumerate();
    let overrides = overrides.map(|(place, entry)| Tester::compile(&format!("{path}.override[{place}]"), entry));
    let groups =
        |field: &str, rules: &Option<Vec<Rule>>| rules.as_ref().map(|rules| groups(&format!("{path}.{field}"), rules, caller)).transpose();
    let salt = canary.train.as_ref().or(canary.hosts.first()).map_or("", String::as_str);
    Ok(Compiled {
        seed: xxh3_64(salt.as_bytes()),
        users: Users::compile(path, &canary.key)?,
        deny: groups("deny", &canary.deny)?.unwrap_or_default(),
        overrides: overrides.collect::<Result<_, _>>()?,
        allow: groups("allow", &canary.allow)?,
    })
}

fn groups(path: &str, rules: &[Rule], caller: Option<&Caller>) -> Result<Box<[Group]>, Error> {
    if rules.is_empty() {
        return Err(Error::new(path, "expected at least one rule"));
    }
    let groups = rules.iter().enumerate().map(|(place, rule)| Group::compile(&format!("{path}[{place}]"), rule, caller));
    groups.filter_map(Result::transpose).collect()
}

impl Users {
    pub(super) fn compile(path: &str, keys: &[KeySource]) -> Result<Self, Error> {
        let mint = match keys.iter().position(|key| matches!(key, KeySource::Mint(_))) {
            None => None,
            Some(place) => match keys.get(place..) {
                Some([KeySource::Mint(mint)]) => Some(Mint::new(&format!("{path}.key[{place}].mint"), mint)?),
                _ => {
                    let expected = "expected as the last: whoever comes to it has a user then";
                    return Err(Error::new(format!("{path}.key[{place}].mint"), expected));
                }
            },
        };
        let keys = keys.iter().enumerate().map(|(place, key)| Source::of_key(&format!("{path}.key[{place}]"), key));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, mint })
    }
}
