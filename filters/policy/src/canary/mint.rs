//! Makes a user of who has none: the cookie that a gateway hands out.

use super::config::{self, SameSite};
use crate::error::quoted;
use crate::{Error, check};
use std::fmt::Write;

/// A cookie to be handed out, ready but for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mint {
    name: Box<str>,
    /// What follows the value: ` Path=/` and so on, each with its `;` in front.
    attributes: Box<str>,
}

impl Mint {
    pub(super) fn new(mint: &config::Mint) -> Result<Self, Error> {
        check::token("cookie", &mint.name).map_err(|error| error.inside("name"))?;
        if mint.same_site == SameSite::None && !mint.secure {
            return Err(Error::new("secure", "expected true: with `sameSite: None` browsers take no other"));
        }
        let mut attributes = String::from("; Path=/");
        if let Some(lifetime) = &mint.lifetime {
            let seconds = seconds(lifetime).ok_or_else(|| {
                let expected = format!("expected hours, minutes and seconds such as 720h or 1h30m, found {}", quoted(lifetime));
                Error::new("lifetime", expected)
            })?;
            // Writing to a String cannot fail.
            let _ = write!(attributes, "; Max-Age={seconds}");
        }
        attributes.push_str(if mint.secure { "; Secure" } else { "" });
        attributes.push_str(if mint.http_only { "; HttpOnly" } else { "" });
        attributes.push_str(match mint.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        Ok(Self { name: mint.name.as_str().into(), attributes: attributes.into() })
    }

    /// The user of a random number that begins with the time, and the value of `set-cookie` by which the user is found again.
    pub(super) fn mint(&self, random: u128) -> (String, String) {
        let user = format!("{random:032x}");
        let cookie = format!("{}={user}{}", self.name, self.attributes);
        (user, cookie)
    }
}

/// When a user was made, in seconds since 1970; `None` if it is none that [`Mint::mint`] made.
pub(super) fn made_at(user: &[u8]) -> Option<u32> {
    let (time, rest) = user.split_at_checked(8)?;
    let is_ours = rest.len() == 24 && user.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(std::str::from_utf8(time).ok()?, 16).ok().filter(|_| is_ours)
}

/// More than none, as Istio writes durations but without fractions; `None` if it is none or too long for a browser.
fn seconds(duration: &str) -> Option<u32> {
    let mut rest = duration;
    let mut total: u32 = 0;
    for (unit, of_unit) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten()?;
        total = number.checked_mul(of_unit)?.checked_add(total)?;
        rest = after;
    }
    (rest.is_empty() && total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::{made_at, seconds};

    #[test]
    fn a_user_says_when_it_was_made() {
        assert_eq!(made_at(format!("{:032x}", (7 << 96) | 5_u128).as_bytes()), Some(7));
        let others = ["", "ann", "0000000g000000000000000000000000", "+0000007000000000000000000000000", "00000007", "é"];
        for other in others.into_iter().chain([format!("{:033x}", 7).as_str(), &format!("{:032X}", 15)]) {
            assert_eq!(made_at(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn reads_durations_of_whole_seconds() {
        let cases = [
            ("720h", Some(2_592_000)),
            ("1h30m", Some(5_400)),
            ("90s", Some(90)),
            ("1h1s", Some(3_601)),
            ("0s", None),
            ("", None),
            ("10", None),
            ("1.5h", None),
            ("-1h", None),
            ("+1h", None),
            ("h", None),
            ("30m1h", None),
            ("1h ", None),
            ("99999999h", None),
        ];
        for (duration, expected) in cases {
            assert_eq!(seconds(duration), expected, "{duration:?}");
        }
    }
}
