//! What a route matches: Istio's HTTPMatchRequest as Envoy's RouteMatch.

use crate::mesh::service::subset_of;
use crate::mesh::workload::Workload;
use crate::object::virtual_service::{HttpMatch, StringMatch};
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};

use super::boolean;

/// Whether a match concerns requests at a gateway (`namespace/name` or `mesh`) on a port, made by a workload.
/// If it names gateways, labels and namespace of the source do not count (`istio-semantics` 9).
pub(crate) fn concerns(matched: &HttpMatch, gateway: &str, port: u16, caller: &Workload) -> bool {
    let by_port = matched.port.is_none_or(|wanted| wanted == port);
    if !matched.gateways.is_empty() {
        return by_port && matched.gateways.iter().any(|own| own == gateway);
    }
    let namespace = matched.source_namespace.as_str();
    let by_namespace = namespace.is_empty() || namespace == caller.namespace;
    by_port && by_namespace && subset_of(&matched.source_labels, &caller.labels)
}

/// Envoy's match of a match; none matches everything.
pub(crate) fn route_match(matched: Option<&HttpMatch>) -> RouteMatch {
    let Some(matched) = matched else {
        return RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".into())), ..Default::default() };
    };
    let mut headers: Vec<HeaderMatcher> = Vec::new();
    for (name, value) in [(":method", &matched.method), (":authority", &matched.authority), (":scheme", &matched.scheme)] {
        headers.extend(value.as_ref().map(|value| header(name, value)));
    }
    headers.extend(matched.headers.iter().map(|(name, value)| header(name, value)));
    headers.extend(matched.without_headers.iter().map(|(name, value)| HeaderMatcher {
        invert_match: true,
        treat_missing_header_as_empty: !is_presence(value),
        ..header(name, value)
    }));
    RouteMatch {
        path_specifier: Some(path(matched.uri.as_ref())),
        case_sensitive: if matched.ignore_uri_case { boolean(false) } else { None },
        headers,
        query_parameters: matched.query_params.iter().map(|(name, value)| query_parameter(name, value)).collect(),
        ..Default::default()
    }
}

/// Whether nothing can follow: the match takes every request (by Istio's rule, which knows one regular expression that does).
pub(crate) fn is_catch_all(matched: &RouteMatch) -> bool {
    let every_path = match &matched.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => prefix == "/",
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex == ".*",
        _ => false,
    };
    every_path && matched.headers.is_empty() && matched.query_parameters.is_empty()
}

/// A header with exactly this value.
pub(crate) fn exact_header(name: &str, value: &str) -> HeaderMatcher {
    matcher(name, HeaderMatchSpecifier::StringMatch(string(MatchPattern::Exact(value.into()))))
}

/// A header that a regular expression matches as a whole.
pub(crate) fn regex_header(name: &str, pattern: &str) -> HeaderMatcher {
    matcher(name, HeaderMatchSpecifier::StringMatch(string(regex(pattern))))
}

fn path(uri: Option<&StringMatch>) -> PathSpecifier {
    match uri {
        Some(StringMatch { exact: Some(exact), .. }) => PathSpecifier::Path(exact.clone()),
        Some(StringMatch { prefix: Some(prefix), .. }) => PathSpecifier::Prefix(prefix.clone()),
        Some(StringMatch { regex: Some(regex), .. }) => {
            PathSpecifier::SafeRegex(RegexMatcher { regex: regex.clone(), ..Default::default() })
        }
        _ => PathSpecifier::Prefix("/".into()),
    }
}

/// A match that says nothing or the regex `*` means that the header is there (`istio-semantics` 10); an empty `exact` says
/// that it is empty.
fn is_presence(value: &StringMatch) -> bool {
    (value.exact.is_none() && value.prefix.is_none() && value.regex.is_none()) || value.regex.as_deref() == Some("*")
}

fn header(name: &str, value: &StringMatch) -> HeaderMatcher {
    if is_presence(value) {
        return matcher(name, HeaderMatchSpecifier::PresentMatch(true));
    }
    matcher(name, HeaderMatchSpecifier::StringMatch(string(pattern(value))))
}

fn query_parameter(name: &str, value: &StringMatch) -> QueryParameterMatcher {
    let specifier = if is_presence(value) {
        QueryParameterMatchSpecifier::PresentMatch(true)
    } else {
        QueryParameterMatchSpecifier::StringMatch(string(pattern(value)))
    };
    QueryParameterMatcher { name: name.into(), query_parameter_match_specifier: Some(specifier) }
}

fn pattern(value: &StringMatch) -> MatchPattern {
    match value {
        StringMatch { exact: Some(exact), .. } => MatchPattern::Exact(exact.clone()),
        StringMatch { prefix: Some(prefix), .. } => MatchPattern::Prefix(prefix.clone()),
        StringMatch { regex: pattern, .. } => regex(pattern.as_deref().unwrap_or_default()),
    }
}

fn regex(pattern: &str) -> MatchPattern {
    MatchPattern::SafeRegex(RegexMatcher { regex: pattern.into(), ..Default::default() })
}

fn string(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

fn matcher(name: &str, specifier: HeaderMatchSpecifier) -> HeaderMatcher {
    HeaderMatcher { name: name.into(), header_match_specifier: Some(specifier), ..Default::default() }
}
