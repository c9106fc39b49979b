//! What becomes of a request that is sent on: cluster, timeout, rewrite, mirrors, hashing.

use super::weights::cluster_of;
use super::{fraction, headers};
use crate::object::virtual_service::{Destination, HttpRoute, Percent, RouteDestination};
use crate::xds::lookup::Target;
use crate::xds::{View, duration};
use envoy_types::pb::envoy::config::core::v3::{Metadata, RuntimeFractionalPercent};
use envoy_types::pb::envoy::config::route::v3::RouteAction;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{self, PolicySpecifier};
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy};
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use std::time::Duration;

/// The action of a route for some of its destinations, by these clusters; `targets` are those of them that exist.
pub(super) fn build(
    view: &View,
    http: &HttpRoute,
    choices: &[RouteDestination],
    clusters: ClusterSpecifier,
    targets: &[Target],
    port: u16,
) -> RouteAction {
    let rewrite = http.rewrite.clone().unwrap_or_default();
    let regex_rewrite = rewrite.uri_regex_rewrite.map(|rewrite| RegexMatchAndSubstitute {
        pattern: Some(RegexMatcher { regex: rewrite.pattern, ..Default::default() }),
        substitution: rewrite.rewrite,
    });
    let of_choice = match choices {
        [only] => headers::authority(only.headers.as_ref()),
        _ => None,
    };
    let host = match rewrite.authority.as_str() {
        // As Istio: the route's own before that of its destination.
        "" => headers::authority(http.headers.as_ref()).or(of_choice),
        authority => Some(authority.to_string()),
    };
    let zones = targets.iter().any(|target| view.policies.has_locality(&target.service.host));
    RouteAction {
        cluster_specifier: Some(clusters),
        // Zero is Envoy's "none": Istio has no timeout unless the route asks for one.
        timeout: duration(http.timeout.map_or(Duration::ZERO, |timeout| timeout.0)),
        // Envoy takes one of the two; Istio prefers the regular expression.
        prefix_rewrite: if regex_rewrite.is_some() { String::new() } else { rewrite.uri },
        regex_rewrite,
        host_rewrite_specifier: host.map(HostRewriteSpecifier::HostRewriteLiteral),
        request_mirror_policies: mirrors(view, http, port),
        hash_policy: targets.iter().find_map(hash_policy).into_iter().collect(),
        metadata_match: zones.then(zone_fallback),
        ..Default::default()
    }
}

fn mirrors(view: &View, http: &HttpRoute, port: u16) -> Vec<RequestMirrorPolicy> {
    let percent = http.mirror_percentage.or(http.mirror_percent.map(|value| Percent { value }));
    let single = http.mirror.iter().map(|destination| (destination, percent));
    let several = http.mirrors.iter().map(|mirror| (&mirror.destination, mirror.percentage));
    let share = |(destination, percentage): (&Destination, Option<Percent>)| {
        // No percentage means all, an explicit 0 none (`istio-semantics` 13).
        let share = percentage.map_or(100.0, |percent| percent.value);
        (share > 0.0).then(|| RequestMirrorPolicy {
            cluster: cluster_of(view, destination, port),
            runtime_fraction: Some(RuntimeFractionalPercent { default_value: Some(fraction(share)), ..Default::default() }),
            ..Default::default()
        })
    };
    single.chain(several).filter_map(share).collect()
}

fn hash_policy(target: &Target) -> Option<HashPolicy> {
    let hash = target.policy.load_balancer.as_ref()?.consistent_hash.as_ref()?;
    let specifier = if let Some(header_name) = &hash.http_header_name {
        PolicySpecifier::Header(hash_policy::Header { header_name: header_name.clone(), ..Default::default() })
    } else if let Some(cookie) = &hash.http_cookie {
        let ttl = cookie.ttl.and_then(|ttl| duration(ttl.0));
        PolicySpecifier::Cookie(hash_policy::Cookie { name: cookie.name.clone(), ttl, path: cookie.path.clone(), ..Default::default() })
    } else if let Some(name) = &hash.http_query_parameter_name {
        PolicySpecifier::QueryParameter(hash_policy::QueryParameter { name: name.clone() })
    } else if hash.use_source_ip == Some(true) {
        PolicySpecifier::ConnectionProperties(hash_policy::ConnectionProperties { source_ip: true })
    } else {
        return None;
    };
    Some(HashPolicy { policy_specifier: Some(specifier), terminal: false })
}

/// A named zone that turns out empty falls back to all endpoints: first the zone asked for, then a selection that no selector
/// knows, which is any endpoint by priority.
fn zone_fallback() -> Metadata {
    let wrap = |kind| Value { kind: Some(kind) };
    let any = Struct { fields: [("any".to_string(), wrap(value::Kind::StringValue("1".into())))].into() };
    let list = [Struct::default(), any].map(|fields| wrap(value::Kind::StructValue(fields)));
    let list = wrap(value::Kind::ListValue(ListValue { values: list.into() }));
    let metadata = Struct { fields: [("fallback_list".to_string(), list)].into() };
    Metadata { filter_metadata: [("envoy.lb".to_string(), metadata)].into(), ..Default::default() }
}
