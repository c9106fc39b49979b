//! Routes: one of Istio's HTTPRoutes as the Envoy routes that it takes.
//!
//! A match becomes up to two Envoy routes for each way it can go: one for GET and HEAD, which may be repeated after a reset,
//! and one for the rest. The ways are the subset that a canary policy's override names (`x-weir-subset`), then the weighted choice.

mod action;
mod direct;
mod fault;
mod headers;
mod weights;

use super::lookup::Target;
use super::{View, any, made_from, matching, passport, retry};
use crate::mesh::policy::{Policies, name_of};
use crate::mesh::virtual_service::{MESH, VirtualService};
use crate::object::virtual_service::{Destination, HttpMatch, HttpRoute, RouteDestination};
use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::route::v3::{FilterConfig, Route, RouteMatch, route};
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::Any;
use std::borrow::Cow;
use std::collections::BTreeSet;
use weir_policy::{COOKIE_STATE, SERVED_BY_HEADER, STABLE, SUBSET_HEADER, WITHOUT};

/// The Envoy routes of one match. They belong together, in this order.
pub(crate) struct Group {
    /// What the match takes.
    pub routes: Vec<Route>,
    /// Whether the match takes every request: nothing can follow, so a gateway moves the group behind all others.
    pub is_catch_all: bool,
}

/// The routes of a VirtualService at a gateway (or `mesh`) on a port.
pub(crate) fn of_virtual_service(view: &View, owner: &VirtualService, gateway: &str, port: u16) -> Vec<Group> {
    let mut groups = groups(view, &owner.http, gateway, port);
    let metadata = made_from(&owner.object);
    for route in groups.iter_mut().flat_map(|group| &mut group.routes) {
        route.metadata.clone_from(&metadata);
    }
    groups
}

/// The routes of HTTP routes. Nothing follows a catch-all.
fn groups(view: &View, http: &[HttpRoute], gateway: &str, port: u16) -> Vec<Group> {
    let mut groups = Vec::new();
    for route in http {
        let any_request = [None];
        let matches: Vec<Option<&HttpMatch>> = match route.matches.as_slice() {
            [] => any_request.to_vec(),
            some => some.iter().filter(|matched| matching::concerns(matched, gateway, port, view.workload)).map(Some).collect(),
        };
        for matched in matches {
            let envoy_match = matching::route_match(matched);
            let is_catch_all = matching::is_catch_all(&envoy_match);
            groups.push(Group { routes: of_match(view, route, matched, envoy_match, port), is_catch_all });
            if is_catch_all {
                return groups;
            }
        }
    }
    groups
}

/// The route of a service that no VirtualService concerns.
pub(crate) fn default(view: &View, destination: Destination, port: u16) -> Vec<Route> {
    let route =
        HttpRoute { name: "default".into(), route: vec![RouteDestination { destination, ..Default::default() }], ..Default::default() };
    flatten(groups(view, &[route], MESH, port))
}

/// The routes of groups in their order.
pub(crate) fn flatten(groups: Vec<Group>) -> Vec<Route> {
    groups.into_iter().flat_map(|group| group.routes).collect()
}

fn of_match(view: &View, http: &HttpRoute, matched: Option<&HttpMatch>, envoy_match: RouteMatch, port: u16) -> Vec<Route> {
    let operations = http.headers.clone().unwrap_or_default();
    let template = Route {
        name: match matched.map(|matched| matched.name.as_str()) {
            Some(name) if !name.is_empty() => format!("{}.{name}", http.name),
            _ => http.name.clone(),
        },
        r#match: Some(envoy_match),
        request_headers_to_add: headers::to_add(&operations.request),
        request_headers_to_remove: headers::to_remove(&operations.request),
        response_headers_to_add: headers::to_add(&operations.response)
            .into_iter()
            .chain(minted_cookie(view, http))
            .chain(served_by(view, http))
            .collect(),
        response_headers_to_remove: headers::to_remove(&operations.response),
        typed_per_filter_config: http.fault.as_ref().and_then(fault::per_route).into_iter().chain(filters(view, http)).collect(),
        ..Default::default()
    };
    if let Some(redirect) = &http.redirect {
        return vec![Route { action: Some(route::Action::Redirect(direct::redirect(redirect, port))), ..template }];
    }
    if let Some(response) = &http.direct_response {
        return vec![Route { action: Some(route::Action::DirectResponse(direct::response(response))), ..template }];
    }
    let ways = ways(view, &http.route);
    ways.iter().flat_map(|way| routes(view, http, &template, way, port)).collect()
}

