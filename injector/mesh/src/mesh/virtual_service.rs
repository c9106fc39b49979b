//! VirtualServices with full names, in Istio's order.

use super::host;
use super::rule::is_exported;
use crate::object::virtual_service::{HttpRoute, TcpRoute};
use crate::object::{Kind, Object, Objects};
use std::time::Duration;

/// The gateway name that means all sidecars.
pub const MESH: &str = "mesh";

/// A VirtualService whose hosts, destinations and gateways are full names.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// Where it is.
    pub namespace: String,
    /// Full names or wildcards.
    pub hosts: Vec<String>,
    /// `namespace/name`, or [`MESH`].
    pub gateways: Vec<String>,
    /// Namespaces that see it; empty: all.
    pub export_to: Vec<String>,
    /// HTTP routes.
    pub http: Vec<HttpRoute>,
    /// TCP routes.
    pub tcp: Vec<TcpRoute>,
    /// The user's object.
    pub object: String,
}

impl VirtualService {
    /// Whether it concerns a gateway (`namespace/name` or [`MESH`]).
    pub fn is_for(&self, gateway: &str) -> bool {
        self.gateways.iter().any(|own| own == gateway)
    }

    /// How far it reaches: 0 its own namespace alone, 1 the namespaces it names, 2 all. What reaches less comes first.
    pub fn reach(&self) -> u8 {
        match self.export_to.as_slice() {
            [] => 2,
            some if some.iter().any(|to| to == "*") => 2,
            some if some.iter().all(|to| to == "." || *to == self.namespace) => 0,
            _ => 1,
        }
    }

    /// Each host to which it sends requests, with the time for one try if that is limited.
    pub fn tries(&self) -> impl Iterator<Item = (&str, Option<Duration>)> {
        let http = self.http.iter().flat_map(|route| {
            let limit = route.retries.as_ref().filter(|retries| retries.attempts > 0).and_then(|retries| retries.per_try_timeout);
            let limit = limit.map(|limit| limit.0).filter(|limit| !limit.is_zero());
            route.route.iter().map(move |choice| (choice.destination.host.as_str(), limit))
        });
        let tcp = self.tcp.iter().flat_map(|route| &route.route).map(|choice| (choice.destination.host.as_str(), None));
        http.chain(tcp)
    }

    /// Whether it is exported to a namespace.
    pub fn is_visible_in(&self, namespace: &str) -> bool {
        is_exported(&self.export_to, &self.namespace, namespace)
    }
}

/// The full name of a gateway that an object in `namespace` names.
pub fn gateway_name(name: &str, namespace: &str) -> String {
    match name.split_once('/') {
        Some((".", name)) => format!("{namespace}/{name}"),
        Some(_) => name.into(),
        None if name == MESH => name.into(),
        None => format!("{namespace}/{name}"),
    }
}

pub(super) fn build(objects: &Objects, domain: &str) -> Vec<VirtualService> {
    let mut sources: Vec<&Object> =
        objects.iter().map(AsRef::as_ref).filter(|object| matches!(object.kind, Kind::VirtualService(_))).collect();
    sources.sort_by_key(|object| (object.meta.creation_timestamp.clone(), object.key.name.clone(), object.key.namespace.clone()));
    sources.into_iter().filter_map(|object| resolve(object, domain)).collect()
}

fn resolve(object: &Object, domain: &str) -> Option<VirtualService> {
    let Kind::VirtualService(spec) = &object.kind else { return None };
    let namespace = &object.key.namespace;
    let full = |name: &str| host::full_name(name, namespace, domain);
    let mut gateways: Vec<String> = spec.gateways.iter().map(|name| gateway_name(name, namespace)).collect();
    if gateways.is_empty() {
        gateways.push(MESH.into());
    }
    let mut http = spec.http.clone();
    for route in &mut http {
        let destinations = route.route.iter_mut().map(|choice| &mut choice.destination);
        let mirrors = route.mirrors.iter_mut().map(|mirror| &mut mirror.destination);
        for destination in destinations.chain(mirrors).chain(route.mirror.as_mut()) {
            destination.host = full(&destination.host);
        }
        for matched in &mut route.matches {
            matched.gateways.iter_mut().for_each(|name| *name = gateway_name(name, namespace));
        }
    }
    let mut tcp = spec.tcp.clone();
    for route in &mut tcp {
        route.route.iter_mut().for_each(|choice| choice.destination.host = full(&choice.destination.host));
        for matched in &mut route.matches {
            matched.gateways.iter_mut().for_each(|name| *name = gateway_name(name, namespace));
        }
    }
    Some(VirtualService {
        namespace: namespace.clone(),
        hosts: spec.hosts.iter().map(|name| full(name)).collect(),
        gateways,
        export_to: spec.export_to.clone(),
        http,
        tcp,
        object: object.key.to_string(),
    })
}
