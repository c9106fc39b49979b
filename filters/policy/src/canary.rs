//! The canary filter's policy: which version serves a user.

mod border;
mod config;
mod decide;
mod group;
mod mint;
mod passport;
mod policy;
mod request;
mod source;
mod user;
mod written;

pub mod governor;

pub use config::{
    Caller, Canary, Config, Governor, Hold, KeySource, Match, Mint, Order, Override, Passport, Rule, SameSite, SourceAddress,
};
pub use decide::{BUCKETS, Decision, Seen, Verdict};
pub use passport::Subset;
pub use policy::{Compiled, Governed, Policy};
pub use request::Input;
pub use source::Source;
pub use user::By;
