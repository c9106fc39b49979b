//! Classes of characters: `[a-z]`, `\d`, `[[:alpha:]]`, `\p{Greek}`.

use super::cursor::Cursor;
use super::{Fault, names};

/// What makes a class behind a `\`.
pub(super) const PERL: &[u8] = b"dDsSwW";
const POSIX: [&[u8]; 14] = [
    b"alnum", b"alpha", b"ascii", b"blank", b"cntrl", b"digit", b"graph", b"lower", b"print", b"punct", b"space", b"upper", b"word",
    b"xdigit",
];

/// After `[`.
pub(super) fn class(cursor: &mut Cursor) -> Result<(), Fault> {
    cursor.take(b"^");
    // A ] that stands first is a character.
    let mut is_first = true;
    while is_first || !cursor.take(b"]") {
        is_first = false;
        if named(cursor)? {
            continue;
        }
        let low = member(cursor)?;
        if matches!(cursor.0, [b'-', next, ..] if *next != b']') {
            cursor.next();
            if member(cursor)? < low {
                return Err("a range of characters that ends before it begins");
            }
        }
    }
    Ok(())
}

/// A whole class inside of brackets.
fn named(cursor: &mut Cursor) -> Result<bool, Fault> {
    let mut ahead = *cursor;
    let is_named = if ahead.take(b"[:") {
        match ahead.until(b":]") {
            None => return Ok(false),
            Some(name) if POSIX.contains(&name.strip_prefix(b"^").unwrap_or(name)) => true,
            Some(_) => return Err("an unknown [:class:]"),
        }
    } else {
        ahead.take(b"\\") && (ahead.one_of(PERL) || unicode(&mut ahead)?)
    };
    if is_named {
        *cursor = ahead;
    }
    Ok(is_named)
}

/// After `\`: whether a class of Unicode's stands there, `pL` or `P{Greek}`.
pub(super) fn unicode(cursor: &mut Cursor) -> Result<bool, Fault> {
    if !cursor.one_of(b"pP") {
        return Ok(false);
    }
    let name = if cursor.take(b"{") {
        let name = cursor.until(b"}").unwrap_or_default();
        name.strip_prefix(b"^").unwrap_or(name)
    } else {
        let (name, rest) = cursor.0.split_at_checked(1).unwrap_or_default();
        *cursor = Cursor(rest);
        name
    };
    let is_known = std::str::from_utf8(name).is_ok_and(names::is_unicode_group);
    if is_known {
        Ok(true)
    } else {
        Err(r"RE2 knows \p{...} of general categories (Lu, Nd) and scripts (Greek) alone, in exactly this case")
    }
}

fn member(cursor: &mut Cursor) -> Result<u8, Fault> {
    if cursor.take(b"\\") { cursor.escaped() } else { cursor.next().ok_or("a [ without a ]") }
}
