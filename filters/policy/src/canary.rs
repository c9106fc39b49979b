//! The canary filter's policy: which version serves a user.

mod config;
mod decide;
mod mint;
mod policy;

pub use config::{Canary, Config, KeySource, Match, Mint, Override, SameSite, SourceAddress};
pub use decide::{BUCKETS, Decision, Input};
pub use mint::Minted;
pub use policy::{Compiled, Policy, Source};
