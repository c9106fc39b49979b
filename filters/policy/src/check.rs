//! Checks of single values that the reader's types do not make. Errors have the path within what is checked.

use crate::Error;
use crate::error::quoted;

/// Compiles each entry of a list.
pub(crate) fn each<T, U>(list: &[T], compile: impl Fn(&T) -> Result<U, Error>) -> Result<Box<[U]>, Error> {
    let mut compiled = Vec::with_capacity(list.len());
    for entry in list {
        compiled.push(compile(entry).map_err(|error| error.at(compiled.len()))?);
    }
    Ok(compiled.into())
}

/// A header's or cookie's name: a token of RFC 9110, so that it can occur in a request at all.
pub(crate) fn token(what: &str, name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new("", format!("expected the name of a {what} (letters, digits and !#$%&'*+-.^_`|~), found {}", quoted(name))))
}

/// The name of a subset or train: what a header may carry and a person can read.
pub(crate) fn name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new("", format!("expected a name of letters, digits and -_./, found {}", quoted(name))))
}