/// Runs the filters that have a policy for a destination.
fn filters(view: &View, http: &HttpRoute) -> Vec<(String, Any)> {
    let names: BTreeSet<&str> = http.route.iter().flat_map(|choice| view.policies.filters(&choice.destination.host)).collect();
    // Envoy takes a configuration that is there, if empty, for "run it here".
    let run = || any(FilterConfig { config: Some(Any::default()), ..Default::default() });
    names.into_iter().filter_map(|name| Some((name.to_string(), run()?))).collect()
}

/// The cookie that a canary filter made for a new user, if one may.
fn minted_cookie(view: &View, http: &HttpRoute) -> Option<HeaderValueOption> {
    let mints = http.route.iter().any(|choice| view.policies.mints(&choice.destination.host));
    // Without a value Envoy adds no header.
    mints.then(|| {
        headers::option("set-cookie", &format!("%FILTER_STATE(wasm.{COOKIE_STATE}:PLAIN)%"), HeaderAppendAction::AppendIfExistsOrAdd)
    })
}

/// The header that tells who served, if one is to. An answer of Envoy's own has none.
fn served_by(view: &View, http: &HttpRoute) -> Option<HeaderValueOption> {
    let tells = http.route.iter().any(|choice| view.policies.tells(&choice.destination.host));
    tells.then(|| headers::option(SERVED_BY_HEADER, "%UPSTREAM_HOST_NAME%", HeaderAppendAction::OverwriteIfExistsOrAdd))
}

/// One of the ways that the requests of a match can go.
struct Way<'a> {
    /// What the filter names it, if it does.
    name: Option<Cow<'a, str>>,
    /// Its destinations.
    choices: &'a [RouteDestination],
    /// The place of the one whose share the stable has.
    without: Option<usize>,
}

/// The ways that the filter can name, then the one by weight. It can name all destinations where there are overrides, those of weight 0 too;
/// the stable where some requests must not get a canary; and the weights without a canary that is held back.
fn ways<'a>(view: &View, choices: &'a [RouteDestination]) -> Vec<Way<'a>> {
    let by_weight = Way { name: None, choices, without: None };
    let any = |asked: fn(&Policies, &str) -> bool| choices.iter().any(|choice| asked(&view.policies, &choice.destination.host));
    let to =
        |name: &'a str, choice: &'a RouteDestination| Way { name: Some(name.into()), choices: std::slice::from_ref(choice), without: None };
    let is_nameable = |choice: &&RouteDestination| view.policies.names_subsets(&choice.destination.host);
    let mut ways: Vec<Way> = choices.iter().filter(is_nameable).map(|choice| to(name_of(choice), choice)).collect();
    let place = weights::stable(view, choices);
    if choices.len() > 1 && any(Policies::excludes) {
        ways.extend(choices.get(place).map(|choice| to(STABLE, choice)));
    }
    if any(Policies::governs) {
        let canaries = choices.iter().enumerate().filter(|(canary, _)| *canary != place);
        let without = |name: &str| Some(format!("{WITHOUT}{name}").into());
        ways.extend(canaries.map(|(canary, choice)| Way { name: without(name_of(choice)), choices, without: Some(canary) }));
    }
    ways.push(by_weight);
    ways
}

fn routes(view: &View, http: &HttpRoute, template: &Route, way: &Way, port: u16) -> Vec<Route> {
    let targets: Vec<Target> = way.choices.iter().filter_map(|choice| view.find(&choice.destination, port)).collect();
    let repeatable: &[bool] = if retry::by_default(http.retries.as_ref()) { &[true, false] } else { &[false] };
    let mut base = template.clone();
    if let [only] = way.choices
        && let Some(operations) = &only.headers
    {
        headers::extend(&mut base, operations);
    }
    // Where some of a route's requests leave the mesh, the rest is known by its key again: none may take its passport along.
    if targets.iter().any(|target| target.service.is_outside) {
        passport::leave_behind(view, &mut base);
    }
    let clusters = weights::clusters(view, way.choices, way.without, port);
    let action = action::build(view, http, way.choices, clusters, &targets, port);
    let variant = |repeatable: &bool| {
        let mut route = base.clone();
        if let Some(matched) = &mut route.r#match {
            matched.headers.extend(way.name.as_ref().map(|name| matching::exact_header(SUBSET_HEADER, name)));
            matched.headers.extend(repeatable.then(|| matching::regex_header(":method", "GET|HEAD")));
        }
        let mut action = action.clone();
        action.retry_policy = retry::policy(http.retries.as_ref(), &targets, *repeatable);
        route.action = Some(route::Action::Route(action));
        route
    };
    repeatable.iter().map(variant).collect()
}

/// A percentage in millionths.
fn fraction(percent: f64) -> FractionalPercent {
    FractionalPercent { numerator: (percent.clamp(0.0, 100.0) * 10_000.0).round() as u32, denominator: DenominatorType::Million.into() }
}
