//! Virtual hosts: the unit of the route model, so that each can be served alone (VHDS).

use super::View;
use super::route::{self, Group};
use super::{matching, passport};
use crate::mesh::host;
use crate::mesh::service::Service;
use crate::mesh::virtual_service::{MESH, VirtualService};
use crate::object::gateway::Server;
use crate::object::virtual_service::Destination;
use envoy_types::pb::envoy::config::route::v3::virtual_host::TlsRequirementType;
use envoy_types::pb::envoy::config::route::v3::{Route, VirtualHost, route as envoy_route, route_action};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The virtual hosts of one port for a sidecar, with the user's objects behind them.
pub(crate) fn of_sidecar(view: &View, port: u16) -> (Vec<VirtualHost>, BTreeSet<String>) {
    let mut objects = BTreeSet::new();
    let mut hosts = Vec::new();
    let mut taken = BTreeSet::new();
    let owners: Vec<&VirtualService> = view.virtual_services(MESH).collect();
    // Hosts that are no service of the mesh are known on port 80 alone (`istio-semantics` 14). They come first, as in Istio:
    // `reviews.shop` in a VirtualService is such a host, and not the short name of a service.
    if port == 80 {
        for owner in &owners {
            for name in owner.hosts.iter().filter(|name| name.as_str() != "*" && !view.mesh.services.contains_key(*name)) {
                let routes = route::flatten(route::of_virtual_service(view, owner, MESH, port));
                if !routes.is_empty() {
                    objects.insert(owner.object.clone());
                    hosts.push(virtual_host(format!("{name}:80"), vec![name.clone()], routes, &mut taken));
                }
            }
        }
    }
    let services = view.mesh.services.values().filter(|service| service.port(port).is_some_and(|port| port.protocol.may_be_http()));
    for service in services {
        let routes = of_service(view, &owners, service, port, &mut objects);
        hosts.push(virtual_host(format!("{}:{port}", service.host), domains(view, service), routes, &mut taken));
    }
    hosts.retain(|host| !host.domains.is_empty());
    hosts.push(allow_any(view));
    (hosts, objects)
}

/// The one virtual host of a service that is told apart by its address: whatever host a request names, it is meant for it.
pub(crate) fn of_address(view: &View, service: &Service, port: u16) -> (Vec<VirtualHost>, BTreeSet<String>) {
    let mut objects = BTreeSet::new();
    let owners: Vec<&VirtualService> = view.virtual_services(MESH).collect();
    let routes = of_service(view, &owners, service, port, &mut objects);
    let host = VirtualHost { name: format!("{}:{port}", service.host), domains: vec!["*".into()], routes, ..counted() };
    (vec![host], objects)
}

/// The routes of a service; one that no VirtualService has a route for is left as it is.
fn of_service(view: &View, owners: &[&VirtualService], service: &Service, port: u16, objects: &mut BTreeSet<String>) -> Vec<Route> {
    objects.insert(format!("Service {}/{}", service.namespace, service.name));
    for owner in candidates(owners, &service.host) {
        let routes = route::flatten(route::of_virtual_service(view, owner, MESH, port));
        if !routes.is_empty() {
            objects.insert(owner.object.clone());
            return routes;
        }
    }
    route::default(view, Destination { host: service.host.clone(), ..Default::default() }, port)
}

/// The VirtualServices that may own a host on sidecars: those that name it, in order, then the one with the most specific
/// wildcard. The first that has a route for the caller does; there is no merge (`istio-semantics` 7).
pub(crate) fn candidates<'a>(owners: &[&'a VirtualService], name: &str) -> Vec<&'a VirtualService> {
    let named = |owner: &&VirtualService| owner.hosts.iter().any(|own| own == name);
    let wildcards = owners.iter().copied().enumerate().filter(|(_, owner)| !named(owner)).filter_map(|(order, owner)| {
        let best = owner.hosts.iter().filter(|pattern| host::matches(pattern, name)).map(|pattern| host::specificity(pattern)).max()?;
        Some(((best, Reverse(order)), owner))
    });
    let wildcard = wildcards.max_by_key(|(key, _)| *key).map(|(_, owner)| owner);
    owners.iter().copied().filter(named).chain(wildcard).collect()
}

