//! Reads and writes our member of the `baggage` header (<https://www.w3.org/TR/baggage/>); all others stay as they are.

/// The name of our member.
const NAME: &[u8] = b"weir";
/// What every platform passes on; of more it may drop members.
const MOST_BYTES: usize = 8192;
const MOST_MEMBERS: usize = 64;

/// The value of our member, without properties; of several the first.
pub(crate) fn find(header: &[u8]) -> Option<&[u8]> {
    let value = members(header).find_map(ours)?;
    value.split(|&byte| byte == b';').next().map(<[u8]>::trim_ascii)
}

/// The header with this as the value of our only member, or without one. It gets none if it would be longer with it than all pass on.
pub(crate) fn with(header: &[u8], value: Option<&[u8]>) -> Vec<u8> {
    let others = members(header).filter(|member| ours(member).is_none());
    let mut count = 0;
    let mut written = Vec::with_capacity(header.len() + value.map_or(0, |value| value.len() + NAME.len() + 2));
    let mut add = |member: &[&[u8]]| {
        if !written.is_empty() {
            written.push(b',');
        }
        member.iter().for_each(|part| written.extend_from_slice(part));
    };
    for member in others.filter(|member| !member.trim_ascii().is_empty()) {
        add(&[member]);
        count += 1;
    }
    let length = written.len();
    if let Some(value) = value
        && count < MOST_MEMBERS
        && length + usize::from(length > 0) + NAME.len() + 1 + value.len() <= MOST_BYTES
    {
        let comma: &[u8] = if length > 0 { b"," } else { b"" };
        [comma, NAME, b"=", value].iter().for_each(|part| written.extend_from_slice(part));
    }
    written
}

fn members(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|&byte| byte == b',')
}

/// What follows the name, if a member is ours.
fn ours(member: &[u8]) -> Option<&[u8]> {
    member.trim_ascii().strip_prefix(NAME)?.trim_ascii_start().strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_our_first_member() {
        let cases: [(&[u8], Option<&[u8]>); 10] = [
            (b"weir=abc", Some(b"abc")),
            (b"a=1, weir = abc ;p=1, weir=def", Some(b"abc")),
            (b"a=1,weir=", Some(b"")),
            (b"a=1,weir=a=b", Some(b"a=b")),
            (b"weird=1,xweir=2,Weir=3", None),
            (b"weir", None),
            (b"a=weir=1", None),
            (b"a=1;weir=2", None),
            (b",,", None),
            (b"", None),
        ];
        for (header, expected) in cases {
            assert_eq!(find(header), expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn leaves_the_other_members_as_they_are() {
        let cases: [(&[u8], &[u8], &[u8]); 7] = [
            (b"", b"", b"weir=x"),
            (b"weir=old", b"", b"weir=x"),
            (b"a=1;p=2, b=%20", b"a=1;p=2, b=%20", b"a=1;p=2, b=%20,weir=x"),
            (b"weir=1, a=1 ,weir=2,b=2", b" a=1 ,b=2", b" a=1 ,b=2,weir=x"),
            (b"a=1, weir = 1;p ", b"a=1", b"a=1,weir=x"),
            (b", ,a=1,", b"a=1", b"a=1,weir=x"),
            (b"\xff=\x01", b"\xff=\x01", b"\xff=\x01,weir=x"),
        ];
        for (header, without, with_ours) in cases {
            assert_eq!(with(header, None), without, "{}", header.escape_ascii());
            assert_eq!(with(header, Some(b"x")), with_ours, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn adds_none_to_what_would_be_too_long_then() {
        let long = |length: usize| [b"a=".as_slice(), &vec![b'x'; length - 2]].concat();
        let room = MOST_BYTES - ",weir=x".len();
        assert_eq!(with(&long(room), Some(b"x")).len(), MOST_BYTES);
        assert_eq!(with(&long(room + 1), Some(b"x")), long(room + 1));
        let many = |count: usize| vec!["a=1"; count].join(",").into_bytes();
        assert_eq!(with(&many(63), Some(b"x")), [many(63), b",weir=x".to_vec()].concat());
        assert_eq!(with(&many(64), Some(b"x")), many(64));
        assert_eq!(with(&[many(64), b",weir=y".to_vec()].concat(), Some(b"x")), many(64));
    }
}
