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

/// The requests of a rule, at a proxy of which `source` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    conditions: Box<[Condition]>,
    /// How many buckets of users, if not all requests.
    buckets: Option<u16>,
}

impl Condition {
    pub fn holds<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(&'p self, request: &mut Request<'p, V, R>) -> bool {
        let is_wanted = |value: &[u8]| self.values.binary_search_by(|wanted| wanted.as_ref().cmp(value)).is_ok();
        request.with(&self.source, is_wanted).unwrap_or_default()
    }

    fn all(path: &str, header: Option<&Match>, cookie: Option<&Match>, claim: Option<&Match>) -> Result<Vec<Self>, Error> {
        let condition = |field: &str, wanted: &Match| {
            let path = format!("{path}.{field}");
            let name = || format!("{path}.name");
            let source = match field {
                "header" => Source::header(name, &wanted.name),
                "cookie" => Source::cookie(name, &wanted.name),
                _ => Source::claim(name, &wanted.name),
            };
            Ok(Self { source: source?, values: values(&path, wanted)? })
        };
        let given = [("header", header), ("cookie", cookie), ("jwtClaim", claim)];
        given.into_iter().filter_map(|(field, wanted)| Some(condition(field, wanted?))).collect()
    }
}

fn values(path: &str, wanted: &Match) -> Result<Box<[Box<[u8]>]>, Error> {
    let values = match (&wanted.exact, &wanted.one_of) {
        (Some(exact), None) => std::slice::from_ref(exact),
        (None, Some(values)) if values.is_empty() => {
            return Err(Error::new(format!("{path}.oneOf"), "expected at least one value"));
        }
        (None, Some(values)) => values.as_slice(),
        _ => return Err(Error::new(path, "expected exactly one of `exact` and `oneOf`")),
    };
    let mut values: Box<[Box<[u8]>]> = values.iter().map(|value| value.as_bytes().into()).collect();
    values.sort_unstable();
    Ok(values)
}

impl Tester {
    pub fn compile(path: &str, entry: &Override) -> Result<Self, Error> {
        check::name(|| format!("{path}.subset"), &entry.subset)?;
        let conditions = Condition::all(path, entry.header.as_ref(), entry.cookie.as_ref(), entry.jwt_claim.as_ref())?;
        let Ok([condition]) = <[Condition; 1]>::try_from(conditions) else {
            return Err(Error::new(path, "expected exactly one of `header`, `cookie` and `jwtClaim`"));
        };
        Ok(Self { condition, subset: entry.subset.as_str().into() })
    }
}

impl Group {
    /// The group of a rule; none for a caller of which its `source` does not hold.
    pub fn compile(path: &str, rule: &Rule, caller: Option<&Caller>) -> Result<Option<Self>, Error> {
        let conditions = Condition::all(path, rule.header.as_ref(), rule.cookie.as_ref(), rule.jwt_claim.as_ref())?;
        if rule.source.as_ref().is_some_and(|source| source.namespace.is_none() && source.workload.is_none()) {
            return Err(Error::new(format!("{path}.source"), "expected at least one of `namespace` and `workload`"));
        }
        if conditions.is_empty() && rule.source.is_none() {
            return Err(Error::new(path, "expected at least one of `header`, `cookie`, `jwtClaim` and `source`"));
        }
        let buckets = match rule.percent {
            None => None,
            Some(percent) => match u16::try_from(percent) {
                Ok(percent @ ..=100) => Some(percent * (BUCKETS / 100)),
                _ => return Err(Error::new(format!("{path}.percent"), format!("expected at most 100, found {percent}"))),
            },
        };
        let is_here = rule.source.as_ref().is_none_or(|source| caller.is_some_and(|caller| is(caller, source)));
        Ok(is_here.then(|| Self { conditions: conditions.into(), buckets }))
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
        self.buckets.is_none_or(is_among) && self.conditions.iter().all(|condition| condition.holds(request))
    }
}

fn is(caller: &Caller, source: &Caller) -> bool {
    let agrees = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
    agrees(&source.namespace, &caller.namespace) && agrees(&source.workload, &caller.workload)
}
