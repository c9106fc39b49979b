//! Checks of single values that the reader's types do not make. Errors have the path within what is checked.

use crate::Error;
use crate::error::quoted;

/// As long as a label may be.
pub(crate) const LONGEST_NAME: usize = 63;

/// Compiles each entry of a list.
pub(crate) fn each<T, U>(list: &[T], compile: impl Fn(&T) -> Result<U, Error>) -> Result<Box<[U]>, Error> {
    let mut compiled = Vec::with_capacity(list.len());
    for entry in list {
        compiled.push(compile(entry).map_err(|error| error.at(compiled.len()))?);
    }
    Ok(compiled.into())
}

/// A list that is not too long.
pub(crate) fn at_most<T>(field: &str, list: &[T], most: usize) -> Result<(), Error> {
    if list.len() <= most { Ok(()) } else { Err(Error::new(field, format!("expected at most {most}, found {}", list.len()))) }
}

/// A header's or cookie's name: a token of RFC 9110, so that it can occur in a request at all.
pub(crate) fn token(what: &str, name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new("", format!("expected the name of a {what} (letters, digits and !#$%&'*+-.^_`|~), found {}", quoted(name))))
}

/// The name of a subset or train: what a header may carry and a person can read, and nothing that begins as [`crate::STABLE`] does.
pub(crate) fn name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(allowed) && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    let expected = format!("expected a name of letters, digits and -_./ that begins with one of the first, of at most {LONGEST_NAME}");
    Err(Error::new("", format!("{expected}, found {}", quoted(name))))
}

/// The name of a namespace or a workload (RFC 1123).
pub(crate) fn object_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::new("", format!("expected a name of lower-case letters, digits, - and ., found {}", quoted(name))))
}
