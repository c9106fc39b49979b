//! Finds a parameter in the query of a request's path (`:path`), as it stands there.

/// The value of the first parameter of that name.
pub(crate) fn find<'a>(path: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // Clients send no fragment, but one that does must not change the user.
    let path = path.split(|&byte| byte == b'#').next()?;
    let start = path.iter().position(|&byte| byte == b'?')?;
    let query = path.get(start + 1..)?;
    query.split(|&byte| byte == b'&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_the_first_parameter_of_the_name() {
        let cases: [(&[u8], Option<&[u8]>); 12] = [
            (b"/a?user=ann", Some(b"ann")),
            (b"/?a=1&user=ann&user=bob", Some(b"ann")),
            (b"/?user=", Some(b"")),
            (b"/?user=a=b", Some(b"a=b")),
            (b"/?user=a%20b#user=c", Some(b"a%20b")),
            (b"/?x=?user=ann", None),
            (b"/?user", None),
            (b"/user=ann", None),
            (b"/?xuser=ann&User=bob", None),
            (b"/?#user=ann", None),
            (b"/#?user=ann", None),
            (b"", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, b"user"), expected, "{}", path.escape_ascii());
        }
    }
}
