//! Reads JSON (RFC 8259) into a configuration, so that an error names the path of what is wrong.
//!
//! A reader of our own, because of what a module weighs: serde's derived readers take 3 kB a type, and serde_json with
//! serde_path_to_error, which says the same, 65 kB more. A test holds the text's part against serde_json.

mod decimal;
mod text;

pub use decimal::Decimal;

use crate::Error;
use std::borrow::Cow;
use text::Text;

/// The only version of the configurations so far.
const VERSION: u32 = 1;

/// A JSON value. Of a large document there is little else in a filter's memory, so texts stay where they stand.
pub(crate) enum Value<'j> {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// With a fraction.
    Decimal(Decimal),
    /// Negative, with an exponent, or too large: no configuration has such a number.
    OtherNumber,
    String(Cow<'j, str>),
    Array(Vec<Value<'j>>),
    Object(Vec<(Cow<'j, str>, Value<'j>)>),
}

/// What can be read from a value. Errors have the path within it.
pub(crate) trait Read: Sized {
    fn read(value: Value) -> Result<Self, Error>;
}

/// The members of an object, to be taken one by one, and then none may be left. The first error counts.
pub(crate) struct Object<'j> {
    members: Vec<(Cow<'j, str>, Value<'j>)>,
    known: Vec<&'static str>,
    error: Option<Error>,
}

pub(crate) fn read<T: Read>(json: &[u8]) -> Result<T, Error> {
    let read = || T::read(Text::new(json)?.document()?);
    read().map_err(|error| if error.path.is_empty() { Error { path: ".".into(), ..error } } else { error })
}

pub(crate) fn version(version: u32) -> Result<(), Error> {
    if version == VERSION { Ok(()) } else { Err(Error::new("version", format!("expected {VERSION}, found {version}"))) }
}

/// Refuses a member that is not a user's to write.
pub(crate) fn not_filled_in(name: &str, is_there: bool) -> Result<(), Error> {
    if is_there { Err(Error::new(name, "expected nothing, since the control plane fills it in: leave it out")) } else { Ok(()) }
}

impl Value<'_> {
    /// What stands there instead of what was expected, and what to write.
    fn mismatch(&self, expected: &str) -> Error {
        let found = match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) => "a number",
            Self::Decimal(_) => "a number with a fraction",
            Self::OtherNumber => "a number that is negative, too large or with an exponent",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        };
        let write = match (expected, self) {
            ("a string", Self::Bool(_) | Self::Unsigned(_) | Self::Decimal(_) | Self::OtherNumber) => ": write it in quotes",
            ("a whole number" | "a number of at least 0" | "a boolean", Self::String(_)) => ": write it without quotes",
            _ => "",
        };
        Error::new("", format!("expected {expected}, found {found}{write}"))
    }
}

impl<'j> Object<'j> {
    /// Takes a value for an object.
    pub fn of(value: Value<'j>) -> Result<Self, Error> {
        let Value::Object(members) = value else { return Err(value.mismatch("an object")) };
        Ok(Self { members, known: Vec::new(), error: None })
    }

    /// A member that may be missing.
    pub fn optional<T: Read>(&mut self, name: &'static str, into: &mut Option<T>) -> &mut Self {
        if let Some(value) = self.take(name) {
            *into = self.keep(name, T::read(value));
        }
        self
    }

    /// A member that has a meaning where it is missing: what stands there already.
    pub fn or<T: Read>(&mut self, name: &'static str, into: &mut T) -> &mut Self {
        if let Some(value) = self.take(name)
            && let Some(read) = self.keep(name, T::read(value))
        {
            *into = read;
        }
        self
    }

    /// A member that must be there.
    pub fn required<T: Read>(&mut self, name: &'static str, into: &mut T) -> &mut Self {
        if !self.members.iter().any(|(known, _)| known == name) {
            self.fail(Error::new("", format!("missing field `{name}`")));
        }
        self.or(name, into)
    }

    /// The member before is one that the control plane fills in: nobody is told to write it.
    pub fn filled_in(&mut self) -> &mut Self {
        self.known.pop();
        self
    }

