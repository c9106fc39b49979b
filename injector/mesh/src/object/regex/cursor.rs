//! What is left of an expression to read.

use super::Fault;

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn take(&mut self, prefix: &[u8]) -> bool {
        let rest = self.0.strip_prefix(prefix);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    pub(super) fn one_of(&mut self, bytes: &[u8]) -> bool {
        let found = self.0.first().is_some_and(|byte| bytes.contains(byte));
        if found {
            self.next();
        }
        found
    }

    /// What stands before an end; both are taken. Nothing is, where there is no such end.
    pub(super) fn until(&mut self, end: &[u8]) -> Option<&'a [u8]> {
        let at = self.0.windows(end.len()).position(|window| window == end)?;
        let (text, rest) = self.0.split_at_checked(at)?;
        self.0 = rest.strip_prefix(end)?;
        Some(text)
    }

    /// As many bytes of a kind as there are, up to a number.
    fn run(&mut self, most: usize, is_wanted: fn(&u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().take(most).take_while(|byte| is_wanted(byte)).count();
        let (run, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        run
    }

    /// After `{`: the least and the most of a repetition; none where the brace is just a brace to RE2, and nothing is taken.
    pub(super) fn counts(&mut self) -> Option<(u64, Option<u64>)> {
        let mut ahead = *self;
        let least = ahead.count()?;
        let most = match ahead.take(b",") {
            true if ahead.0.first() == Some(&b'}') => None,
            true => Some(ahead.count()?),
            false => Some(least),
        };
        let is_closed = ahead.take(b"}");
        if is_closed {
            *self = ahead;
        }
        is_closed.then_some((least, most))
    }

    fn count(&mut self) -> Option<u64> {
        let digits = self.run(9, u8::is_ascii_digit);
        if digits.starts_with(b"0") && digits.len() > 1 {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// After `\`: one character, as it may stand inside of brackets too.
    pub(super) fn escaped(&mut self) -> Result<u8, Fault> {
        let before = *self;
        match self.next() {
            None => Err(r"a \ at the end"),
            Some(b'a') => Ok(7),
            Some(b't') => Ok(b'\t'),
            Some(b'n') => Ok(b'\n'),
            Some(b'v') => Ok(11),
            Some(b'f') => Ok(12),
            Some(b'r') => Ok(b'\r'),
            Some(b'x') if self.take(b"{") => {
                let digits = self.until(b"}").unwrap_or_default();
                byte_of(digits, 16)
            }
            Some(b'x') => match self.run(2, u8::is_ascii_hexdigit) {
                digits @ [_, _] => byte_of(digits, 16),
                _ => Err(r"write \x41 or \x{41}"),
            },
            Some(b'0'..=b'7') => {
                *self = before;
                match self.run(3, |byte| (b'0'..=b'7').contains(byte)) {
                    [b'1'..=b'7'] => Err("RE2 has no references back to groups"),
                    digits => byte_of(digits, 8),
                }
            }
            Some(byte) if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Ok(byte),
            Some(_) => Err(r"a \ before a letter or a digit that RE2 gives no meaning to"),
        }
    }
}

/// Envoy matches bytes, so a character is one at most.
fn byte_of(digits: &[u8], radix: u32) -> Result<u8, Fault> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
    let byte = digits.and_then(|digits| u8::from_str_radix(digits, radix).ok());
    byte.ok_or("an escaped character is a number up to 255, as Envoy compares bytes")
}
