//! The locality filter's policy: which zone serves a request.
//!
//! While the nearest zone is right the filter says nothing: Envoy's priorities by locality apply, with
//! `previous_priorities` on retries, which no named zone has. So a zone is named only to keep requests away from one whose
//! failures this proxy sees.

mod config;
mod observed;
mod policy;
mod response;

pub use config::{Config, Locality, Service};
pub use observed::{Choice, Observed};
pub use policy::{Compiled, Policy};
pub use response::{Outcome, Response};
