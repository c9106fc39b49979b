//! The probes of an app whose traffic is redirected.
//!
//! The kubelet's connections enter the pod as any other and reach Envoy's inbound listener (xds/inbound.rs). There
//!
//! - an **HTTP** probe reaches the app: by the port's own filter chain where a Service names the port, else by the catch-all chain,
//!   which passes the bytes on to the address that was called (InboundPassthroughCluster), so any port will do, also one that is no
//!   containerPort. When nobody listens Envoy answers 503, or closes the connection: the probe fails, as it should;
//! - a **gRPC** probe (HTTP/2 without TLS) and an **HTTPS** one likewise: the chains are HTTP/1 and HTTP/2 alike, TLS is bytes;
//! - an app that listens on 127.0.0.1 alone is not reached, nor would it be without a proxy: the kubelet calls the pod's address;
//! - before Envoy has its configuration nobody listens on 15006 and all probes fail. Beside a native sidecar no app runs yet;
//! - a port that is excluded from redirection is the app's own.
//!
//! Istio rewrites all of them because of mutual TLS, which Weir has not. One kind is broken without: a **TCP** probe asks only whether
//! a connection is accepted, and Envoy accepts it before it has one to the app. It would succeed always. So a TCP probe of a redirected
//! port becomes an HTTP probe of a page of Envoy's health listener, `15021/app-health/PORT`. Behind it is a cluster with that port
//! alone, to which Envoy itself opens a connection each second ([`serve`], in the bootstrap): 200 when it was accepted, else 503.
//!
//! Left alone are probes of init containers beside a proxy that is no native sidecar: these run while there is no proxy yet.

use super::names::{CONTAINERS, INIT_CONTAINERS};
use super::settings::{Redirect, Settings};
use super::status::{Probe, name_of};
use crate::bootstrap::HEALTH_PORT;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

const KINDS: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];

/// Rewrites the TCP probes of a pod's containers, without ours and the user's own proxy, and says which.
pub(super) fn rewrite(pod: &mut Value, settings: &Settings) -> Vec<Probe> {
    let Some(redirect) = settings.redirect.as_ref().filter(|_| settings.rewrite_probes) else { return Vec::new() };
    let lists: &[&str] = if settings.native { &[INIT_CONTAINERS, CONTAINERS] } else { &[CONTAINERS] };
    let mut rewritten = Vec::new();
    for list in lists {
        for container in pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            for kind in KINDS {
                rewritten.extend(rewrite_one(container, kind, redirect));
            }
        }
    }
    rewritten
}

fn rewrite_one(container: &mut Value, kind: &str, redirect: &Redirect) -> Option<Probe> {
    let name = name_of(container)?.to_string();
    let tcp_socket = container.get(kind)?.get("tcpSocket")?.clone();
    // Another host is none of ours.
    let is_own = tcp_socket.get("host").is_none_or(|host| host.is_null() || host.as_str() == Some(""));
    let port = number(container, tcp_socket.get("port")?).filter(|port| is_own && redirect.catches(*port))?;
    replace(container.get_mut(kind)?, "tcpSocket", "httpGet", page(port));
    Some(Probe { container: name, probe: kind.into(), port, tcp_socket })
}

/// Makes a rewritten probe what it was, unless somebody changed it since.
pub(super) fn restore(pod: &mut Value, probe: &Probe) {
    for list in [INIT_CONTAINERS, CONTAINERS] {
        let containers = pod.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        let mut named = containers.filter(|container| name_of(container) == Some(&probe.container));
        if let Some(found) = named.find_map(|container| container.get_mut(&probe.probe))
            && found.get("httpGet").is_some_and(|asked| is_page(asked, probe.port))
        {
            replace(found, "httpGet", "tcpSocket", probe.tcp_socket.clone());
        }
    }
}

/// The ports whose probes the proxy answers.
pub(super) fn ports(probes: &[Probe]) -> Vec<u16> {
    let mut ports: Vec<_> = probes.iter().map(|probe| probe.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn path(port: u16) -> String {
    format!("/app-health/{port}")
}

/// With the default that the API server would add: it asks again when a pod is not as it was.
fn page(port: u16) -> Value {
    json!({"path": path(port), "port": HEALTH_PORT, "scheme": "HTTP"})
}

fn is_page(asked: &Value, port: u16) -> bool {
    asked.get("path") == Some(&json!(path(port))) && asked.get("port") == Some(&json!(HEALTH_PORT))
}

/// A port's number: as given, or of the container's port of that name.
fn number(container: &Value, port: &Value) -> Option<u16> {
    let number = |port: &Value| port.as_u64().and_then(|port| u16::try_from(port).ok());
    let Some(name) = port.as_str() else { return number(port) };
    let ports = container.get("ports").and_then(Value::as_array);
    let named = ports.and_then(|ports| ports.iter().find(|port| name_of(port) == Some(name)));
    named.map_or_else(|| name.parse().ok(), |port| number(port.get("containerPort")?))
}

/// Puts a field in the place of another.
fn replace(object: &mut Value, old: &str, new: &str, value: Value) {
    let Some(map) = object.as_object_mut() else { return };
    let fields = std::mem::take(map).into_iter().filter(|(field, _)| field != new);
    *map = fields.map(|(field, old_value)| if field == old { (new.to_string(), value.clone()) } else { (field, old_value) }).collect();
}

/// Adds to a bootstrap what answers the rewritten probes of these ports of the pod. A bootstrap without the health listener stays
/// as it is.
pub fn serve(bootstrap: &mut Value, pod: IpAddr, ports: &[u16]) {
    const FILTERS: &str = "/filter_chains/0/filters/0/typed_config/http_filters";
    let listeners = bootstrap.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
    let health = listeners.and_then(|listeners| listeners.iter_mut().find(|listener| name_of(listener) == Some("health")));
    let Some(filters) = health.and_then(|health| health.pointer_mut(FILTERS)).and_then(Value::as_array_mut) else { return };
    filters.splice(0..0, ports.iter().map(|port| answer(*port)));
    if let Some(clusters) = bootstrap.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut) {
        clusters.extend(ports.iter().map(|port| checked(pod, *port)));
    }
}

fn cluster_name(port: u16) -> String {
    format!("app-health-{port}")
}

fn answer(port: u16) -> Value {
    json!({
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": false,
            "headers": [{"name": ":path", "string_match": {"exact": path(port)}}],
            "cluster_min_healthy_percentages": Map::from_iter([(cluster_name(port), json!({"value": 100}))]),
        },
    })
}

fn checked(pod: IpAddr, port: u16) -> Value {
    let name = cluster_name(port);
    let address = json!({"socket_address": {"address": pod.to_string(), "port_value": port}});
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "health_checks": [{
            "timeout": "1s",
            "interval": "1s",
            // No requests pass this cluster; Envoy's default would look once a minute.
            "no_traffic_interval": "1s",
            "healthy_threshold": 1,
            "unhealthy_threshold": 1,
            "tcp_health_check": {},
        }],
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
    })
}
