//! The canary filter's policy: which version serves a user.

mod config;
mod decide;
mod policy;

pub use config::{Canary, Config, KeySource, Match, Override, SourceAddress};
pub use decide::{BUCKETS, Decision, Input};
pub use policy::{Compiled, Policy, Source};
