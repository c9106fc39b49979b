//! What keeps a pod from being injected.

use std::fmt;

/// Something in a pod that is to be mended before it can be injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field: `spec.containers`, or `annotation sidecar.istio.io/proxyCPU`.
    pub field: String,
    /// What is wrong with it, and what is expected.
    pub message: String,
}

impl Problem {
    pub(super) fn new(field: &str, message: impl Into<String>) -> Problem {
        Problem { field: field.into(), message: message.into() }
    }

    pub(super) fn annotation(name: &str, message: impl Into<String>) -> Problem {
        Problem { field: format!("annotation {name}"), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Problem {}
