//! The locality filter's policy: which zone serves a request.
//!
//! While the nearest zone is right the filter says nothing: Envoy's priorities by locality apply, with
//! `previous_priorities` on retries, which no named zone has. So a zone is named only to keep requests away from one whose
//! failures this proxy sees, or, where the policy asks for it, from one that takes longer than another.

mod config;
mod dice;
mod health;
mod latency;
mod observed;
mod policy;
mod response;
mod service;
mod shared;
mod watch;
mod zone;

pub use config::{Config, Locality, Price, Service, Spill};
pub use observed::{Choice, Ended, Observed};
pub use policy::{Compiled, Policy};
pub use response::{Outcome, Response};
