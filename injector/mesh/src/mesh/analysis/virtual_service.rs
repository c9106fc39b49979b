//! VirtualServices whose hosts, gateways or destinations lead nowhere.

use super::{NOT_FOUND, suggestion};
use crate::finding::{Finding, Severity};
use crate::mesh::service::Service;
use crate::mesh::virtual_service::{MESH, VirtualService as Resolved, gateway_name};
use crate::mesh::{Mesh, ROOT_NAMESPACE, host};
use crate::object::Object;
use crate::object::gateway::Server;
use crate::object::virtual_service::{Destination, VirtualService};
use std::collections::BTreeSet;

/// Istio's codes: one host on sidecars in several VirtualServices; a destination without the port that it needs; a host that
/// the Gateway does not have.
const CONFLICT: Option<&str> = Some("IST0109");
const PORT_NEEDED: Option<&str> = Some("IST0112");
const NOT_AT_GATEWAY: Option<&str> = Some("IST0132");

const NO_ROUTE: &str = "the route answers 503";
const NO_MIRROR: &str = "nothing is mirrored";

struct Check<'a> {
    mesh: &'a Mesh,
    object: &'a Object,
    findings: &'a mut Vec<Finding>,
}

pub(super) fn analyze(mesh: &Mesh, object: &Object, spec: &VirtualService, findings: &mut Vec<Finding>) {
    let mut check = Check { mesh, object, findings };
    check.gateways(spec);
    check.hosts(spec);
    check.routes(spec);
}

