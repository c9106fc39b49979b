//! VirtualServices: hosts, destinations and weights.

use super::{Problems, http};
use crate::object::virtual_service::{Destination, RouteDestination, VirtualService};

pub(super) fn validate(spec: &VirtualService, problems: &mut Problems) {
    if spec.hosts.is_empty() {
        problems.error("spec.hosts", "a VirtualService needs at least one host (Weir does not read delegates yet, which have none)");
    }
    for (i, host) in spec.hosts.iter().enumerate() {
        problems.host(&format!("spec.hosts[{i}]"), host);
    }
    for (i, route) in spec.http.iter().enumerate() {
        http::route(&format!("spec.http[{i}]"), route, problems);
    }
    for (i, route) in spec.tcp.iter().enumerate() {
        if route.route.is_empty() {
            problems.error(&format!("spec.tcp[{i}]"), "the route leads nowhere: give it a destination");
        }
        choices(&format!("spec.tcp[{i}].route"), &route.route, problems);
    }
}

/// Destinations with their weights.
pub(super) fn choices(at: &str, choices: &[RouteDestination], problems: &mut Problems) {
    for (i, choice) in choices.iter().enumerate() {
        destination(&format!("{at}[{i}].destination"), &choice.destination, problems);
        if choice.weight.is_some_and(|weight| !(0.0..=f64::from(u32::MAX)).contains(&weight)) {
            problems.error(&format!("{at}[{i}].weight"), "a weight is a number from 0 up");
        }
    }
    if choices.len() > 1 && choices.iter().all(|choice| choice.weight.unwrap_or_default() == 0.0) {
        problems.error(at, "the weights of the destinations add up to 0: give one of them a weight");
    }
}

pub(super) fn destination(at: &str, destination: &Destination, problems: &mut Problems) {
    if !destination.subset.is_empty() {
        problems.subset(&format!("{at}.subset"), &destination.subset);
    }
    let at = format!("{at}.host");
    match destination.host.as_str() {
        "" => problems.error(&at, "a destination needs a host"),
        host if host.contains('*') => problems.error(&at, "a destination is one host, without '*'"),
        host => problems.host(&at, host),
    }
}
