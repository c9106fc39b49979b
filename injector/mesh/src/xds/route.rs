//! Routes: one of Istio's HTTPRoutes as the Envoy routes that it takes.
//!
//! A match becomes up to two Envoy routes for each way it can go: one for GET and HEAD, which may be repeated after a reset,
//! and one for the rest. The ways are the subset that a canary policy's override names (`x-weir-subset`), then the weighted choice.

use super::lookup::{Target, cluster_name, port_number};
use super::{View, any, duration, intervals, matching, retry, uint};
use crate::mesh::host::first_label;
use crate::object::virtual_service::{
    Destination, Fault, HeaderOperations, Headers, HttpMatch, HttpRoute, Percent, Redirect, RouteDestination,
};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, HeaderValue, HeaderValueOption, Metadata, RuntimeFractionalPercent, data_source,
};
use envoy_types::pb::envoy::config::route::v3::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{self, PolicySpecifier};
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, HeaderMatcher, RedirectAction, Route, RouteAction, RouteMatch, WeightedCluster, route,
};
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{FaultDelay, fault_delay};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault, fault_abort};
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use std::time::Duration;
use weir_policy::{BUCKET_HEADER, SUBSET_HEADER};

/// The routes of a VirtualService's HTTP routes at a gateway (or `mesh`) on a port. Nothing follows a catch-all.
pub(crate) fn of_virtual_service(view: &View, http: &[HttpRoute], gateway: &str, port: u16) -> Vec<Route> {
    let mut routes = Vec::new();
    for route in http {
        let any_request = [None];
        let matches: Vec<Option<&HttpMatch>> = match route.matches.as_slice() {
            [] => any_request.to_vec(),
            some => some.iter().filter(|matched| matching::concerns(matched, gateway, port, view.workload)).map(Some).collect(),
        };
        for matched in matches {
            let envoy_match = matching::route_match(matched);
            let last = matching::is_catch_all(&envoy_match);
            routes.extend(of_match(view, route, matched, envoy_match, port));
            if last {
                return routes;
            }
        }
    }
    routes
}

/// The route of a service that no VirtualService concerns.
pub(crate) fn default(view: &View, destination: Destination, port: u16) -> Vec<Route> {
    let route =
        HttpRoute { name: "default".into(), route: vec![RouteDestination { destination, ..Default::default() }], ..Default::default() };
    of_virtual_service(view, &[route], crate::mesh::virtual_service::MESH, port)
}

fn of_match(view: &View, http: &HttpRoute, matched: Option<&HttpMatch>, envoy_match: RouteMatch, port: u16) -> Vec<Route> {
    let headers = http.headers.clone().unwrap_or_default();
    let template = Route {
        name: match matched.map(|matched| matched.name.as_str()) {
            Some(name) if !name.is_empty() => format!("{}.{name}", http.name),
            _ => http.name.clone(),
        },
        r#match: Some(envoy_match),
        request_headers_to_add: to_add(&headers.request),
        request_headers_to_remove: headers.request.remove.clone(),
        response_headers_to_add: to_add(&headers.response),
        response_headers_to_remove: headers.response.remove.clone(),
        typed_per_filter_config: http.fault.as_ref().and_then(fault).into_iter().collect(),
        ..Default::default()
    };
    if let Some(redirect) = &http.redirect {
        return vec![Route { action: Some(route::Action::Redirect(redirect_action(redirect))), ..template }];
    }
    if let Some(direct) = &http.direct_response {
        let body = direct
            .body
            .as_ref()
            .map(|body| DataSource { specifier: Some(data_source::Specifier::InlineString(body.string.clone())), ..Default::default() });
        let action = DirectResponseAction { status: direct.status, body, ..Default::default() };
        return vec![Route { action: Some(route::Action::DirectResponse(action)), ..template }];
    }
    let overridden = overridden(view, &http.route);
    let ways = overridden.into_iter().map(|choice| (Some(name_of(choice)), std::slice::from_ref(choice)));
    ways.chain([(None, http.route.as_slice())]).flat_map(|(subset, choices)| way(view, http, &template, subset, choices, port)).collect()
}

