//! The text of a JSON document.

use super::{Decimal, Value};
use crate::Error;
use std::borrow::Cow;

/// How deep arrays and objects may lie in each other: far deeper than those of any configuration.
const MOST_LEVELS: usize = 32;
/// How many members an object may have, each of which is compared with all.
const MOST_MEMBERS: usize = 64;

pub(super) struct Text<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Text<'j> {
    pub(super) fn new(json: &'j [u8]) -> Result<Self, Error> {
        let json = std::str::from_utf8(json)
            .map_err(|error| Error::new(".", format!("expected UTF-8, not so at byte {}", error.valid_up_to())))?;
        Ok(Self { json, at: 0 })
    }

    /// The one value that the text is.
    pub(super) fn document(mut self) -> Result<Value<'j>, Error> {
        let value = self.value(0)?;
        if self.peek().is_none() { Ok(value) } else { Err(self.expected("the end of the document")) }
    }

    fn value(&mut self, level: usize) -> Result<Value<'j>, Error> {
        match self.peek() {
            Some(b'[' | b'{') if level == MOST_LEVELS => Err(self.expected(&format!("at most {MOST_LEVELS} levels"))),
            Some(b'"') => self.string().map(Value::String),
            Some(b'[') => self.array(level + 1),
            Some(b'{') => self.object(level + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.word("null") => Ok(Value::Null),
            _ if self.word("true") => Ok(Value::Bool(true)),
            _ if self.word("false") => Ok(Value::Bool(false)),
            _ if self.word("\u{feff}") => Err(self.expected("a document without a byte order mark")),
            _ => Err(self.expected("a value")),
        }
    }

    fn array(&mut self, level: usize) -> Result<Value<'j>, Error> {
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            match self.peek() {
                Some(b']') => {
                    elements.shrink_to_fit();
                    return Ok(self.taken(Value::Array(elements)));
                }
                Some(b',') if !elements.is_empty() => self.at += 1,
                Some(_) if elements.is_empty() => {}
                _ => return Err(self.expected("`,` or `]`")),
            }
            elements.push(self.value(level)?);
        }
    }

    fn object(&mut self, level: usize) -> Result<Value<'j>, Error> {
        self.at += 1;
        let mut members: Vec<(Cow<'j, str>, Value<'j>)> = Vec::new();
        loop {
            match self.peek() {
                Some(b'}') => {
                    members.shrink_to_fit();
                    return Ok(self.taken(Value::Object(members)));
                }
                Some(b',') if !members.is_empty() => self.at += 1,
                Some(_) if members.is_empty() => {}
                _ => return Err(self.expected("`,` or `}`")),
            }
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member's name in quotes"));
            }
            if members.len() == MOST_MEMBERS {
                return Err(self.expected(&format!("at most {MOST_MEMBERS} fields")));
            }
            let name = self.string()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.expected(&format!("each field once, found `{name}` again")));
            }
            if self.peek() != Some(b':') {
                return Err(self.expected("`:`"));
            }
            self.at += 1;
            members.push((name, self.value(level)?));
        }
    }

    fn rest(&self) -> &'j str {
        self.json.get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn taken<T>(&mut self, value: T) -> T {
        self.at += 1;
        value
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn digits(&mut self) -> Result<&'j str, Error> {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or_default())
    }

    fn number(&mut self) -> Result<Value<'j>, Error> {
        let plain = !self.word("-");
        let digits = self.digits()?;
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.expected("a number without a leading zero"));
        }
        let mut fraction = None;
        if self.word(".") {
            fraction = Some(self.digits()?);
        }
        if self.word("e") || self.word("E") {
            let is_small = self.word("-");
            let _sign = self.word("+");
            let exponent = self.digits()?.parse().ok().filter(|_| plain && is_small);
            // So serde_json writes what is small, and no configuration has anything large.
            let small = exponent.and_then(|exponent| Decimal::small(digits, fraction.unwrap_or_default(), exponent));
            return Ok(small.map_or(Value::OtherNumber, Value::Decimal));
        }
        let number: Option<u64> = digits.parse().ok().filter(|_| plain);
        Ok(match (number, fraction) {
            (None, _) => Value::OtherNumber,
            (Some(number), None) => Value::Unsigned(number),
            (Some(number), Some(fraction)) => Decimal::new(number, fraction).map_or(Value::OtherNumber, Value::Decimal),
        })
    }

    /// A string, from its opening quote on.
    fn string(&mut self) -> Result<Cow<'j, str>, Error> {
        self.at += 1;
        let mut string = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let plain = rest.bytes().take_while(|&byte| byte != b'"' && byte != b'\\' && byte >= b' ').count();
            self.at += plain;
            string += rest.get(..plain).unwrap_or_default();
            match self.byte() {
                Some(b'"') => return Ok(self.taken(string)),
                Some(b'\\') => {
                    self.at += 1;
                    let escaped = self.escaped()?;
                    string.to_mut().push(escaped);
                }
                Some(_) => return Err(self.expected("control characters in a string to be escaped")),
                None => return Err(self.expected("the end of a string")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Error> {
        let escape = self.byte();
        self.at += 1;
        Ok(match escape {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.hex()?;
                let low = if (0xd800..0xdc00).contains(&unit) && self.word("\\u") { Some(self.hex()?) } else { None };
                let units = std::iter::once(unit).chain(low);
                let mut chars = char::decode_utf16(units);
                match (chars.next(), chars.next()) {
                    (Some(Ok(char)), None) => char,
                    _ => return Err(self.expected("a pair of surrogates")),
                }
            }
            _ => return Err(self.expected("an escape")),
        })
    }

    fn hex(&mut self) -> Result<u16, Error> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit =
            digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn expected(&self, what: &str) -> Error {
        let before = self.json.as_bytes().get(..self.at).unwrap_or(self.json.as_bytes());
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        Error::new("", format!("expected {what} at line {line} column {column}"))
    }
}
