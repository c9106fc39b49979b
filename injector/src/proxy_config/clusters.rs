//! Clusters: the services, ports and subsets that Envoy can call.

use super::dump::{is_port, listed, made_from, text};
use crate::commands::output::row;
use serde_json::Value;

/// The parts of a name as Istio makes it: `outbound|9080|v1|reviews.shop.svc.cluster.local`.
struct Name<'a> {
    direction: &'a str,
    port: &'a str,
    subset: &'a str,
    fqdn: &'a str,
}

impl<'a> Name<'a> {
    /// A name of another form is the service itself.
    fn of(name: &'a str) -> Name<'a> {
        let mut parts = name.split('|');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(direction), Some(port), Some(subset), Some(fqdn)) => Name { direction, port, subset, fqdn },
            _ => Name { direction: "", port: "", subset: "", fqdn: name },
        }
    }
}

/// The clusters of a service, of a port, or all.
pub fn select(dump: &Value, fqdn: Option<&str>, port: Option<u16>) -> Vec<Value> {
    let configured =
        listed(dump, &["static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"]).map(|entry| &entry["cluster"]);
    let is_wanted = |cluster: &&Value| {
        let name = Name::of(text(cluster, "/name"));
        fqdn.is_none_or(|fqdn| fqdn == name.fqdn) && is_port(name.port, port)
    };
    configured.filter(is_wanted).cloned().collect()
}

/// A line for each cluster, sorted by service and port.
pub fn table(clusters: &[Value]) -> Vec<Vec<String>> {
    let line = |cluster: &Value| {
        let Name { direction, port, subset, fqdn } = Name::of(text(cluster, "/name"));
        let kind = [text(cluster, "/type"), text(cluster, "/cluster_type/name")].concat();
        let rule = made_from(cluster);
        // Envoy leaves out what is its default.
        let kind = if kind.is_empty() { "STATIC" } else { kind.as_str() };
        [fqdn, port, subset, direction, kind, &rule].map(|cell| if cell.is_empty() { "-".to_string() } else { cell.to_string() }).to_vec()
    };
    let mut lines: Vec<_> = clusters.iter().map(line).collect();
    lines.sort();
    [vec![row(&["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"])], lines].concat()
}
