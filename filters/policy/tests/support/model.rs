//! What a policy means for a request, said once more in the plainest way: what tests and fuzz targets hold the decisions against.
//! It shares no code with what it is held against, but for the hash.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use weir_policy::canary::{Canary, Config, Decision, Input, KeySource, Match, Override, Passport, Rule, Seen, Verdict};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A request, with the names of its headers in lower case.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub headers: Vec<(String, Vec<u8>)>,
    /// What Envoy tells of each verified claim.
    pub claim: Option<Vec<u8>>,
    /// `IP:PORT`.
    pub address: Option<Vec<u8>>,
    /// The number that a new user is made of.
    pub random: Option<u128>,
}

/// What is decided, without its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Subset(Vec<u8>),
    Stable,
    Bucket(u16),
    NoKey,
}

/// What a passport says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    pub user: Option<Vec<u8>>,
    pub subset: Option<String>,
}

impl Request {
    /// All headers of a name.
    pub fn all<'r>(&'r self, name: &str) -> Vec<&'r [u8]> {
        self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// The answer to what a decision asks, as Envoy gives it.
    pub fn read(&self, input: Input<'_>) -> Option<Vec<u8>> {
        let joined = |name: &str, by: u8| Some(self.all(name)).filter(|all| !all.is_empty()).map(|all| all.join(&by));
        match input {
            Input::Header(name) => self.all(name).first().map(|value| value.to_vec()),
            Input::Joined(name) => joined(name, b','),
            Input::Cookies => joined("cookie", b';'),
            Input::Attribute(_) => self.claim.clone(),
            Input::SourceAddress => self.address.clone(),
        }
    }

    /// A cookie, wherever it stands.
    pub fn cookie(&self, name: &str) -> Option<&[u8]> {
        for header in self.all("cookie") {
            for pair in header.split(|byte| *byte == b';') {
                let Some((found, value)) = at_first(pair, b'=') else { continue };
                if found.trim_ascii() == name.as_bytes() {
                    let value = value.trim_ascii();
                    let is_quoted = value.len() > 1 && value.starts_with(b"\"") && value.ends_with(b"\"");
                    return Some(if is_quoted { &value[1..value.len() - 1] } else { value });
                }
            }
        }
        None
    }

    /// A parameter of the URL.
    pub fn query(&self, name: &str) -> Option<&[u8]> {
        let path = self.all(":path").first().copied()?;
        let path = at_first(path, b'#').map_or(path, |(path, _)| path);
        let (_, query) = at_first(path, b'?')?;
        let mut pairs = query.split(|byte| *byte == b'&').filter_map(|pair| at_first(pair, b'='));
        pairs.find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.all(&name.to_ascii_lowercase()).first().copied()
    }

    fn key(&self, source: &KeySource) -> Option<&[u8]> {
        match source {
            KeySource::Cookie(name) => self.cookie(name),
            KeySource::Header(name) => self.header(name),
            KeySource::Query(name) => self.query(name),
            KeySource::JwtClaim(_) => self.claim.as_deref(),
            KeySource::Mint(mint) => self.cookie(&mint.name),
            KeySource::SourceAddress(_) => {
                let address = self.address.as_deref()?;
                let port = address.iter().rev().position(|byte| *byte == b':');
                Some(port.map_or(address, |port| &address[..address.len() - port - 1]))
            }
        }
    }

    fn user(&self, keys: &[KeySource]) -> Option<Vec<u8>> {
        let named = keys.iter().find_map(|source| self.key(source).filter(|user| !user.is_empty())).map(<[u8]>::to_vec);
        let mints = matches!(keys.last(), Some(KeySource::Mint(_)));
        named.or_else(|| self.random.filter(|_| mints).map(|random| format!("{random:032x}").into_bytes()))
    }

    fn is(&self, wanted: &Match, value: Option<&[u8]>) -> bool {
        let wanted = wanted.exact.iter().chain(wanted.one_of.iter().flatten());
        value.is_some_and(|value| wanted.map(String::as_bytes).any(|wanted| wanted == value))
    }

    /// Whether all that is given holds, if anything is.
    fn has(&self, header: Option<&Match>, cookie: Option<&Match>, claim: Option<&Match>) -> bool {
        header.is_none_or(|wanted| self.is(wanted, self.header(&wanted.name)))
            && cookie.is_none_or(|wanted| self.is(wanted, self.cookie(&wanted.name)))
            && claim.is_none_or(|wanted| self.is(wanted, self.claim.as_deref()))
    }

    fn tester<'c>(&self, overrides: &'c [Override]) -> Option<&'c str> {
        let mut overrides = overrides.iter();
        let tester = overrides.find(|entry| self.has(entry.header.as_ref(), entry.cookie.as_ref(), entry.jwt_claim.as_ref()));
        tester.map(|tester| tester.subset.as_str())
    }
}

