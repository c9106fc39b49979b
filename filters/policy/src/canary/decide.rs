//! Decides one request: a subset, a bucket, or nothing.

use super::passport::Subset;
use super::policy::{Compiled, Policy};
use super::request::{Input, Request};
use super::source::Source;
use super::user::{By, User, bucket};
use std::fmt;

/// How many buckets users are dealt to: a weight of one part in ten thousand moves one bucket.
pub const BUCKETS: u16 = 10_000;

/// What the filter does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'p> {
    /// Which version serves it; nothing where there is no canary.
    pub decision: Option<Decision<'p>>,
    /// What became of the passport.
    pub passport: Option<Seen>,
    /// The `baggage` that goes on, if it is another than the one that came; none if empty.
    pub baggage: Option<Vec<u8>>,
    /// The `set-cookie` for the answer, where a user was made: see [`crate::COOKIE_STATE`].
    pub cookie: Option<String>,
}

/// What became of a passport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A gateway made one.
    Made,
    /// It is of this mesh.
    Valid,
    /// It is not, or no longer: the request goes on without it.
    False,
}

/// Which version serves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'p> {
    /// This subset: the request carries what an override asks for.
    Override {
        /// The subset's name, for [`crate::SUBSET_HEADER`].
        subset: &'p str,
        /// What matched.
        by: &'p Source,
    },
    /// The subset that the passport names, where there is one of this name, for [`crate::SUBSET_HEADER`].
    Forced(Subset),
    /// The stable, by [`crate::STABLE`] in [`crate::SUBSET_HEADER`], since the request is denied or not allowed a canary.
    Stable,
    /// The request has a user, and the user this bucket.
    Bucket {
        /// Below [`BUCKETS`], for [`crate::BUCKET_HEADER`].
        bucket: u16,
        /// Where the user was found.
        by: By<'p>,
        /// When it came, in seconds since 1970, if that matters and a cookie of ours says it.
        since: Option<u32>,
    },
    /// No source names a user: Envoy draws by the route's weights.
    NoKey,
}

impl Policy {
    /// Decides a request, which `read` knows, for the canary of its destination if there is one. `random` gives numbers that nobody can
    /// guess, but for their highest 32 bits: the time in seconds since 1970. It is asked for one where a user is made.
    ///
    /// Who is denied comes first, then overrides, those of the canary before the passport's, then who is not allowed, then the user's
    /// bucket; all in the order written.
    pub fn decide<'p, V: AsRef<[u8]>>(
        &'p self,
        canary: Option<&'p Compiled>,
        read: impl FnMut(Input<'_>) -> Option<V>,
        mut random: impl FnMut() -> Option<u128>,
    ) -> Verdict<'p> {
        let mut verdict = Verdict { decision: None, passport: None, baggage: None, cookie: None };
        let mut request = Request::new(read);
        let mut carried = Carried::default();
        if let Some(border) = &self.border {
            carried = border.pass(&mut request, &mut random, &mut verdict);
        }
        verdict.decision = canary.map(|canary| canary.decide(&mut request, carried, random, &mut verdict.cookie));
        verdict
    }
}

/// What a passport says of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Carried<'p> {
    pub user: Option<User<'p>>,
    pub subset: Option<Subset>,
}

impl Compiled {
    fn decide<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        carried: Carried<'p>,
        random: impl FnMut() -> Option<u128>,
        cookie: &mut Option<String>,
    ) -> Decision<'p> {
        let user = carried.user.or_else(|| self.users.find(request, random, cookie));
        let digest = user.map(|user| user.digest);
        if self.deny.iter().any(|group| group.has(request, digest, self.seed)) {
            return Decision::Stable;
        }
        if let Some(tester) = self.overrides.iter().find(|tester| tester.condition.holds(request)) {
            return Decision::Override { subset: &tester.subset, by: &tester.condition.source };
        }
        if let Some(subset) = carried.subset {
            return Decision::Forced(subset);
        }
        if self.allow.as_ref().is_some_and(|groups| !groups.iter().any(|group| group.has(request, digest, self.seed))) {
            return Decision::Stable;
        }
        user.map_or(Decision::NoKey, |User { digest, by, since }| Decision::Bucket { bucket: bucket(digest, self.seed), by, since })
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Override { subset, by } => write!(f, "subset {subset} by override of {by}"),
            Self::Forced(subset) => write!(f, "subset {subset} by passport"),
            Self::Stable => f.write_str("the stable: denied or not allowed"),
            Self::Bucket { bucket, by, .. } => write!(f, "bucket {bucket} by {by}"),
            Self::NoKey => f.write_str("no key: Envoy draws"),
        }
    }
}
