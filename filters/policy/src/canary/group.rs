//! Which requests a rule means, ready to decide.

use super::config::{Caller, Match, Override, Rule};
use super::decide::BUCKETS;
use super::request::{Input, Request};
use super::source::Source;
use super::user::bucket;
use crate::{Error, check};

/// A value that a request must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub source: Source,
    /// The values that do, sorted.
    values: Box<[Box<[u8]>]>,
}

/// An override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tester {
    pub condition: Condition,
    pub subset: Box<str>,
}

/// The requests of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Whether `source` holds at this proxy.
    is_here: bool,
    conditions: Box<[Condition]>,
    /// How many buckets of users, if not all requests.
    buckets: Option<u16>,
}

impl Condition {
    pub fn holds<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(&'p self, request: &mut Request<'p, V, R>) -> bool {
        let is_wanted = |value: &[u8]| self.values.binary_search_by(|wanted| wanted.as_ref().cmp(value)).is_ok();
        request.with(&self.source, is_wanted).unwrap_or_default()
    }

    /// A value that holds for both.
    pub fn shares<'s>(&'s self, other: &Self) -> Option<&'s [u8]> {
        let has = |value: &&[u8]| other.values.binary_search_by(|other| other.as_ref().cmp(*value)).is_ok();
        self.values.iter().map(AsRef::as_ref).find(has).filter(|_| self.source == other.source)
    }

    fn all(header: Option<&Match>, cookie: Option<&Match>, claim: Option<&Match>) -> Result<Vec<Self>, Error> {
        let mut conditions = Vec::new();
        for (field, wanted) in [("header", header), ("cookie", cookie), ("jwtClaim", claim)] {
            let Some(wanted) = wanted else { continue };
            let source = match field {
                "header" => Source::header(&wanted.name),
                "cookie" => Source::cookie(&wanted.name),
                _ => Source::claim(&wanted.name),
            };
            let source = source.map_err(|error| error.inside("name"));
            let condition = source.and_then(|source| Ok(Self { source, values: values(wanted)? }));
            conditions.push(condition.map_err(|error| error.inside(field))?);
        }
        Ok(conditions)
    }
}

fn values(wanted: &Match) -> Result<Box<[Box<[u8]>]>, Error> {
    let values = match (&wanted.exact, &wanted.one_of) {
        (Some(exact), None) => std::slice::from_ref(exact),
        (None, Some(values)) if values.is_empty() => {
            return Err(Error::new("oneOf", "expected at least one value"));
        }
        (None, Some(values)) => values.as_slice(),
        _ => return Err(Error::new("", "expected exactly one of `exact` and `oneOf`")),
    };
    // A sort weighs more in the module than the rest of this file.
    let mut sorted: Vec<Box<[u8]>> = Vec::with_capacity(values.len());
    for value in values {
        let place = sorted.partition_point(|known| known.as_ref() < value.as_bytes());
        sorted.insert(place, value.as_bytes().into());
    }
    Ok(sorted.into())
}

impl Tester {
    pub fn compile(entry: &Override) -> Result<Self, Error> {
        check::name(&entry.subset).map_err(|error| error.inside("subset"))?;
        let conditions = Condition::all(entry.header.as_ref(), entry.cookie.as_ref(), entry.jwt_claim.as_ref())?;
        let Ok([condition]) = <[Condition; 1]>::try_from(conditions) else {
            return Err(Error::new("", "expected exactly one of `header`, `cookie` and `jwtClaim`"));
        };
        Ok(Self { condition, subset: entry.subset.as_str().into() })
    }
}

impl Group {
    pub fn compile(rule: &Rule, caller: Option<&Caller>) -> Result<Self, Error> {
        let conditions = Condition::all(rule.header.as_ref(), rule.cookie.as_ref(), rule.jwt_claim.as_ref())?;
        if rule.source.as_ref().is_some_and(|source| source.namespace.is_none() && source.workload.is_none()) {
            return Err(Error::new("source", "expected at least one of `namespace` and `workload`"));
        }
        if conditions.is_empty() && rule.source.is_none() {
            return Err(Error::new("", "expected at least one of `header`, `cookie`, `jwtClaim` and `source`"));
        }
        let buckets = match rule.percent {
            None => None,
            Some(percent) => match u16::try_from(percent) {
                Ok(percent @ ..=100) => Some(percent * (BUCKETS / 100)),
                _ => return Err(Error::new("percent", format!("expected at most 100, found {percent}"))),
            },
        };
        let is_here = rule.source.as_ref().is_none_or(|source| caller.is_some_and(|caller| is(caller, source)));
        Ok(Self { is_here, conditions: conditions.into(), buckets })
    }

    /// Whether it has the same names and values as another, whatever their percentages.
    pub fn names_the_same(&self, other: &Self) -> bool {
        self.conditions == other.conditions
    }

    /// Whether all requests of another one belong to it too, as their names and values say.
    pub fn covers(&self, other: &Self) -> bool {
        let has_all = self.conditions.iter().all(|condition| other.conditions.contains(condition));
        has_all && self.buckets.is_none_or(|all| other.buckets.is_some_and(|some| some <= all))
    }

    /// Whether a request, of a user if it has one, belongs to it.
    pub fn has<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        digest: Option<u64>,
        seed: u64,
    ) -> bool {
        // Who is in a group says nothing of who is on a canary: hence another seed, the same for all services of a train.
        let is_among = |buckets| digest.is_some_and(|digest| bucket(digest, !seed) < buckets);
        self.is_here && self.buckets.is_none_or(is_among) && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

fn is(caller: &Caller, source: &Caller) -> bool {
    let agrees = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
    agrees(&source.namespace, &caller.namespace) && agrees(&source.workload, &caller.workload)
}
