//! HTTP routes: one action each, and nothing in it that Envoy refuses.

use super::{Problems, virtual_service};
use crate::finding::Severity;
use crate::object::virtual_service::{Fault, HeaderOperations, Headers, HttpMatch, HttpRoute, Redirect, Rewrite, grpc_code};
use std::collections::BTreeMap;

/// The codes that Envoy redirects with.
const REDIRECT_CODES: [u32; 5] = [301, 302, 303, 307, 308];
/// What Envoy is told to take at most (`max_direct_response_body_size_bytes`).
const LONGEST_BODY: usize = 1 << 20;

pub(super) fn route(at: &str, route: &HttpRoute, problems: &mut Problems) {
    let actions = [!route.route.is_empty(), route.redirect.is_some(), route.direct_response.is_some()];
    match actions.iter().filter(|action| **action).count() {
        1 => {}
        0 => problems.error(at, "the route leads nowhere: give it route, redirect or directResponse"),
        _ => problems.error(at, "the route has several of route, redirect and directResponse: keep one"),
    }
    virtual_service::choices(&format!("{at}.route"), &route.route, problems);
    for (i, choice) in route.route.iter().enumerate() {
        headers(&format!("{at}.route[{i}].headers"), choice.headers.as_ref(), problems);
    }
    headers(&format!("{at}.headers"), route.headers.as_ref(), problems);
    for (i, matched) in route.matches.iter().enumerate() {
        http_match(&format!("{at}.match[{i}]"), matched, problems);
    }
    if let Some(mirror) = &route.mirror {
        virtual_service::destination(&format!("{at}.mirror"), mirror, problems);
    }
    for (i, mirror) in route.mirrors.iter().enumerate() {
        virtual_service::destination(&format!("{at}.mirrors[{i}].destination"), &mirror.destination, problems);
        problems.percent(&format!("{at}.mirrors[{i}].percentage"), mirror.percentage);
    }
    problems.percent(&format!("{at}.mirrorPercentage"), route.mirror_percentage);
    if let Some(direct) = &route.direct_response {
        status(&format!("{at}.directResponse.status"), direct.status, problems);
        if direct.body.as_ref().is_some_and(|body| body.string.len() > LONGEST_BODY) {
            problems.error(&format!("{at}.directResponse.body"), "a body is at most 1 MB long");
        }
    }
    redirect(&format!("{at}.redirect"), route.redirect.as_ref(), problems);
    rewrite(&format!("{at}.rewrite"), route.rewrite.as_ref(), problems);
    fault(&format!("{at}.fault"), route.fault.as_ref(), problems);
    problems.positive(&format!("{at}.retries.backoff"), route.retries.as_ref().and_then(|retries| retries.backoff));
}

fn http_match(at: &str, matched: &HttpMatch, problems: &mut Problems) {
    if let Some(uri) = &matched.uri {
        problems.string_match(&format!("{at}.uri"), uri, false);
    }
    for (name, text) in [("scheme", &matched.scheme), ("method", &matched.method), ("authority", &matched.authority)] {
        if let Some(text) = text {
            problems.string_match(&format!("{at}.{name}"), text, true);
        }
    }
    for (field, texts) in [("headers", &matched.headers), ("withoutHeaders", &matched.without_headers)] {
        for (name, text) in texts {
            problems.header_name(&format!("{at}.{field}.{name}"), name);
            problems.string_match(&format!("{at}.{field}.{name}"), text, true);
        }
    }
    for (name, text) in &matched.query_params {
        if name.is_empty() {
            problems.error(&format!("{at}.queryParams"), "a query parameter needs a name");
        }
        problems.string_match(&format!("{at}.queryParams.{name}"), text, true);
    }
}

fn headers(at: &str, headers: Option<&Headers>, problems: &mut Problems) {
    for (direction, operations) in headers.iter().flat_map(|headers| [("request", &headers.request), ("response", &headers.response)]) {
        operations_of(&format!("{at}.{direction}"), operations, direction == "request", problems);
    }
}