impl Check<'_> {
    fn warn(&mut self, code: Option<&'static str>, field: &str, message: String) {
        self.findings.push(self.object.finding(Severity::Warning, code, field, message));
    }

    fn gateways(&mut self, spec: &VirtualService) {
        let namespace = &self.object.key.namespace;
        let missing = |name: &String| {
            let name = gateway_name(name, namespace);
            (name != MESH && !self.mesh.gateways.contains_key(&name)).then_some(name)
        };
        let named = spec.gateways.iter().enumerate().map(|(i, name)| (format!("spec.gateways[{i}]"), missing(name)));
        let http = spec.http.iter().enumerate().flat_map(|(i, route)| {
            let matches =
                route.matches.iter().enumerate().map(move |(j, matched)| (format!("spec.http[{i}].match[{j}]"), &matched.gateways));
            matches.flat_map(|(at, gateways)| gateways.iter().enumerate().map(move |(k, name)| (format!("{at}.gateways[{k}]"), name)))
        });
        let missing: Vec<_> = named.chain(http.map(|(field, name)| (field, missing(name)))).collect();
        for (field, name) in missing {
            if let Some(name) = name {
                let effect = "so the routes have no effect there: check the name, or write NAMESPACE/NAME";
                self.warn(NOT_FOUND, &field, format!("there is no Gateway {name}, {effect}"));
            }
        }
    }

    fn hosts(&mut self, spec: &VirtualService) {
        let mesh = self.mesh;
        let on_mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|name| name == MESH);
        for (i, name) in spec.hosts.iter().enumerate() {
            let field = format!("spec.hosts[{i}]");
            let full = host::full_name(name, &self.object.key.namespace, &mesh.domain);
            let is_service = on_mesh && mesh.services.contains_key(&full);
            if on_mesh && !is_service {
                // A name without a dot is never a host outside; one with a dot may be.
                if !name.contains(['.', '*', ':']) {
                    let near = suggestion(mesh, &full);
                    self.warn(NOT_FOUND, &field, format!("there is no service {full}, so no request has this host{near}"));
                } else if let Some(meant) = mesh.services.values().find(|service| is_short_for(name, service)) {
                    let message = format!("this is the host {name} alone, and not the service: for that, write {}", meant.host);
                    self.warn(NOT_FOUND, &field, message);
                }
            }
            if on_mesh && let Some(first) = self.earlier(&full) {
                let message =
                    format!("{first} has this host already, and routes are not merged on sidecars: only the first that has any counts");
                self.warn(CONFLICT, &field, message);
            }
            for gateway in spec.gateways.iter().map(|name| gateway_name(name, &self.object.key.namespace)) {
                let Some(found) = mesh.gateways.get(&gateway) else { continue };
                let routes = |server: &Server| spec.http.is_empty() || !server.is_tcp();
                let has = |server: &Server| routes(server) && server.hosts.iter().any(|own| have_common(own, &full));
                // A service beside the hosts of the gateway is meant for sidecars.
                if !is_service && !found.servers.iter().any(has) {
                    self.warn(NOT_AT_GATEWAY, &field, format!("Gateway {gateway} has no server for {full}: add the host to it"));
                }
            }
        }
    }

    /// An earlier VirtualService for the same host on sidecars that the same callers see.
    fn earlier(&self, full: &str) -> Option<String> {
        let own = self.object.key.to_string();
        let is_rival = |other: &&Resolved| {
            other.is_for(MESH) && other.is_visible_in(&self.object.key.namespace) && other.hosts.iter().any(|host| host == full)
        };
        let first = self.mesh.virtual_services.iter().find(is_rival)?;
        (first.object != own).then(|| first.object.clone())
    }

    fn routes(&mut self, spec: &VirtualService) {
        let listeners = self.listener_ports(spec);
        for (i, route) in spec.http.iter().enumerate() {
            let at = |field: String| format!("spec.http[{i}].{field}");
            for (j, choice) in route.route.iter().enumerate() {
                self.destination(&at(format!("route[{j}].destination")), &choice.destination, NO_ROUTE, &listeners);
            }
            for (j, mirror) in route.mirrors.iter().enumerate() {
                self.destination(&at(format!("mirrors[{j}].destination")), &mirror.destination, NO_MIRROR, &listeners);
            }
            if let Some(destination) = &route.mirror {
                self.destination(&at("mirror".into()), destination, NO_MIRROR, &listeners);
            }
        }
        for (i, route) in spec.tcp.iter().enumerate() {
            for (j, choice) in route.route.iter().enumerate() {
                let at = format!("spec.tcp[{i}].route[{j}].destination");
                self.destination(&at, &choice.destination, "its connections are closed", &listeners);
            }
        }
    }

    /// The ports on which requests for the VirtualService come in.
    fn listener_ports(&self, spec: &VirtualService) -> BTreeSet<u16> {
        let namespace = &self.object.key.namespace;
        let gateways = spec.gateways.iter().filter_map(|name| self.mesh.gateways.get(&gateway_name(name, namespace)));
        let at_gateways = gateways.flat_map(|gateway| gateway.servers.iter().map(|server| server.port.number));
        let hosts = spec.hosts.iter().filter(|_| spec.gateways.is_empty() || spec.gateways.iter().any(|name| name == MESH));
        let services = hosts.filter_map(|name| self.mesh.services.get(&host::full_name(name, namespace, &self.mesh.domain)));
        let on_mesh = services.flat_map(|service| service.ports.iter().map(|port| port.number));
        at_gateways.chain(on_mesh).collect()
    }

    fn destination(&mut self, at: &str, destination: &Destination, effect: &str, listeners: &BTreeSet<u16>) {
        let mesh = self.mesh;
        let host = host::full_name(&destination.host, &self.object.key.namespace, &mesh.domain);
        let Some(service) = mesh.services.get(&host) else {
            let near = suggestion(mesh, &host);
            return self.warn(NOT_FOUND, &format!("{at}.host"), format!("there is no service {host}; {effect}{near}"));
        };
        match &destination.port {
            Some(port) if service.port(port.number).is_none() => {
                self.warn(NOT_FOUND, &format!("{at}.port.number"), format!("the service {host} has no port {}; {effect}", port.number));
            }
            None if service.ports.len() > 1 => {
                if let Some(port) = listeners.iter().find(|port| service.port(**port).is_none()) {
                    let several = format!("the service {host} has several ports, and none is {port}");
                    let message = format!("{several}, where requests come in: for these {effect}; name one in destination.port.number");
                    self.warn(PORT_NEEDED, at, message);
                }
            }
            _ => {}
        }
        if !destination.subset.is_empty() && !self.is_listed(&host, &destination.subset) {
            let message = format!("no DestinationRule for {host} lists the subset {:?}; {effect}", destination.subset);
            self.warn(NOT_FOUND, &format!("{at}.subset"), message);
        }
    }

    /// Whether the rule that holds for some caller lists a subset: any namespace with pods may call, and gateways may.
    fn is_listed(&self, host: &str, subset: &str) -> bool {
        let callers = self.mesh.workloads.iter().map(|workload| workload.namespace.as_str());
        let callers: BTreeSet<&str> = callers.chain([self.object.key.namespace.as_str(), ROOT_NAMESPACE]).collect();
        callers.into_iter().any(|caller| self.mesh.rule(caller, host).is_some_and(|rule| rule.subset(subset).is_some()))
    }
}

/// Whether a server's host (`[NAMESPACE/]HOST`) and a VirtualService's have anything in common.
fn have_common(server_host: &str, name: &str) -> bool {
    let own = server_host.split_once('/').map_or(server_host, |(_, host)| host);
    host::matches(own, name) || host::matches(name, own)
}

/// Whether callers may write a name for a service, which VirtualServices may not.
fn is_short_for(name: &str, service: &Service) -> bool {
    name.strip_prefix(service.name.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|rest| rest == service.namespace || rest.strip_suffix(".svc").is_some_and(|namespace| namespace == service.namespace))
}
