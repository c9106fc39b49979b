//! What a mesh of the demos must show, each as a figure.

pub mod bookinfo;
pub mod canary;
pub mod locality;
pub mod operations;

use std::time::Duration;

/// An edit is in force at every proxy within this time; figures are counted after it.
const IN_FORCE: Duration = Duration::from_secs(5);