/// The destinations that an override can name: all of the route, those of weight 0 too.
fn overridden<'a>(view: &View, choices: &'a [RouteDestination]) -> Vec<&'a RouteDestination> {
    let has_override =
        |choice: &&RouteDestination| view.policies.canary(&choice.destination.host).is_some_and(|canary| !canary.overrides.is_empty());
    choices.iter().filter(has_override).collect()
}

/// How policies name a destination: by its subset, else by the first label of its host.
fn name_of(choice: &RouteDestination) -> &str {
    match choice.destination.subset.as_str() {
        "" => first_label(&choice.destination.host),
        subset => subset,
    }
}

fn way(view: &View, http: &HttpRoute, template: &Route, subset: Option<&str>, choices: &[RouteDestination], port: u16) -> Vec<Route> {
    let targets: Vec<Target> = choices.iter().filter_map(|choice| view.find(&choice.destination, port)).collect();
    let repeatable: &[bool] = if retry::by_default(http.retries.as_ref()) { &[true, false] } else { &[false] };
    let mut routes = Vec::new();
    for repeatable in repeatable {
        let mut route = template.clone();
        if let Some(matched) = &mut route.r#match {
            let by_method = repeatable.then(|| matching::regex_header(":method", "GET|HEAD"));
            let by_subset = subset.map(|subset| matching::exact_header(SUBSET_HEADER, subset));
            matched.headers.extend([by_subset, by_method].into_iter().flatten().collect::<Vec<HeaderMatcher>>());
        }
        let mut action = route_action(view, http, choices, &targets, port);
        action.retry_policy = retry::policy(view, http.retries.as_ref(), &targets, *repeatable);
        if let [only] = choices
            && let Some(headers) = &only.headers
        {
            add_headers(&mut route, headers);
        }
        route.action = Some(route::Action::Route(action));
        routes.push(route);
    }
    routes
}

fn add_headers(route: &mut Route, headers: &Headers) {
    route.request_headers_to_add.extend(to_add(&headers.request));
    route.request_headers_to_remove.extend(headers.request.remove.iter().cloned());
    route.response_headers_to_add.extend(to_add(&headers.response));
    route.response_headers_to_remove.extend(headers.response.remove.iter().cloned());
}

fn route_action(view: &View, http: &HttpRoute, choices: &[RouteDestination], targets: &[Target], port: u16) -> RouteAction {
    let rewrite = http.rewrite.clone().unwrap_or_default();
    let regex_rewrite = rewrite.uri_regex_rewrite.map(|rewrite| RegexMatchAndSubstitute {
        pattern: Some(RegexMatcher { regex: rewrite.pattern, ..Default::default() }),
        substitution: rewrite.rewrite,
    });
    let host = http.headers.iter().find_map(|headers| {
        let set = |name: &&String| name.eq_ignore_ascii_case("host") || *name == ":authority";
        headers.request.set.iter().find(|(name, _)| set(name)).map(|(_, value)| value.clone())
    });
    let host = if rewrite.authority.is_empty() { host } else { Some(rewrite.authority) };
    let zones = targets.iter().any(|target| view.policies.has_locality(&target.service.host));
    RouteAction {
        cluster_specifier: Some(clusters(view, choices, port)),
        timeout: duration(http.timeout.map_or(Duration::ZERO, |timeout| timeout.0)),
        prefix_rewrite: rewrite.uri,
        regex_rewrite,
        host_rewrite_specifier: host.map(HostRewriteSpecifier::HostRewriteLiteral),
        request_mirror_policies: mirrors(view, http, port),
        hash_policy: targets.iter().find_map(hash_policy).into_iter().collect(),
        metadata_match: zones.then(zone_fallback),
        ..Default::default()
    }
}

fn cluster_of(view: &View, destination: &Destination, port: u16) -> String {
    cluster_name(port_number(view.mesh, destination, port), &destination.subset, &destination.host)
}

