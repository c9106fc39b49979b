//! Who a request is from, and which bucket a user has.

use super::decide::BUCKETS;
use super::mint::{Mint, made_at};
use super::request::{Input, Request};
use super::source::Source;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The digests' key, which never changes: users would change their versions with it.
const DIGEST: u64 = 0x5765_6972_2075_7365;

/// Where users are found, and what is done where none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Users {
    pub keys: Box<[Source]>,
    pub mint: Option<Mint>,
    /// Whether the last key is the mint's cookie, and asked when a user came.
    pub dated: bool,
}

/// A user by the digest of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User<'p> {
    pub digest: u64,
    pub by: By<'p>,
    /// When it came, in seconds since 1970, if that is asked and a cookie of ours says it.
    pub since: Option<u32>,
}

/// Where a user was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'p> {
    /// In the request.
    Source(&'p Source),
    /// In the passport.
    Passport,
    /// Nowhere, and so the request's browser is given a cookie to be known by.
    Minted,
    /// Nowhere, and so a gateway drew one for this request.
    Drawn,
}

impl Users {
    /// The user, by the first source that is there and not empty, or a new one, with the cookie for the answer.
    pub fn find<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        mut random: impl FnMut() -> Option<u128>,
        cookie: &mut Option<String>,
    ) -> Option<User<'p>> {
        for (place, source) in self.keys.iter().enumerate() {
            let is_ours = self.dated && place + 1 == self.keys.len();
            let user = request.with(source, |user| (!user.is_empty()).then(|| (digest(user), if is_ours { made_at(user) } else { None })));
            if let Some(Some((digest, since))) = user {
                return Some(User { digest, by: By::Source(source), since });
            }
        }
        let (user, set_cookie) = self.mint.as_ref()?.mint(random()?);
        *cookie = Some(set_cookie);
        let since = if self.dated { made_at(user.as_bytes()) } else { None };
        Some(User { digest: digest(user.as_bytes()), by: By::Minted, since })
    }
}

/// A user's digest: `xxh3_64(user, seed = DIGEST)`, the same on every proxy, in every build, for ever.
pub(super) fn digest(user: &[u8]) -> u64 {
    xxh3_64_with_seed(user, DIGEST)
}

/// A user's bucket: `xxh3_64(digest, seed = xxh3_64(train or service))`, scaled to [`BUCKETS`] by its high bits; for ever, too.
pub(super) fn bucket(digest: u64, seed: u64) -> u16 {
    let scaled = u128::from(xxh3_64_with_seed(&digest.to_le_bytes(), seed)) * u128::from(BUCKETS);
    (scaled >> 64) as u16
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => source.fmt(f),
            Self::Passport => f.write_str("passport"),
            Self::Minted => f.write_str("a new cookie"),
            Self::Drawn => f.write_str("a draw, which the passport carries"),
        }
    }
}
