//! Compiles a canary configuration into what a decision reads.

use super::border::Border;
use super::config::{self, Caller, Canary, Config, Hold, KeySource, Rule};
use super::governor::{EVERYONE, Governor, Order, Subset, Tolerance};
use super::group::{Group, Tester};
use super::mint::Mint;
use super::source::Source;
use super::user::Users;
use super::written;
use crate::{Error, check, host, json};
use xxhash_rust::xxh3::xxh3_64;

/// A validated canary policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    routed: bool,
    report_to: Option<Box<str>>,
    pub(super) border: Option<Border>,
    hosts: host::Index,
    canaries: Box<[Compiled]>,
}

/// The canary of one service, ready to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The hash of the train, or else of the service: it gives each train an order of users of its own.
    pub(super) seed: u64,
    pub(super) users: Users,
    pub(super) deny: Box<[Group]>,
    pub(super) overrides: Box<[Tester]>,
    pub(super) allow: Option<Box<[Group]>>,
    /// What compares its versions, if anything does.
    pub governed: Option<Governed>,
}

/// How the versions of one service are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Governed {
    /// The rules.
    pub governor: Governor,
    /// Its place among all that are compared.
    pub place: usize,
    /// What the service is called in what the workers of an Envoy share.
    pub name: Box<str>,
    /// Whether who came before a canary was held back keeps it.
    pub spares_old_users: bool,
    stable: Box<str>,
    orders: Box<[(Box<str>, Order)]>,
}

impl Governed {
    /// What the control plane says of a canary.
    pub fn order(&self, canary: &str) -> Order {
        self.orders.iter().find(|(name, _)| name.as_ref() == canary).map_or_else(Order::default, |(_, order)| *order)
    }

    /// Which of both a destination is, by its name.
    pub fn subset(&self, name: &[u8]) -> Subset {
        if name == self.stable.as_bytes() { Subset::Stable } else { Subset::Canary }
    }
}

impl Policy {
    /// Parses and validates the filter's JSON.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::try_from(&json::read::<Config>(json)?)
    }

    /// Reads what a user wrote, without compiling it: for the control plane. It is refused for more than what a filter could not run.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn read(json: &[u8]) -> Result<Config, Error> {
        let config = json::read(json)?;
        written::sizes(&config)?;
        Self::try_from(&config)?;
        written::check(&config)?;
        Ok(config)
    }

    /// The cluster by which the control plane wants to be told what governors saw.
    pub fn report_to(&self) -> Option<&str> {
        self.report_to.as_deref()
    }

    /// The canary of every request that the filter meets, if the routes see to that it is always the same.
    pub fn only(&self) -> Option<&Compiled> {
        self.canaries.first().filter(|_| self.routed && self.canaries.len() == 1)
    }

    /// How the versions of each service are compared, where they are.
    pub fn governed(&self) -> impl Iterator<Item = &Governed> {
        self.canaries.iter().filter_map(|canary| canary.governed.as_ref())
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
        let border = match &config.passport {
            Some(passport) => Some(Border::compile(passport).map_err(|error| error.inside("passport"))?),
            None => None,
        };
        let hosts = host::Index::new("canaries", config.canaries.iter().map(|canary| canary.hosts.as_slice()))?;
        let canaries = check::each(&config.canaries, |canary| compile(canary, config.caller.as_ref()));
        let mut canaries = canaries.map_err(|error| error.inside("canaries"))?;
        for (place, governed) in canaries.iter_mut().filter_map(|canary| canary.governed.as_mut()).enumerate() {
            governed.place = place;
        }
        Ok(Self { routed: config.routed, report_to: config.report_to.as_deref().map(Into::into), border, hosts, canaries })
    }
}

