//! Header operations of routes and destinations.

use crate::object::virtual_service::{HeaderOperations, Headers};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::config::route::v3::Route;

/// What is set replaces, what is added comes beside.
pub(super) fn to_add(operations: &HeaderOperations) -> Vec<HeaderValueOption> {
    let own = |(name, _): &(&String, &String)| !is_internal(name);
    let set = operations.set.iter().filter(own).map(|(name, value)| option(name, value, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = operations.add.iter().filter(own).map(|(name, value)| option(name, value, HeaderAppendAction::AppendIfExistsOrAdd));
    set.chain(add).collect()
}

/// One operation.
pub(super) fn option(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.into(), value: value.into(), ..Default::default() }),
        append_action: action.into(),
        ..Default::default()
    }
}

/// The names to remove.
pub(super) fn to_remove(operations: &HeaderOperations) -> Vec<String> {
    operations.remove.iter().filter(|name| !is_internal(name)).cloned().collect()
}

/// The authority that requests are given: Envoy takes it as a rewrite of the host, not as a header.
pub(super) fn authority(headers: Option<&Headers>) -> Option<String> {
    let is_host = |name: &&String| name.eq_ignore_ascii_case("host") || *name == ":authority";
    let request = &headers?.request;
    request.set.iter().chain(&request.add).find(|(name, _)| is_host(name)).map(|(_, value)| value.clone())
}

/// Does the operations of a route's only destination after the route's own.
pub(super) fn extend(route: &mut Route, headers: &Headers) {
    route.request_headers_to_add.extend(to_add(&headers.request));
    route.request_headers_to_remove.extend(to_remove(&headers.request));
    route.response_headers_to_add.extend(to_add(&headers.response));
    route.response_headers_to_remove.extend(to_remove(&headers.response));
}

/// Headers that Envoy lets nobody change; one of them would make it refuse all routes of the port.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}
