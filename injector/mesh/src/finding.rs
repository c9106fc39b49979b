//! What is wrong with a user's objects: where, what, and what to do.

use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// How bad a finding is. `weir analyze` exits with 1 when there is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Info,
    /// Weir goes on, but a part of the object has no effect, or an effect that the user hardly wants.
    Warning,
    /// The object is rejected: its last good state stays in force.
    Error,
}

/// Where in a user's files something was found. Lines and columns count from 1; 0 means unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as the user named it; empty for an object that came from no file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// One finding about one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Istio's code where it has one (`IST0101` referenced object not found, `IST0106` schema, ...).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The object as `Kind namespace/name`; empty where the file was not readable as objects, or one has no name.
    pub object: String,
    /// The path of the field inside the object, such as `spec.http[0].route[0].destination.host`; may be empty.
    pub field: String,
    /// File, line and column.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong and what to do.
    pub message: String,
    /// The offending line of the file with a caret, for text that is not YAML; else empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub snippet: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// `routes.yaml:12:9: warning [IST0101] VirtualService shop/reviews spec.http[0]...: message`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.file.as_os_str().is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}", self.severity)?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        for part in [&self.object, &self.field] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        write!(f, ": {}", self.message)?;
        if !self.snippet.is_empty() {
            write!(f, "\n{}", self.snippet)?;
        }
        Ok(())
    }
}