/// The virtual hosts of a gateway's port: routes of all VirtualServices for one host, in order, catch-alls last.
pub(crate) fn of_gateway(view: &View, servers: &[(String, &Server)], bind: u16) -> (Vec<VirtualHost>, BTreeSet<String>) {
    let mut objects = BTreeSet::new();
    let mut by_domain: BTreeMap<String, (Vec<Group>, bool)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (gateway, server) in servers {
        for owner in view.virtual_services(gateway) {
            let domains: BTreeSet<String> =
                owner.hosts.iter().flat_map(|name| server.hosts.iter().filter_map(move |own| common(own, name, gateway, owner))).collect();
            for domain in domains {
                let entry = by_domain.entry(domain.clone()).or_default();
                entry.1 |= redirects(server);
                // Several servers of a gateway may have the host; its routes stand there once.
                if seen.insert((domain, gateway, &owner.object, server.port.number)) {
                    objects.insert(owner.object.clone());
                    entry.0.extend(route::of_virtual_service(view, owner, gateway, server.port.number));
                }
            }
        }
    }
    // Requests to such a host are redirected also where no VirtualService has it.
    for (_, server) in servers.iter().filter(|(_, server)| redirects(server)) {
        for own in &server.hosts {
            let domain = own.split_once('/').map_or(own.as_str(), |(_, host)| host);
            by_domain.entry(domain.into()).or_default().1 = true;
        }
    }
    let host = |(domain, (mut groups, redirects)): (String, (Vec<Group>, bool))| {
        groups.sort_by_key(|group| group.is_catch_all);
        let require_tls = if redirects { TlsRequirementType::All } else { TlsRequirementType::None };
        VirtualHost {
            name: format!("{domain}:{bind}"),
            domains: vec![domain],
            routes: route::flatten(groups),
            require_tls: require_tls.into(),
            ..counted()
        }
    };
    (by_domain.into_iter().map(host).collect(), objects)
}

fn redirects(server: &Server) -> bool {
    server.tls.as_ref().is_some_and(|tls| tls.https_redirect)
}

/// What a server's host (`[NAMESPACE/]HOST`) and a VirtualService's have in common: the narrower of the two.
fn common(server_host: &str, name: &str, gateway: &str, owner: &VirtualService) -> Option<String> {
    let (namespace, server_host) = server_host.split_once('/').unwrap_or(("*", server_host));
    let own = gateway.split('/').next().unwrap_or_default();
    if namespace != "*" && owner.namespace != if namespace == "." { own } else { namespace } {
        return None;
    }
    if host::matches(server_host, name) {
        return Some(name.to_string());
    }
    host::matches(name, server_host).then(|| server_host.to_string())
}

/// A domain that two virtual hosts claim would make Envoy refuse them all: the first keeps it.
fn virtual_host(name: String, mut domains: Vec<String>, routes: Vec<Route>, taken: &mut BTreeSet<String>) -> VirtualHost {
    domains.retain(|domain| taken.insert(domain.clone()));
    VirtualHost { name, domains, routes, ..counted() }
}

/// Services are told by `x-envoy-attempt-count` how often a request was tried (Istio's ProxyHeaders.attemptCount).
fn counted() -> VirtualHost {
    VirtualHost { include_request_attempt_count: true, ..Default::default() }
}

/// How callers may write a service's name: shorter within its namespace; and its addresses.
fn domains(view: &View, service: &Service) -> Vec<String> {
    let (name, namespace) = (&service.name, &service.namespace);
    let mut domains = vec![service.host.clone()];
    if *namespace == view.workload.namespace {
        domains.push(name.clone());
    }
    domains.extend([format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")]);
    domains.extend(service.addresses.iter().map(|address| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }));
    if service.headless {
        domains.push(format!("*.{}", service.host));
    }
    domains
}

/// Istio's ALLOW_ANY: a host that nobody knows is passed on to the address that the caller asked for.
fn allow_any(view: &View) -> VirtualHost {
    let action = envoy_types::pb::envoy::config::route::v3::RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(super::cluster::PASSTHROUGH.into())),
        timeout: super::millis(0),
        ..Default::default()
    };
    let mut route = Route {
        name: "allow_any".into(),
        r#match: Some(matching::route_match(None)),
        action: Some(envoy_route::Action::Route(action)),
        ..Default::default()
    };
    passport::leave_behind(view, &mut route);
    VirtualHost { name: "allow_any".into(), domains: vec!["*".into()], routes: vec![route], ..Default::default() }
}
