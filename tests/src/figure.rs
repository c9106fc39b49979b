//! One line of the demo's table: what was to be seen, and what was.

use std::fmt;

/// What was expected and what was measured.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was done.
    pub what: String,
    /// What a user was promised.
    pub expected: String,
    /// What was seen.
    pub measured: String,
    /// Whether the promise was kept.
    pub kept: bool,
}

impl Figure {
    /// A figure.
    pub fn new(what: impl Into<String>, expected: impl Into<String>, measured: impl Into<String>, kept: bool) -> Figure {
        Figure { what: what.into(), expected: expected.into(), measured: measured.into(), kept }
    }

    /// Fails the test if the promise was not kept.
    #[track_caller]
    pub fn check(&self) {
        println!("{self}");
        assert!(self.kept, "{self}");
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.kept { "ok " } else { "OFF" };
        write!(f, "{mark}  {:<70} {:<40} {}", self.what, self.expected, self.measured)
    }
}