    /// Nothing is left. A name that is not known is told before all else: it may be a misspelt one of those that are missing.
    pub fn end(&mut self) -> Result<(), Error> {
        if let Some((name, _)) = self.members.first() {
            return Err(Error::new(name.as_ref(), unknown("field", name, &self.known)));
        }
        self.error.take().map_or(Ok(()), Err)
    }

    fn take(&mut self, name: &'static str) -> Option<Value<'j>> {
        self.known.push(name);
        let place = self.members.iter().position(|(known, _)| known == name)?;
        let value = self.members.swap_remove(place).1;
        if matches!(value, Value::Null) {
            // YAML has it for a value that was forgotten too, and for one that is no number: then all would be meant.
            self.fail(Error::new(name, "expected a value, found null: write one, or leave the field out"));
            return None;
        }
        Some(value)
    }

    fn keep<T>(&mut self, name: &str, read: Result<T, Error>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.fail(error.inside(name));
                None
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }
}

/// One of several kinds, an object with one member that names it: the place of the name, and what `read` makes of the value.
pub(crate) fn variant<'j, T>(value: Value<'j>, names: &[&str], read: impl FnOnce(&str, Value<'j>) -> Result<T, Error>) -> Result<T, Error> {
    let expected = || format!("expected an object with one of {}", names.join(", "));
    let Value::Object(members) = value else { return Err(Error::new("", expected())) };
    match <[(Cow<str>, Value); 1]>::try_from(members) {
        Ok([(name, _)]) if !names.contains(&name.as_ref()) => Err(Error::new(name.as_ref(), unknown("variant", &name, names))),
        Ok([(name, value)]) => read(&name, value).map_err(|error| error.inside(&name)),
        Err(members) => {
            let found: Vec<_> = members.iter().map(|(name, _)| format!("`{name}`")).collect();
            let found = if found.is_empty() { String::new() } else { format!(", found {}", found.join(" and ")) };
            Err(Error::new("", expected() + &found))
        }
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    // A module reads what the control plane wrote, and nobody reads what it says.
    let near = if cfg!(target_os = "unknown") { None } else { known.iter().map(|known| (difference(name, known), known)).min() };
    let meant = match near {
        Some((difference, near)) if difference * 2 <= name.len() => format!(" (is `{near}` meant?)"),
        _ => String::new(),
    };
    let expected = if known.is_empty() { "none".into() } else { format!("one of `{}`", known.join("`, `")) };
    format!("unknown {what} `{name}`{meant}, expected {expected}")
}

/// How long what differs between two names is: what is between their common beginning and end, without a look at case, `-` and `_`.
fn difference(one: &str, other: &str) -> usize {
    let letters = |name: &str| name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect::<Vec<u8>>();
    let (mut one, mut other) = (letters(one), letters(other));
    for _ in 0..2 {
        while !one.is_empty() && one.last() == other.last() {
            one.pop();
            other.pop();
        }
        one.reverse();
        other.reverse();
    }
    one.len().max(other.len())
}

impl Read for String {
    fn read(value: Value) -> Result<Self, Error> {
        if let Value::String(text) = value { Ok(text.into_owned()) } else { Err(value.mismatch("a string")) }
    }
}

impl Read for bool {
    fn read(value: Value) -> Result<Self, Error> {
        if let Value::Bool(value) = value { Ok(value) } else { Err(value.mismatch("a boolean")) }
    }
}

impl Read for u32 {
    fn read(value: Value) -> Result<Self, Error> {
        match value {
            Value::Unsigned(number) => Self::try_from(number).map_err(|_| Value::OtherNumber.mismatch("a whole number")),
            other => Err(other.mismatch("a whole number")),
        }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: Value) -> Result<Self, Error> {
        let Value::Array(elements) = value else { return Err(value.mismatch("an array")) };
        let mut read = Self::with_capacity(elements.len());
        for element in elements {
            read.push(T::read(element).map_err(|error| error.at(read.len()))?);
        }
        Ok(read)
    }
}
