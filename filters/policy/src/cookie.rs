//! Finds a cookie in the `cookie` header, tolerantly as RFC 6265 section 5 asks of a server.

/// The value of the first cookie of that name, without surrounding quotes. Names are compared with case.
pub(crate) fn find<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    header.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let rest = pair.strip_prefix(name)?.trim_ascii_start();
        let value = rest.strip_prefix(b"=")?.trim_ascii_start();
        Some(value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_the_first_cookie_of_the_name() {
        let cases: [(&[u8], Option<&[u8]>); 12] = [
            (b"user=ann", Some(b"ann")),
            (b"a=1; user=ann; user=bob", Some(b"ann")),
            (b"a=1;user=ann", Some(b"ann")),
            (b" user = ann ;a=1", Some(b"ann")),
            (b"user=\"ann\"", Some(b"ann")),
            (b"user=\"", Some(b"\"")),
            (b"user=a=b", Some(b"a=b")),
            (b"user=", Some(b"")),
            (b"user=\xff\xfe", Some(b"\xff\xfe")),
            (b"username=ann; xuser=bob; User=eve", None),
            (b"user", None),
            (b"", None),
        ];
        for (header, expected) in cases {
            assert_eq!(find(header, b"user"), expected, "{}", header.escape_ascii());
        }
    }
}
