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

/// A text in quotation marks, on one line. (`{:?}` weighs 8 kB in a module: it knows of all scripts what can be shown.)
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(if char.is_ascii_control() { ' ' } else { char });
    }
    quoted + "\""
}

impl Error {
    /// Puts the path of the array or object around the value in front; called from the inside outwards.
    pub(crate) fn inside(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }

    /// The same for an element of an array.
    pub(crate) fn at(self, place: usize) -> Self {
        self.inside(&format!("[{place}]"))
    }

    pub(crate) fn new(path: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { path: path.into(), expected: expected.into() }
    }
}
