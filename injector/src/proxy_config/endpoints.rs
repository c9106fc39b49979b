//! Endpoints: the addresses behind each cluster, as Envoy sees them at this moment.

use super::dump::{address, at, is_port, list, text};
use crate::commands::output::row;
use serde_json::Value;

/// Where Envoy tells them.
pub const PATH: &str = "/clusters?format=json";

/// The clusters with their endpoints: of one name, with endpoints on a port, or all.
pub fn select(clusters: &Value, name: Option<&str>, port: Option<u16>) -> Vec<Value> {
    let named = list(clusters, "/cluster_statuses").iter().filter(|cluster| name.is_none_or(|name| text(cluster, "/name") == name));
    let with_endpoints = named.map(|cluster| {
        let mut cluster = cluster.clone();
        if let Some(Value::Array(hosts)) = cluster.get_mut("host_statuses") {
            hosts.retain(|host| is_port(&address(&host["address"]).1, port));
        }
        cluster
    });
    with_endpoints.filter(|cluster| port.is_none() || !list(cluster, "/host_statuses").is_empty()).collect()
}

/// A line for each endpoint of each cluster.
pub fn table(clusters: &[Value]) -> Vec<Vec<String>> {
    let lines = clusters.iter().flat_map(|cluster| {
        list(cluster, "/host_statuses").iter().map(|host| {
            let (ip, port) = address(&host["address"]);
            let endpoint = if port.is_empty() { ip } else { format!("{ip}:{port}") };
            let outlier = if *at(host, "/health_status/failed_outlier_check") == true { "FAILED" } else { "OK" };
            let number = |name: &str| host[name].as_u64().unwrap_or_default().to_string();
            let place = ["/locality/region", "/locality/zone", "/locality/sub_zone"].map(|part| text(host, part));
            let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
            vec![
                endpoint,
                status(at(host, "/health_status")),
                outlier.into(),
                place.join("/"),
                number("priority"),
                number("weight"),
                text(cluster, "/name").into(),
            ]
        })
    });
    [row(&["ENDPOINT", "STATUS", "OUTLIER", "LOCALITY", "PRIORITY", "WEIGHT", "CLUSTER"])].into_iter().chain(lines).collect()
}

/// By the control plane's word, unless Envoy's own checks know better.
fn status(health: &Value) -> String {
    match (health["failed_active_health_check"] == true, text(health, "/eds_health_status")) {
        (true, _) => "UNHEALTHY".into(),
        (false, "") => "HEALTHY".into(),
        (false, status) => status.into(),
    }
}