fn compile(canary: &Canary, caller: Option<&Caller>) -> Result<Compiled, Error> {
    if let Some(stable) = &canary.stable {
        check::name(stable).map_err(|error| error.inside("stable"))?;
    }
    let groups = |field: &str, rules: &Option<Vec<Rule>>| match rules {
        Some(rules) => groups(rules, caller).map(Some).map_err(|error| error.inside(field)),
        None => Ok(None),
    };
    let dated = canary.governor.as_ref().is_some_and(|governor| governor.hold == Hold::NewUsers);
    let salt = canary.train.as_ref().or(canary.hosts.first()).map_or("", String::as_str);
    Ok(Compiled {
        seed: xxh3_64(salt.as_bytes()),
        users: Users { dated, ..Users::compile(&canary.key)? },
        deny: groups("deny", &canary.deny)?.unwrap_or_default(),
        overrides: check::each(&canary.overrides, Tester::compile).map_err(|error| error.inside("override"))?,
        allow: groups("allow", &canary.allow)?,
        governed: match &canary.governor {
            Some(governor) => governed(canary, governor).map_err(|error| error.inside("governor"))?,
            None => None,
        },
    })
}

/// How probable it may be that all proxies together ever hold back a canary that is not worse; the control plane, which sums up what they
/// see, may do so as often again.
const FALSE_ALARM: f64 = 0.000_5;

impl config::Governor {
    /// What holds a canary back in all proxies of the mesh.
    pub fn of_mesh(&self) -> Governor {
        Governor::new(FALSE_ALARM, self.tolerance())
    }

    fn tolerance(&self) -> Tolerance {
        if self.latency { Tolerance::DEFAULT } else { Tolerance { slower: f32::INFINITY, ..Tolerance::DEFAULT } }
    }
}

/// Nothing can be compared where the stable is not known.
fn governed(canary: &Canary, config: &config::Governor) -> Result<Option<Governed>, Error> {
    let proxies = config.proxies.unwrap_or(1).clamp(1, 1 << 20).next_power_of_two();
    // Behind a gateway the control plane has the mint's cookie stand there as any other.
    let says_when = matches!(canary.key.last(), Some(KeySource::Mint(_) | KeySource::Cookie(_)));
    if config.hold == Hold::NewUsers && !says_when {
        return Err(Error::new(
            "hold",
            "expected `mint`, or the cookie that a gateway's `mint` makes, at the end of `key`: only that says who is new",
        ));
    }
    let order = |order: &config::Order| match u16::try_from(order.share) {
        Ok(share @ ..=EVERYONE) => Ok((order.canary.as_str().into(), Order { share, round: order.round, since: order.since })),
        _ => Err(Error::new("share", format!("expected at most {EVERYONE}, found {}", order.share))),
    };
    let orders = check::each(&config.orders, order).map_err(|error| error.inside("orders"))?;
    let (Some(name), Some(stable)) = (canary.hosts.first(), &canary.stable) else { return Ok(None) };
    Ok(Some(Governed {
        place: 0,
        governor: Governor::new(FALSE_ALARM / f64::from(proxies), config.tolerance()),
        name: name.as_str().into(),
        spares_old_users: config.hold == Hold::NewUsers,
        stable: stable.as_str().into(),
        orders,
    }))
}

fn groups(rules: &[Rule], caller: Option<&Caller>) -> Result<Box<[Group]>, Error> {
    if rules.is_empty() {
        return Err(Error::new("", "expected at least one rule"));
    }
    check::each(rules, |rule| Group::compile(rule, caller))
}

impl Users {
    pub(super) fn compile(keys: &[KeySource]) -> Result<Self, Error> {
        let place = keys.iter().position(|key| matches!(key, KeySource::Mint(_)));
        let at_mint = |error: Error| error.inside(&format!("key[{}].mint", place.unwrap_or_default()));
        let mint = match place.and_then(|place| keys.get(place..)) {
            None => None,
            Some([KeySource::Mint(mint)]) => Some(Mint::new(mint).map_err(at_mint)?),
            Some(_) => return Err(at_mint(Error::new("", "expected as the last: whoever comes to it has a user then"))),
        };
        Ok(Self { keys: check::each(keys, Source::of_key).map_err(|error| error.inside("key"))?, mint, dated: false })
    }
}