fn operations_of(at: &str, operations: &HeaderOperations, is_request: bool, problems: &mut Problems) {
    let mut named = |field: &str, name: &str, may_be_host: bool| {
        let at = format!("{at}.{field}");
        problems.header_name(&at, name);
        let is_host = name.eq_ignore_ascii_case("host") || name == ":authority";
        if (is_host && !may_be_host) || (name.starts_with(':') && !is_host) {
            problems.add(Severity::Warning, &at, format!("Envoy lets nobody change {name} here; it has no effect"));
        }
    };
    let fields: [(&str, &BTreeMap<String, String>, bool); 2] = [("set", &operations.set, is_request), ("add", &operations.add, false)];
    for (field, entries, may_be_host) in fields {
        entries.keys().for_each(|name| named(&format!("{field}.{name}"), name, may_be_host));
    }
    operations.remove.iter().enumerate().for_each(|(i, name)| named(&format!("remove[{i}]"), name, false));
    for (field, entries, _) in fields {
        for (name, value) in entries {
            let at = format!("{at}.{field}.{name}");
            problems.added(&at, name);
            problems.header_format(&at, value);
        }
    }
}

fn redirect(at: &str, redirect: Option<&Redirect>, problems: &mut Problems) {
    let Some(redirect) = redirect else { return };
    let Redirect { uri, authority, port, derive_port, scheme, redirect_code } = redirect;
    if [uri, authority, derive_port, scheme].iter().all(|text| text.is_empty()) && port.is_none() {
        problems.error(at, "a redirect needs a uri, authority, port or scheme");
    }
    if !["", "FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"].contains(&derive_port.as_str()) {
        problems.error(&format!("{at}.derivePort"), "expected FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT");
    }
    if redirect_code.is_some_and(|code| !REDIRECT_CODES.contains(&code)) {
        problems.error(&format!("{at}.redirectCode"), "a redirect's code is 301, 302, 303, 307 or 308");
    }
    for (name, value) in [("uri", uri), ("authority", authority), ("scheme", scheme)] {
        problems.header_value(&format!("{at}.{name}"), value);
    }
}

fn rewrite(at: &str, rewrite: Option<&Rewrite>, problems: &mut Problems) {
    let Some(rewrite) = rewrite else { return };
    problems.header_value(&format!("{at}.uri"), &rewrite.uri);
    problems.header_value(&format!("{at}.authority"), &rewrite.authority);
    if let Some(regex) = &rewrite.uri_regex_rewrite {
        problems.regex(&format!("{at}.uriRegexRewrite.match"), &regex.pattern);
        problems.header_value(&format!("{at}.uriRegexRewrite.rewrite"), &regex.rewrite);
    }
}

fn fault(at: &str, fault: Option<&Fault>, problems: &mut Problems) {
    let Some(fault) = fault else { return };
    if let Some(delay) = &fault.delay {
        let at = format!("{at}.delay");
        match delay.fixed_delay {
            Some(span) => problems.positive(&format!("{at}.fixedDelay"), Some(span)),
            None => problems.error(&at, "a delay needs a fixedDelay"),
        }
        problems.percent(&format!("{at}.percentage"), delay.percentage);
    }
    if let Some(abort) = &fault.abort {
        let at = format!("{at}.abort");
        match (abort.http_status, &abort.grpc_status) {
            (Some(code), None) => status(&format!("{at}.httpStatus"), code, problems),
            (None, Some(name)) if grpc_code(name).is_none() => {
                problems.error(&format!("{at}.grpcStatus"), &format!("{name:?} is no status of gRPC: write it as UNAVAILABLE"));
            }
            (None, Some(_)) => {}
            _ => problems.error(&at, "an abort needs one of httpStatus and grpcStatus"),
        }
        problems.percent(&format!("{at}.percentage"), abort.percentage);
    }
}

fn status(at: &str, status: u32, problems: &mut Problems) {
    if !(200..600).contains(&status) {
        problems.error(at, "an HTTP status is a number from 200 to 599");
    }
}
