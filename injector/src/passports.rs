//! The keys of passports, and how they are replaced without a passport becoming false on its way.

use anyhow::{Result, anyhow};
use std::fmt::Write;
use weir_mesh::mesh::Secrets;

/// The two keys that hold: the one that gateways seal with, and the one before it or after it. A proxy may be one step behind or ahead of
/// the others: what those seal with then, it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The one that gateways seal with.
    pub current: String,
    /// The other one.
    pub other: Other,
}

/// The key that is valid beside the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    /// It is made known before gateways seal with it.
    Next(String),
    /// Gateways sealed with it before.
    Previous(String),
}

impl Keys {
    /// New ones.
    pub fn generate() -> Result<Keys> {
        Ok(Keys { current: key()?, other: Other::Next(key()?) })
    }

    /// One step later: the next key becomes the current one, or the previous one makes way for a next one.
    pub fn stepped(self) -> Result<Keys> {
        Ok(match self.other {
            Other::Next(next) => Keys { current: next, other: Other::Previous(self.current) },
            Other::Previous(_) => Keys { current: self.current, other: Other::Next(key()?) },
        })
    }

    /// As the filters are sent them.
    pub fn secrets(&self) -> Secrets {
        let (Other::Next(other) | Other::Previous(other)) = &self.other;
        Secrets(vec![self.current.clone(), other.clone()])
    }
}

/// A key in hexadecimal digits.
fn key() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers: {error}"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_neighbouring_step_seals_with_is_known_at_each_step() {
        let mut steps = vec![Keys::generate().unwrap()];
        for _ in 0..6 {
            steps.push(steps.last().unwrap().clone().stepped().unwrap());
        }
        for (one, next) in steps.iter().zip(&steps[1..]) {
            assert_ne!(one, next);
            assert!(one.secrets().0.contains(&next.current) && next.secrets().0.contains(&one.current));
        }
        let sealing: std::collections::BTreeSet<_> = steps.iter().map(|keys| keys.current.clone()).collect();
        assert_eq!(sealing.len(), 4);
        assert!(sealing.iter().all(|key| key.len() == 64));
    }
}
