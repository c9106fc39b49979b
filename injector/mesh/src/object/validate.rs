//! What Istio's own validation refuses, for what one object can tell alone.

use super::Kind;
use super::gateway::Gateway;
use super::read::Problems;
use super::virtual_service::{Destination, HttpRoute, StringMatch, VirtualService};
use super::wasm_plugin::WasmPlugin;
use crate::finding::Severity;
use crate::mesh::plugin;

pub(super) fn validate(kind: &Kind, problems: &mut Problems) {
    match kind {
        Kind::VirtualService(spec) => virtual_service(spec, problems),
        Kind::DestinationRule(spec) if spec.host.is_empty() => {
            problems.add(Severity::Error, "spec.host", "a DestinationRule needs a host".into())
        }
        Kind::Gateway(spec) => gateway(spec, problems),
        Kind::WasmPlugin(spec) => wasm_plugin(spec, problems),
        _ => {}
    }
}

fn virtual_service(spec: &VirtualService, problems: &mut Problems) {
    if spec.hosts.is_empty() {
        problems.add(Severity::Error, "spec.hosts", "a VirtualService needs at least one host".into());
    }
    for (i, route) in spec.http.iter().enumerate() {
        http_route(&format!("spec.http[{i}]"), route, problems);
    }
}

fn http_route(at: &str, route: &HttpRoute, problems: &mut Problems) {
    let actions = [!route.route.is_empty(), route.redirect.is_some(), route.direct_response.is_some()];
    match actions.iter().filter(|action| **action).count() {
        1 => {}
        0 => problems.add(Severity::Error, at, "the route leads nowhere: give it route, redirect or directResponse".into()),
        _ => problems.add(Severity::Error, at, "the route has several of route, redirect and directResponse: keep one".into()),
    }
    for (i, choice) in route.route.iter().enumerate() {
        destination(&format!("{at}.route[{i}].destination"), &choice.destination, problems);
        if choice.weight.is_some_and(|weight| weight < 0.0 || weight.is_nan() || weight > f64::from(u32::MAX)) {
            problems.add(Severity::Error, &format!("{at}.route[{i}].weight"), "a weight is a number from 0 up".into());
        }
    }
    if route.route.len() > 1 && route.route.iter().all(|choice| choice.weight.unwrap_or(0.0) == 0.0) {
        let message = "the weights of the destinations add up to 0: give one of them a weight".into();
        problems.add(Severity::Error, &format!("{at}.route"), message);
    }
    for (name, mirror) in [("mirror", route.mirror.as_ref())].into_iter().filter_map(|(name, mirror)| Some((name, mirror?))) {
        destination(&format!("{at}.{name}"), mirror, problems);
    }
    for (i, matched) in route.matches.iter().enumerate() {
        let at = format!("{at}.match[{i}]");
        for (name, text) in
            [("uri", &matched.uri), ("scheme", &matched.scheme), ("method", &matched.method), ("authority", &matched.authority)]
        {
            if let Some(text) = text {
                string_match(&format!("{at}.{name}"), text, problems);
            }
        }
        for (name, text) in &matched.headers {
            string_match(&format!("{at}.headers.{name}"), text, problems);
        }
    }
    for (name, status) in [
        ("fault.abort.httpStatus", route.fault.as_ref().and_then(|fault| fault.abort.as_ref()?.http_status)),
        ("directResponse.status", route.direct_response.as_ref().map(|direct| direct.status)),
    ] {
        if status.is_some_and(|status| !(200..600).contains(&status)) {
            problems.add(Severity::Error, &format!("{at}.{name}"), "an HTTP status is a number from 200 to 599".into());
        }
    }
}

fn string_match(at: &str, text: &StringMatch, problems: &mut Problems) {
    if [&text.exact, &text.prefix, &text.regex].iter().filter(|kind| kind.is_some()).count() > 1 {
        problems.add(Severity::Error, at, "a match is one of exact, prefix and regex".into());
    }
}

fn destination(at: &str, destination: &Destination, problems: &mut Problems) {
    if destination.host.is_empty() {
        problems.add(Severity::Error, &format!("{at}.host"), "a destination needs a host".into());
    }
}

fn gateway(spec: &Gateway, problems: &mut Problems) {
    if spec.servers.is_empty() {
        problems.add(Severity::Error, "spec.servers", "a Gateway needs at least one server".into());
    }
    for (i, server) in spec.servers.iter().enumerate() {
        if server.port.number == 0 {
            problems.add(Severity::Error, &format!("spec.servers[{i}].port.number"), "a server needs a port from 1 to 65535".into());
        }
        if server.hosts.is_empty() {
            problems.add(Severity::Error, &format!("spec.servers[{i}].hosts"), "a server needs at least one host, or '*'".into());
        }
    }
}

fn wasm_plugin(spec: &WasmPlugin, problems: &mut Problems) {
    if spec.url.is_empty() {
        problems.add(Severity::Error, "spec.url", "a WasmPlugin needs the url of its module".into());
    }
    if let Some(Err(error)) = plugin::own_policy(spec) {
        let field = if error.path == "." { "spec.pluginConfig".into() } else { format!("spec.pluginConfig.{}", error.path) };
        let message = format!("{}; the policy that was there before stays in force", error.expected);
        problems.add(Severity::Error, &field, message);
    }
}
