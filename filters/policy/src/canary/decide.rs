//! Decides one request: an override, a bucket, or nothing.

use super::mint::Minted;
use super::policy::{Compiled, Source, Tester};
use crate::{cookie, query};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many buckets users are dealt to: a weight of one part in ten thousand moves one bucket.
pub const BUCKETS: u16 = 10_000;

/// What the filter does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'p> {
    /// The request goes to this subset: it carries what an override asks for.
    Override {
        /// The subset's name, for [`crate::SUBSET_HEADER`].
        subset: &'p str,
        /// What matched.
        by: &'p Source,
    },
    /// The request has a user, and the user this bucket.
    Bucket {
        /// Below [`BUCKETS`], for [`crate::BUCKET_HEADER`].
        bucket: u16,
        /// Where the user was found.
        by: &'p Source,
    },
    /// No source names a user, and the policy wants one made: [`Compiled::mint`].
    Mint,
    /// No source names a user: Envoy draws by the route's weights.
    NoKey,
}

/// A part of the request that a decision asks for, each at most once and only when it matters: reading is what costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'p> {
    /// The header of this name in lower case; of several the first, as Envoy hands it over.
    Header(&'p str),
    /// All `cookie` headers, joined by `;`: RFC 6265 allows one alone in HTTP/1, and yet some proxies send several. Asked for
    /// when the first, which is cheaper to read, has not the cookie.
    Cookies,
    /// An attribute of Envoy's, by its path with a zero between the parts.
    Attribute(&'p str),
    /// The client's address, `IP:PORT`.
    SourceAddress,
}

impl Compiled {
    /// Decides a request, which `read` knows. Overrides come before keys, both in the order written.
    ///
    /// The bucket is `xxh3_64(user, seed = xxh3_64(train or service))`, scaled to [`BUCKETS`] by its high bits: the same on
    /// every proxy, in every build, for ever.
    pub fn decide<V: AsRef<[u8]>>(&self, read: impl FnMut(Input<'_>) -> Option<V>) -> Decision<'_> {
        let mut request = Request { read, cookie: None, cookies: None };
        for Tester { source, exact, subset } in &self.overrides {
            if request.with(source, |value| value == exact.as_ref()) == Some(true) {
                return Decision::Override { subset, by: source };
            }
        }
        for source in &self.keys {
            let bucket = request.with(source, |user| (!user.is_empty()).then(|| bucket(user, self.seed)));
            if let Some(Some(bucket)) = bucket {
                return Decision::Bucket { bucket, by: source };
            }
        }
        if self.mint.is_some() { Decision::Mint } else { Decision::NoKey }
    }

    /// The user that a random number makes, if the policy makes users.
    pub fn mint(&self, random: u128) -> Option<Minted> {
        self.mint.as_ref().map(|mint| mint.mint(random, self.seed))
    }
}

pub(super) fn bucket(user: &[u8], seed: u64) -> u16 {
    let scaled = u128::from(xxh3_64_with_seed(user, seed)) * u128::from(BUCKETS);
    (scaled >> 64) as u16
}

/// The request, with its cookies kept once they were read: of the first header, and of all.
struct Request<V, R> {
    read: R,
    cookie: Option<Option<V>>,
    cookies: Option<Option<V>>,
}

impl<V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>> Request<V, R> {
    fn with<T>(&mut self, source: &Source, use_value: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match source {
            Source::Header(name) => (self.read)(Input::Header(name)).map(|value| use_value(value.as_ref())),
            Source::Query(name) => {
                let path = (self.read)(Input::Header(":path"))?;
                query::find(path.as_ref(), name.as_bytes()).map(use_value)
            }
            Source::Claim { attribute, .. } => (self.read)(Input::Attribute(attribute)).map(|value| use_value(value.as_ref())),
            Source::Address => (self.read)(Input::SourceAddress).map(|value| use_value(without_port(value.as_ref()))),
            Source::Cookie(name) => self.cookie(name.as_bytes()).map(use_value),
        }
    }

    fn cookie(&mut self, name: &[u8]) -> Option<&[u8]> {
        let Self { read, cookie, cookies } = self;
        let first = cookie.get_or_insert_with(|| read(Input::Header("cookie"))).as_ref()?;
        cookie::find(first.as_ref(), name).or_else(|| {
            let all = cookies.get_or_insert_with(|| read(Input::Cookies)).as_ref()?;
            cookie::find(all.as_ref(), name)
        })
    }
}

/// Envoy writes addresses with the port, which differs per connection.
fn without_port(address: &[u8]) -> &[u8] {
    address.iter().rposition(|&byte| byte == b':').and_then(|colon| address.get(..colon)).unwrap_or(address)
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Override { subset, by } => write!(f, "subset {subset} by override of {by}"),
            Self::Bucket { bucket, by } => write!(f, "bucket {bucket} by {by}"),
            Self::Mint => f.write_str("a new user"),
            Self::NoKey => f.write_str("no key: Envoy draws"),
        }
    }
}
