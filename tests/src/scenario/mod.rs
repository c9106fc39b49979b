//! What a mesh of the demos must show, each as a figure.

pub mod analyze;
pub mod bookinfo;
pub mod canary;
pub mod edits;
pub mod ends;
pub mod failures;
pub mod filters;
pub mod locality;
pub mod operations;
pub mod protocols;

use std::time::Duration;

/// An edit is in force at every proxy within this time; figures are counted after it.
const IN_FORCE: Duration = Duration::from_secs(5);
