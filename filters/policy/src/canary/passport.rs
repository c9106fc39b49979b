//! The passport: a user's digest, and perhaps a forced subset, that only who has the key can make or read.
//!
//! It is sealed as Rogaway and Shrimpton's SIV is ("The Provable-Security Treatment of the Key-Wrap Problem"): the MAC of the content is
//! the nonce of its encryption. So equal users have equal passports, and an app that writes `baggage` to its log tells nobody who they are.
//! The pseudorandom function is SipHash-2-4 with 128 bits. Text: version, MAC and content in hexadecimal
//! digits.

use crate::Error;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt;
use std::hash::Hasher;

const VERSION: u8 = 1;
const MAC: usize = 16;
const DIGEST: usize = 8;
/// The longest label, so that every subset fits.
const SUBSET: usize = 63;
const BYTES: usize = 1 + MAC + DIGEST + SUBSET;
/// The longest text of one.
pub(super) const TEXT: usize = 2 * BYTES;

/// What a passport says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passport {
    /// The user's digest: [`super::decide`].
    pub user: u64,
    /// The subset that serves this request wherever there is one of this name.
    pub subset: Option<Subset>,
}

/// A subset's name that no policy lends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Subset {
    bytes: [u8; SUBSET],
    length: u8,
}

/// A key of the MAC and of the encryption.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    mac: [u8; 16],
    cipher: [u8; 16],
}

impl Subset {
    /// A name of at most 63 bytes.
    pub(super) fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; SUBSET];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { bytes, length: u8::try_from(name.len()).ok()? })
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl Key {
    /// Reads 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut halves = [[0; 16]; 2];
        // What stands there is a secret, so it is not repeated.
        let error = || Error::new("", "expected a key of 64 hexadecimal digits");
        unhex(text.as_bytes(), halves.as_flattened_mut()).filter(|key| key.len() == 32).ok_or_else(error)?;
        let [mac, cipher] = halves;
        Ok(Self { mac, cipher })
    }

    /// Writes a passport into the buffer.
    pub(super) fn seal<'b>(&self, passport: &Passport, buffer: &'b mut [u8; TEXT]) -> &'b [u8] {
        let mut bytes = [0; BYTES];
        let subset = passport.subset.as_ref().map(Subset::as_bytes).unwrap_or_default();
        let length = 1 + MAC + DIGEST + subset.len();
        let (head, content) = bytes.split_at_mut(1 + MAC);
        let content = content.get_mut(..DIGEST + subset.len()).unwrap_or_default();
        for (byte, from) in content.iter_mut().zip(passport.user.to_le_bytes().iter().chain(subset)) {
            *byte = *from;
        }
        let mac = prf(&self.mac, content);
        for (byte, from) in head.iter_mut().zip(std::iter::once(&VERSION).chain(&mac)) {
            *byte = *from;
        }
        self.crypt(&mac, content);
        for (byte, digits) in bytes.iter().zip(buffer.as_chunks_mut().0) {
            *digits = [digit(byte >> 4), digit(byte & 15)];
        }
        buffer.get(..2 * length).unwrap_or_default()
    }

    /// Reads a passport, if it was made with this key.
    pub(super) fn open(&self, text: &[u8]) -> Option<Passport> {
        let mut bytes = [0; BYTES];
        let bytes = unhex(text, &mut bytes)?;
        let ([VERSION, mac @ ..], content) = bytes.split_first_chunk_mut::<{ 1 + MAC }>()? else { return None };
        self.crypt(mac, content);
        // Without a way out before the end, so that nobody learns by time how much of a guess was right.
        let differs = prf(&self.mac, content).iter().zip(mac.iter()).fold(0, |differs, (one, other)| differs | (one ^ other));
        let (user, subset) = content.split_first_chunk::<DIGEST>().filter(|_| differs == 0)?;
        let subset = if subset.is_empty() { None } else { Some(Subset::new(subset)?) };
        Some(Passport { user: u64::from_le_bytes(*user), subset })
    }

    fn crypt(&self, nonce: &[u8; MAC], content: &mut [u8]) {
        for (block, part) in (0u8..).zip(content.chunks_mut(16)) {
            let mut input = [block; MAC + 1];
            input.iter_mut().zip(nonce).for_each(|(byte, from)| *byte = *from);
            part.iter_mut().zip(prf(&self.cipher, &input)).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
}

fn prf(key: &[u8; 16], input: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(input);
    hasher.finish128().as_bytes()
}

fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Reads as many bytes as there are digits for, if there is room.
fn unhex<'b>(text: &[u8], buffer: &'b mut [u8]) -> Option<&'b mut [u8]> {
    let (pairs, []) = text.as_chunks() else { return None };
    let bytes = buffer.get_mut(..pairs.len())?;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(bytes)
}

impl fmt::Debug for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

/// A secret is not shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(digit: char) -> Key {
        Key::parse(&digit.to_string().repeat(64)).unwrap()
    }

    fn text(key: &Key, passport: &Passport) -> Vec<u8> {
        key.seal(passport, &mut [0; TEXT]).to_vec()
    }

    #[test]
    fn a_passport_stays_readable_across_releases() {
        let passport = Passport { user: 0x0123_4567_89ab_cdef, subset: Subset::new(b"v3") };
        let known = "01868e5343f43c2a17689ad32ee2d1faf040463ac43f7bedd59326";
        assert_eq!(String::from_utf8(text(&key('a'), &passport)).unwrap(), known);
        assert_eq!(key('a').open(known.as_bytes()), Some(passport));
    }

    #[test]
    fn a_key_is_64_hexadecimal_digits() {
        for (text, good) in [("0f".repeat(32), true), ("0F".repeat(32), true), ("0g".repeat(32), false), ("0f".repeat(31), false)] {
            assert_eq!(Key::parse(&text).is_ok(), good, "{text}");
        }
        assert_eq!(Key::parse("").unwrap_err().to_string(), ": expected a key of 64 hexadecimal digits");
    }

    proptest! {
        #[test]
        fn who_has_the_key_reads_what_was_written(user: u64, subset in proptest::option::of("[ -~]{1,63}")) {
            let passport = Passport { user, subset: subset.as_ref().and_then(|name| Subset::new(name.as_bytes())) };
            let text = text(&key('a'), &passport);
            prop_assert_eq!(key('a').open(&text), Some(passport));
            prop_assert_eq!(key('b').open(&text), None);
        }

        #[test]
        fn one_changed_byte_makes_it_false(user: u64, at: prop::sample::Index, byte: u8) {
            let good = text(&key('a'), &Passport { user, subset: Subset::new(b"v2") });
            let mut bad = good.clone();
            bad[at.index(good.len())] = byte;
            prop_assert_eq!(key('a').open(&bad).is_some(), bad.eq_ignore_ascii_case(&good));
        }

        #[test]
        fn anything_else_is_false(text: Vec<u8>) {
            prop_assert_eq!(key('a').open(&text), None);
        }
    }
}