/// One destination, whatever its weight; or several by weight, whose intervals hold still for the users' buckets.
fn clusters(view: &View, choices: &[RouteDestination], port: u16) -> ClusterSpecifier {
    if let [only] = choices {
        return ClusterSpecifier::Cluster(cluster_of(view, &only.destination, port));
    }
    let names: Vec<&str> = choices.iter().map(name_of).collect();
    let weights: Vec<f64> = choices.iter().map(|choice| choice.weight.unwrap_or_default()).collect();
    let named = choices.iter().find_map(|choice| view.policies.canary(&choice.destination.host)?.stable.as_deref());
    let stable = named.and_then(|stable| names.iter().position(|name| *name == stable)).unwrap_or_default();
    let pieces = intervals::lay_out(&names, &weights, stable);
    let weighted = pieces.iter().filter_map(|(index, buckets)| {
        let choice = choices.get(*index)?;
        let headers = choice.headers.clone().unwrap_or_default();
        Some(ClusterWeight {
            name: cluster_of(view, &choice.destination, port),
            weight: uint(*buckets),
            request_headers_to_add: to_add(&headers.request),
            request_headers_to_remove: headers.request.remove,
            response_headers_to_add: to_add(&headers.response),
            response_headers_to_remove: headers.response.remove,
            ..Default::default()
        })
    });
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: weighted.collect(),
        random_value_specifier: Some(RandomValueSpecifier::HeaderName(BUCKET_HEADER.into())),
        ..Default::default()
    })
}

fn mirrors(view: &View, http: &HttpRoute, port: u16) -> Vec<RequestMirrorPolicy> {
    let single = http.mirror.iter().map(|destination| (destination, http.mirror_percentage));
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
    } else {
        PolicySpecifier::ConnectionProperties(hash_policy::ConnectionProperties { source_ip: true })
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

fn to_add(operations: &HeaderOperations) -> Vec<HeaderValueOption> {
    let option = |(key, value): (&String, &String), action: HeaderAppendAction| HeaderValueOption {
        header: Some(HeaderValue { key: key.clone(), value: value.clone(), ..Default::default() }),
        append_action: action.into(),
        ..Default::default()
    };
    let is_host = |name: &String| name.eq_ignore_ascii_case("host") || name == ":authority";
    let set =
        operations.set.iter().filter(|(name, _)| !is_host(name)).map(|entry| option(entry, HeaderAppendAction::OverwriteIfExistsOrAdd));
    set.chain(operations.add.iter().map(|entry| option(entry, HeaderAppendAction::AppendIfExistsOrAdd))).collect()
}

fn redirect_action(redirect: &Redirect) -> RedirectAction {
    let code = match redirect.redirect_code.unwrap_or(301) {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    let path = (!redirect.uri.is_empty()).then(|| PathRewriteSpecifier::PathRedirect(redirect.uri.clone()));
    let scheme = (!redirect.scheme.is_empty()).then(|| SchemeRewriteSpecifier::SchemeRedirect(redirect.scheme.clone()));
    RedirectAction {
        host_redirect: redirect.authority.clone(),
        port_redirect: redirect.port.unwrap_or_default().into(),
        path_rewrite_specifier: path,
        scheme_rewrite_specifier: scheme,
        response_code: code.into(),
        ..Default::default()
    }
}

fn fault(fault: &Fault) -> Option<(String, envoy_types::pb::google::protobuf::Any)> {
    let delay = fault.delay.as_ref().map(|delay| FaultDelay {
        fault_delay_secifier: delay.fixed_delay.and_then(|delay| duration(delay.0)).map(fault_delay::FaultDelaySecifier::FixedDelay),
        percentage: Some(fraction(delay.percentage.map(|percent| percent.value).or(delay.percent.map(f64::from)).unwrap_or(100.0))),
        ..Default::default()
    });
    let abort = fault.abort.as_ref().map(|abort| FaultAbort {
        error_type: abort.http_status.map(fault_abort::ErrorType::HttpStatus),
        percentage: Some(fraction(abort.percentage.map_or(100.0, |percent| percent.value))),
        ..Default::default()
    });
    let config = any(HttpFault { delay, abort, ..Default::default() })?;
    Some(("envoy.filters.http.fault".into(), config))
}

/// A percentage in millionths.
fn fraction(percent: f64) -> FractionalPercent {
    FractionalPercent { numerator: (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32, denominator: DenominatorType::Million.into() }
}
