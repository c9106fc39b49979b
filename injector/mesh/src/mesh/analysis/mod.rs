//! What does not fit together: names that lead nowhere.

mod suggestion;
mod virtual_service;
mod wasm_plugin;

use super::service::Protocol;
use super::{Mesh, host};
use crate::finding::{Finding, Severity};
use crate::object::gateway::{Gateway, Server};
use crate::object::{Kind, Object, Objects};
use crate::xds::listener::OWN_PORTS;
use k8s_openapi::api::core::v1::Service;
use suggestion::suggestion;

/// Istio's code for a reference to something that is not there.
const NOT_FOUND: Option<&str> = Some("IST0101");

pub(super) fn analyze(mesh: &Mesh, objects: &Objects, findings: &mut Vec<Finding>) {
    for object in objects.iter() {
        match &object.kind {
            Kind::VirtualService(spec) => virtual_service::analyze(mesh, object, spec, findings),
            Kind::WasmPlugin(spec) => wasm_plugin::analyze(mesh, object, spec, findings),
            Kind::Gateway(spec) => gateway(object, spec, findings),
            Kind::Service(spec) => service(mesh, object, spec, findings),
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
    wasm_plugin::rivals(mesh, objects, findings);
}

fn service(mesh: &Mesh, object: &Object, spec: &Service, findings: &mut Vec<Finding>) {
    let host = host::full_name(&object.key.name, &object.key.namespace, &mesh.domain);
    let ports = spec.spec.iter().flat_map(|spec| spec.ports.iter().flatten()).enumerate();
    for (i, number) in ports.filter_map(|(i, port)| Some((i, u16::try_from(port.port).ok()?))) {
        let found = mesh.services.get(&host).and_then(|service| service.port(number));
        let is_http = found.is_some_and(|port| matches!(port.protocol, Protocol::Http | Protocol::Http2));
        if is_http && OWN_PORTS.contains(&number) {
            let message = format!("port {number} is the proxy's own; calls to it pass by the routes of the mesh: choose another");
            findings.push(object.finding(Severity::Warning, None, &format!("spec.ports[{i}].port"), message));
        }
    }
}

fn gateway(object: &Object, spec: &Gateway, findings: &mut Vec<Finding>) {
    for (i, server) in spec.servers.iter().enumerate() {
        let http = |other: &&Server| other.is_http() && other.port.number == server.port.number;
        let message = if !server.is_served() {
            format!("Weir serves no {} at gateways yet; the server has no effect", server.port.protocol)
        } else if OWN_PORTS.contains(&server.port.number) {
            format!("port {} is the proxy's own; the server has no effect: choose another", server.port.number)
        } else if !server.is_http() && spec.servers.iter().any(|other| http(&other)) {
            format!(
                "another server of this Gateway has HTTP on port {}; this one has no effect: give it a port of its own",
                server.port.number
            )
        } else {
            continue;
        };
        findings.push(object.finding(Severity::Warning, None, &format!("spec.servers[{i}].port.protocol"), message));
    }
}
