//! Reads what a decision asks of a request.

use super::source::Source;
use crate::{cookie, query};

/// A part of the request that a decision asks for, each at most once and only when it matters: reading is what costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'p> {
    /// The header of this name in lower case; of several the first, as Envoy hands it over.
    Header(&'p str),
    /// All headers of this name, joined by `,`; where one is not enough, as it is cheaper to read.
    Joined(&'p str),
    /// All `cookie` headers, joined by `;`: RFC 6265 allows one alone in HTTP/1, and yet some proxies send several. Asked for
    /// when the first, which is cheaper to read, has not the cookie.
    Cookies,
    /// An attribute of Envoy's, by its path with a zero between the parts.
    Attribute(&'p str),
    /// The client's address, `IP:PORT`.
    SourceAddress,
}

/// The request, with what is asked for again kept once it was read: the last header, and the cookies of the first header and of all.
pub(super) struct Request<'p, V, R> {
    read: R,
    header: Option<(&'p str, Option<V>)>,
    cookie: Option<Option<V>>,
    cookies: Option<Option<V>>,
}

impl<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>> Request<'p, V, R> {
    pub fn new(read: R) -> Self {
        Self { read, header: None, cookie: None, cookies: None }
    }

    /// What stands at a source, if anything does.
    pub fn with<T>(&mut self, source: &'p Source, use_value: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match source {
            Source::Header(name) => self.header(name).map(use_value),
            Source::Query(name) => query::find(self.header(":path")?, name.as_bytes()).map(use_value),
            Source::Claim { attribute, .. } => (self.read)(Input::Attribute(attribute)).map(|value| use_value(value.as_ref())),
            Source::Address => (self.read)(Input::SourceAddress).map(|value| use_value(without_port(value.as_ref()))),
            Source::Cookie(name) => self.cookie(name.as_bytes()).map(use_value),
        }
    }

    /// The first `baggage` header, and nearly always the only one.
    pub fn baggage(&mut self) -> Option<V> {
        (self.read)(Input::Header("baggage"))
    }

    /// All of them as one.
    pub fn all_baggage(&mut self) -> Option<V> {
        (self.read)(Input::Joined("baggage"))
    }

    fn header(&mut self, name: &'p str) -> Option<&[u8]> {
        if self.header.as_ref().is_none_or(|(known, _)| *known != name) {
            self.header = Some((name, (self.read)(Input::Header(name))));
        }
        self.header.as_ref()?.1.as_ref().map(AsRef::as_ref)
    }

    fn cookie(&mut self, name: &[u8]) -> Option<&[u8]> {
        let Self { read, cookie, cookies, .. } = self;
        let first = cookie.get_or_insert_with(|| read(Input::Header("cookie"))).as_ref()?;
        cookie::find(first.as_ref(), name).or_else(|| {
            let all = cookies.get_or_insert_with(|| read(Input::Cookies)).as_ref()?;
            cookie::find(all.as_ref(), name)
        })
    }
}

/// Envoy writes addresses with the port, which differs per connection.
fn without_port(address: &[u8]) -> &[u8] {
    address.iter().rposition(|&byte| byte == b':').and_then(|colon| address.get(..colon)).unwrap_or(address)
}
