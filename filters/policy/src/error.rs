//! What is wrong with a policy, and where.

/// A policy that was refused: the place in the JSON and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {expected}")]
pub struct Error {
    /// The JSON path, such as `canaries[0].hosts[1]`; `.` is the whole document.
    pub path: String,
    /// What is wrong there and what was expected.
    pub expected: String,
}

impl Error {
    /// Puts the path of the array or object around the value in front; called from the inside outwards.
    pub(crate) fn inside(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }

    pub(crate) fn new(path: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { path: path.into(), expected: expected.into() }
    }
}
