//! Reads JSON (RFC 8259) into a configuration, so that an error names the path of what is wrong.
//!
//! A reader of our own, because of what a module weighs: serde's derived readers take 3 kB a type, and serde_json with
//! serde_path_to_error, which says the same, 65 kB more. A test holds the text's part against serde_json.

mod text;

use crate::Error;
use text::Text;

/// The only version of the configurations so far.
const VERSION: u32 = 1;

/// A JSON value.
pub(crate) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Negative, with a fraction or an exponent, or too large: no configuration has such a number.
    OtherNumber,
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// What can be read from a value. Errors have the path within it.
pub(crate) trait Read: Sized {
    fn read(value: Value) -> Result<Self, Error>;
}

/// The members of an object, to be taken one by one, and then none may be left. The first error counts.
pub(crate) struct Object {
    members: Vec<(String, Value)>,
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

impl Value {
    fn mismatch(&self, expected: &str) -> Error {
        let found = match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) => "a number",
            Self::OtherNumber => "a number that is negative, too large or not whole",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        };
        Error::new("", format!("expected {expected}, found {found}"))
    }
}

impl Object {
    /// Takes a value for an object.
    pub fn of(value: Value) -> Result<Self, Error> {
        let Value::Object(members) = value else { return Err(value.mismatch("an object")) };
        Ok(Self { members, known: Vec::new(), error: None })
    }

    /// A member that may be missing.
    pub fn optional<T: Read>(&mut self, name: &'static str, into: &mut Option<T>) -> &mut Self {
        match self.take(name) {
            None | Some(Value::Null) => {}
            Some(value) => *into = self.keep(name, T::read(value)),
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

    /// Nothing is left. A name that is not known is told before all else: it may be a misspelt one of those that are missing.
    pub fn end(&mut self) -> Result<(), Error> {
        if let Some((name, _)) = self.members.first() {
            return Err(Error::new(name, format!("unknown field `{name}`, expected {}", one_of(&self.known))));
        }
        self.error.take().map_or(Ok(()), Err)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let place = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.swap_remove(place).1)
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
pub(crate) fn variant<T>(value: Value, names: &[&str], read: impl FnOnce(&str, Value) -> Result<T, Error>) -> Result<T, Error> {
    let expected = || format!("expected an object with one of {}", names.join(", "));
    let Value::Object(members) = value else { return Err(Error::new("", expected())) };
    match <[(String, Value); 1]>::try_from(members) {
        Ok([(name, _)]) if !names.contains(&name.as_str()) => {
            Err(Error::new(&name, format!("unknown variant `{name}`, expected {}", one_of(names))))
        }
        Ok([(name, value)]) => read(&name, value).map_err(|error| error.inside(&name)),
        Err(members) => {
            let found: Vec<_> = members.iter().map(|(name, _)| format!("`{name}`")).collect();
            let found = if found.is_empty() { String::new() } else { format!(", found {}", found.join(" and ")) };
            Err(Error::new("", expected() + &found))
        }
    }
}

fn one_of(names: &[&str]) -> String {
    format!("one of `{}`", names.join("`, `"))
}

impl Read for String {
    fn read(value: Value) -> Result<Self, Error> {
        if let Value::String(text) = value { Ok(text) } else { Err(value.mismatch("a string")) }
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
