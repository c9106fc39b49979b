//! A line of `weir check`.

use std::fmt;

/// How what was looked at stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it shall be.
    Good,
    /// Worth to be known.
    Note,
    /// A problem.
    Bad,
}

/// What was looked at, how it stands, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How it stands.
    pub grade: Grade,
    /// What it is.
    pub text: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

/// As it shall be.
pub fn good(text: impl Into<String>) -> Line {
    Line { grade: Grade::Good, text: text.into(), advice: String::new() }
}

/// Worth to be known.
pub fn note(text: impl Into<String>, advice: impl Into<String>) -> Line {
    Line { grade: Grade::Note, text: text.into(), advice: advice.into() }
}

/// A problem, and what to do.
pub fn bad(text: impl Into<String>, advice: impl Into<String>) -> Line {
    Line { grade: Grade::Bad, text: text.into(), advice: advice.into() }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sign = match self.grade {
            Grade::Good => "✔",
            Grade::Note => "!",
            Grade::Bad => "✘",
        };
        write!(f, "{sign} {}", self.text.replace('\n', "\n    "))?;
        if !self.advice.is_empty() {
            write!(f, "\n    what to do: {}", self.advice.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_to_do_below_it() {
        assert_eq!(good("a").to_string(), "✔ a");
        assert_eq!(bad("a\nb", "c").to_string(), "✘ a\n    b\n    what to do: c");
    }
}
