//! What does not fit together: names that lead nowhere.

use super::plugin::{self, Filter};
use super::virtual_service::{MESH, gateway_name};
use super::{Mesh, host};
use crate::finding::{Finding, Severity};
use crate::object::virtual_service::{Destination, VirtualService};
use crate::object::wasm_plugin::WasmPlugin;
use crate::object::{Kind, Object, Objects};

/// Istio's code for a reference to something that is not there.
const NOT_FOUND: Option<&str> = Some("IST0101");

pub(super) fn analyze(mesh: &Mesh, objects: &Objects, findings: &mut Vec<Finding>) {
    for object in objects.iter() {
        match &object.kind {
            Kind::VirtualService(spec) => virtual_service(mesh, object, spec, findings),
            Kind::WasmPlugin(spec) => wasm_plugin(mesh, object, spec, findings),
            Kind::Gateway(spec) => {
                for (i, server) in spec.servers.iter().enumerate().filter(|(_, server)| !server.is_served()) {
                    let message = format!("Weir serves no {} at gateways yet; the server has no effect", server.port.protocol);
                    findings.push(object.finding(Severity::Warning, None, &format!("spec.servers[{i}].port.protocol"), message));
                }
            }
            Kind::DestinationRule(spec) => {
                let host = host::full_name(&spec.host, &object.key.namespace, &mesh.domain);
                if !host.contains('*') && !mesh.services.contains_key(&host) {
                    let message = format!("there is no service {host}, so the rule has no effect: check the name and the namespace");
                    findings.push(object.finding(Severity::Warning, NOT_FOUND, "spec.host", message));
                }
            }
            _ => {}
        }
    }
}

fn wasm_plugin(mesh: &Mesh, object: &Object, spec: &WasmPlugin, findings: &mut Vec<Finding>) {
    for (i, _) in spec.matches.iter().enumerate().filter(|(_, selector)| !selector.ports.is_empty()) {
        let message = "Weir does not tell ports apart; the plugin runs on all of them".into();
        findings.push(object.finding(Severity::Warning, None, &format!("spec.match[{i}].ports"), message));
    }
    let (list, hosts): (&str, Vec<Vec<String>>) = match plugin::own_policy(spec) {
        Some(Ok(Filter::Canary(config))) => ("canaries", config.canaries.into_iter().map(|canary| canary.hosts).collect()),
        Some(Ok(Filter::Locality(config))) => ("services", config.services.into_iter().map(|service| service.hosts).collect()),
        _ => return,
    };
    for (i, hosts) in hosts.into_iter().enumerate() {
        for (j, name) in hosts.iter().enumerate() {
            let name = host::full_name(name, &object.key.namespace, &mesh.domain);
            let routed = mesh.virtual_services.iter().flat_map(|owner| &owner.hosts);
            if !mesh.services.keys().chain(routed).any(|known| host::matches(&name, known)) {
                let message = format!("there is no service {name}, so the policy has no effect for it{}", suggestion(mesh, &name));
                let field = format!("spec.pluginConfig.{list}[{i}].hosts[{j}]");
                findings.push(object.finding(Severity::Warning, NOT_FOUND, &field, message));
            }
        }
    }
}

fn virtual_service(mesh: &Mesh, object: &Object, spec: &VirtualService, findings: &mut Vec<Finding>) {
    for (i, name) in spec.gateways.iter().enumerate() {
        let name = gateway_name(name, &object.key.namespace);
        if name != MESH && !mesh.gateways.contains_key(&name) {
            let message =
                format!("there is no Gateway {name}, so the routes have no effect there: check the name, or write NAMESPACE/NAME");
            findings.push(object.finding(Severity::Warning, NOT_FOUND, &format!("spec.gateways[{i}]"), message));
        }
    }
    for (i, route) in spec.http.iter().enumerate() {
        let choices = route.route.iter().enumerate().map(|(j, choice)| (format!("route[{j}].destination"), &choice.destination));
        let mirrors = route.mirrors.iter().enumerate().map(|(j, mirror)| (format!("mirrors[{j}].destination"), &mirror.destination));
        let mirror = route.mirror.iter().map(|destination| ("mirror".to_string(), destination));
        for (at, found) in choices.chain(mirrors).chain(mirror) {
            destination(mesh, object, &format!("spec.http[{i}].{at}"), found, findings);
        }
    }
    for (i, route) in spec.tcp.iter().enumerate() {
        for (j, choice) in route.route.iter().enumerate() {
            destination(mesh, object, &format!("spec.tcp[{i}].route[{j}].destination"), &choice.destination, findings);
        }
    }
}

fn destination(mesh: &Mesh, object: &Object, at: &str, destination: &Destination, findings: &mut Vec<Finding>) {
    let host = host::full_name(&destination.host, &object.key.namespace, &mesh.domain);
    let mut warn = |field: &str, message: String| {
        findings.push(object.finding(Severity::Warning, NOT_FOUND, &format!("{at}.{field}"), message));
    };
    let Some(service) = mesh.services.get(&host) else {
        return warn("host", format!("there is no service {host}; the route answers 503{}", suggestion(mesh, &host)));
    };
    if let Some(port) = &destination.port
        && service.port(port.number).is_none()
    {
        warn("port.number", format!("the service {host} has no port {}; the route answers 503", port.number));
    }
    // Any namespace may call, so a subset counts as found wherever a rule for the host lists it.
    let listed = |name: &str| mesh.rules.iter().any(|rule| host::matches(&rule.host, &host) && rule.subset(name).is_some());
    if !destination.subset.is_empty() && !listed(&destination.subset) {
        let message = format!("no DestinationRule for {host} lists the subset {:?}; the route answers 503", destination.subset);
        warn("subset", message);
    }
}

/// A service of another namespace, or with a name nearly the same.
fn suggestion(mesh: &Mesh, host: &str) -> String {
    let wanted = host::first_label(host);
    let near = mesh
        .services
        .values()
        .map(|service| (distance(&service.name, wanted), service))
        .filter(|(distance, _)| *distance <= 2 && *distance < wanted.len());
    match near.min_by_key(|(distance, service)| (*distance, service.host.clone())) {
        Some((_, service)) => format!(" (is {} meant?)", service.host),
        None => String::new(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut previous = i;
        let mut next = vec![i + 1];
        for (above, right) in row.iter().skip(1).zip(b.chars()) {
            let best = (previous + usize::from(left != right)).min(above + 1).min(next.last().map_or(0, |last| last + 1));
            next.push(best);
            previous = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn counts_edits() {
        for (a, b, edits) in [("reviews", "reviews", 0), ("reveiws", "reviews", 2), ("review", "reviews", 1), ("", "ab", 2), ("x", "", 1)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