/// What a gateway writes into a request's passport; nothing where it makes none.
pub fn passport(passport: &Passport, request: &Request) -> Option<Carried> {
    let drawn = || request.random.map(|random| random.to_le_bytes().to_vec());
    let subset = || request.tester(&passport.overrides).map(String::from);
    (!passport.secrets.is_empty()).then(|| Carried { user: request.user(&passport.key).or_else(drawn), subset: subset() })
}

/// What is decided for a request.
pub fn decide(config: &Config, canary: &Canary, request: &Request, carried: Option<&Carried>) -> Expected {
    let order = canary.train.as_ref().unwrap_or(&canary.hosts[0]);
    let user = carried.and_then(|carried| carried.user.clone()).or_else(|| request.user(&canary.key));
    let is_in = |rule: &Rule| {
        request.has(rule.header.as_ref(), rule.cookie.as_ref(), rule.jwt_claim.as_ref())
            && rule.source.as_ref().is_none_or(|source| {
                let caller = config.caller.clone().unwrap_or_default();
                [(&source.namespace, caller.namespace), (&source.workload, caller.workload)]
                    .into_iter()
                    .all(|(wanted, is)| wanted.is_none() || *wanted == is)
            })
            && rule
                .percent
                .is_none_or(|percent| user.as_ref().is_some_and(|user| u32::from(bucket(user, !xxh3_64(order.as_bytes()))) < percent * 100))
    };
    if canary.deny.iter().flatten().any(is_in) {
        return Expected::Stable;
    }
    if let Some(subset) = request.tester(&canary.overrides).or(carried.and_then(|carried| carried.subset.as_deref())) {
        return Expected::Subset(subset.as_bytes().to_vec());
    }
    if canary.allow.as_ref().is_some_and(|rules| !rules.iter().any(is_in)) {
        return Expected::Stable;
    }
    user.map_or(Expected::NoKey, |user| Expected::Bucket(bucket(&user, xxh3_64(order.as_bytes()))))
}

/// What was decided.
pub fn found(verdict: &Verdict<'_>) -> Expected {
    match verdict.decision.expect("there is a canary") {
        Decision::Override { subset, .. } => Expected::Subset(subset.as_bytes().to_vec()),
        Decision::Forced(subset) => Expected::Subset(subset.as_bytes().to_vec()),
        Decision::Stable => Expected::Stable,
        Decision::Bucket { bucket, .. } => Expected::Bucket(bucket),
        Decision::NoKey => Expected::NoKey,
    }
}

/// What becomes of a request's passport behind the gateways: what it is, what goes on as `baggage` if that changes, and what it says.
/// `known` are the passports that this mesh made.
pub fn inside<'k>(request: &Request, known: &'k [(Vec<u8>, Carried)]) -> (Option<Seen>, Option<Vec<u8>>, Option<&'k Carried>) {
    let (ours, others) = members(request);
    let Some(ours) = ours else { return (None, None, None) };
    match known.iter().find(|(passport, _)| ours.eq_ignore_ascii_case(passport)) {
        Some((_, carried)) => (Some(Seen::Valid), None, Some(carried)),
        None => (Some(Seen::False), Some(others.join(&b',')), None),
    }
}

/// What goes on as `baggage` from a gateway that makes this passport.
pub fn edge(request: &Request, made: Option<&[u8]>) -> Option<Vec<u8>> {
    let (ours, others) = members(request);
    let all = made.map(|made| [others.as_slice(), &[&[b"weir=", made].concat()]].concat().join(&b','));
    let fits = all.filter(|all| others.len() < 64 && all.len() <= 8192);
    made.or(ours).map(|_| fits.unwrap_or_else(|| others.join(&b',')))
}

/// The members of all `baggage` headers: the value of the first of ours, and the others as they stand there.
fn members(request: &Request) -> (Option<&[u8]>, Vec<&[u8]>) {
    let (mut ours, mut others) = (None, Vec::new());
    let headers = request.headers.iter().filter(|(name, _)| name == "baggage");
    for member in headers.flat_map(|(_, header)| header.split(|byte| *byte == b',')) {
        match at_first(member, b'=') {
            Some((name, value)) if name.trim_ascii() == b"weir" => {
                let value = at_first(value, b';').map_or(value, |(value, _)| value);
                ours = ours.or(Some(value.trim_ascii()));
            }
            _ if member.trim_ascii().is_empty() => {}
            _ => others.push(member),
        }
    }
    (ours, others)
}

/// The bucket of a user among those that are dealt in this order. It stays as it is for ever, so that nobody's version changes.
fn bucket(user: &[u8], order: u64) -> u16 {
    let digest = xxh3_64_with_seed(user, u64::from_be_bytes(*b"Weir use"));
    ((u128::from(xxh3_64_with_seed(&digest.to_le_bytes(), order)) * 10_000) >> 64) as u16
}

fn at_first(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}
