//! Checks of single values that serde's types do not make.

use crate::Error;

/// A header's or cookie's name: a token of RFC 9110, so that it can occur in a request at all.
pub(crate) fn token(path: impl FnOnce() -> String, what: &str, name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new(path(), format!("expected the name of a {what} (letters, digits and !#$%&'*+-.^_`|~), found {name:?}")))
}

/// The name of a subset or train: what a header may carry and a person can read.
pub(crate) fn name(path: impl FnOnce() -> String, name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new(path(), format!("expected a name of letters, digits and -_./, found {name:?}")))
}
