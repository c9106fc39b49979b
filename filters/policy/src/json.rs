//! Reads JSON (RFC 8259) into a configuration, so that an error names the path of what is wrong.
//!
//! A reader of our own, because of what a module weighs: serde_json with serde_path_to_error, which says the same, adds
//! 65 kB (each type twice, and the printing of floating point numbers). A test holds this one against serde_json.

mod text;

use crate::Error;
use serde::de::value::{CowStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use std::borrow::Cow;
use std::fmt;
use text::{Text, Token};

/// The only version of the configurations so far.
const VERSION: u32 = 1;

pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    let mut text = Text::new(json)?;
    let value =
        T::deserialize(&mut text).map_err(|error| if error.path.is_empty() { Error { path: ".".into(), ..error } } else { error })?;
    text.end()?;
    Ok(value)
}

pub(crate) fn version(version: u32) -> Result<(), Error> {
    if version == VERSION { Ok(()) } else { Err(Error::new("version", format!("expected {VERSION}, found {version}"))) }
}

impl Error {
    /// Puts the path of the array or object around the value in front; called from the inside outwards.
    fn inside(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("", message.to_string())
    }

    /// Without what was found: serde's own text prints floating point numbers, which weighs 20 kB.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("", format!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("", format!("expected {expected}"))
    }
}

fn one_of(names: &[&str]) -> String {
    format!("expected an object with one of {}", names.join(", "))
}

fn mismatch(found: &Token<'_>, expected: &dyn Expected) -> Error {
    let found = match found {
        Token::Null => "null",
        Token::Bool(_) => "a boolean",
        Token::Unsigned(_) => "a number",
        Token::OtherNumber => "a number that is negative, too large or not whole",
        Token::String(_) => "a string",
        Token::Array => "an array",
        Token::Object => "an object",
    };
    Error::new("", format!("expected {expected}, found {found}"))
}

impl<'de> de::Deserializer<'de> for &mut Text<'de> {
    type Error = Error;

    /// For types that ask for no kind of value; those below read theirs alone, which makes less code per type.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Null => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Unsigned(value) => visitor.visit_u64(value),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::String(value) => visitor.visit_string(value.into_owned()),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Array => visitor.visit_seq(Elements { text: self, place: 0 }),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Object => visitor.visit_map(Members { text: self, name: "".into(), first: true }),
            other => Err(mismatch(&other, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_null()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// An enum is an object with one member, which names the variant.
    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, names: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let Token::Object = self.token()? else {
            return Err(Error::new("", one_of(names)));
        };
        let name = self.member(true)?.ok_or_else(|| Error::new("", one_of(names)))?;
        let value = visitor.visit_enum(Variant { text: self, name: &name }).map_err(|error| error.inside(&name))?;
        match self.member(false)? {
            None => Ok(value),
            Some(second) => Err(Error::new("", format!("{}, found `{name}` and `{second}`", one_of(names)))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct
        tuple tuple_struct identifier ignored_any
    }
}

struct Elements<'t, 'de> {
    text: &'t mut Text<'de>,
    place: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if !self.text.element(self.place == 0)? {
            return Ok(None);
        }
        let value = seed.deserialize(&mut *self.text).map_err(|error| error.inside(&format!("[{}]", self.place)))?;
        self.place += 1;
        Ok(Some(value))
    }
}

struct Members<'t, 'de> {
    text: &'t mut Text<'de>,
    name: Cow<'de, str>,
    first: bool,
}

impl<'de> de::MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(name) = self.text.member(std::mem::take(&mut self.first))? else {
            return Ok(None);
        };
        self.name = name;
        let key: CowStrDeserializer<'_, Error> = Cow::Borrowed(&*self.name).into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.inside(&self.name))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(&mut *self.text).map_err(|error| error.inside(&self.name))
    }
}

struct Variant<'t, 'de> {
    text: &'t mut Text<'de>,
    name: &'t str,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        serde::Deserialize::deserialize(self.text)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.text)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_seq(self.text, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_map(self.text, visitor)
    }
}
