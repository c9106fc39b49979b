//! Listeners: where Envoy takes connections, and what it does with them.

use super::dump::{address, is_port, list, listed, text};
use super::routes::destinations;
use crate::commands::output::row;
use serde_json::Value;

const CONNECTIONS: &str = "envoy.filters.network.http_connection_manager";

/// The listeners on a port, or all.
pub fn select(dump: &Value, port: Option<u16>) -> Vec<Value> {
    let configured = listed(dump, &["static_listeners", "dynamic_listeners"]).filter_map(|entry| {
        ["/listener", "/active_state/listener", "/warming_state/listener"].iter().find_map(|place| entry.pointer(place))
    });
    configured.filter(|listener| is_port(&address(&listener["address"]).1, port)).cloned().collect()
}

/// A line for each filter chain.
pub fn table(listeners: &[Value]) -> Vec<Vec<String>> {
    let lines = listeners.iter().flat_map(|listener| {
        let (address, port) = address(&listener["address"]);
        chains(listener).map(move |chain| vec![address.clone(), port.clone(), matched(chain), destination(chain)])
    });
    [row(&["ADDRESS", "PORT", "MATCH", "DESTINATION"])].into_iter().chain(lines).collect()
}

/// Its filter chains, the default one last.
pub fn chains(listener: &Value) -> impl Iterator<Item = &Value> {
    list(listener, "/filter_chains").iter().chain(listener.get("default_filter_chain"))
}

/// The configuration of a chain's HTTP, if it has one.
pub fn http(chain: &Value) -> Option<&Value> {
    list(chain, "/filters").iter().find(|filter| filter["name"] == CONNECTIONS).map(|filter| &filter["typed_config"])
}

/// What the connections of a chain have in common.
pub fn matched(chain: &Value) -> String {
    let criteria = &chain["filter_chain_match"];
    let texts = |name: &str| list(criteria, name).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    let ranges: Vec<_> = list(criteria, "/prefix_ranges").iter().map(range).collect();
    let place = match (ranges.join(","), criteria["destination_port"].as_u64()) {
        (ranges, None) => ranges,
        (ranges, Some(port)) if ranges.is_empty() => format!("*:{port}"),
        (ranges, Some(port)) => format!("{ranges}:{port}"),
    };
    let parts = [
        ("Addr", place),
        ("SNI", texts("/server_names")),
        ("Trans", text(criteria, "/transport_protocol").into()),
        ("App", texts("/application_protocols")),
    ];
    let told: Vec<_> = parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}")).collect();
    if told.is_empty() { "ALL".into() } else { told.join("; ") }
}

fn range(range: &Value) -> String {
    let prefix = text(range, "/address_prefix");
    match range["prefix_len"].as_u64() {
        None | Some(32 | 128) => prefix.into(),
        Some(length) => format!("{prefix}/{length}"),
    }
}

fn destination(chain: &Value) -> String {
    if let Some(http) = http(chain) {
        let name = text(http, "/rds/route_config_name");
        return if name.is_empty() { inline(&http["route_config"]) } else { format!("Route: {name}") };
    }
    let Some(last) = list(chain, "/filters").last() else { return "none".into() };
    let shares = destinations(&last["typed_config"]);
    match shares.is_empty() {
        true => text(last, "/name").into(),
        false => format!(
            "Cluster: {}",
            shares.iter().map(|(name, share)| format!("{name} {share}").trim().to_string()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Routes that stand in the listener itself.
fn inline(routes: &Value) -> String {
    let routes = list(routes, "/virtual_hosts").iter().flat_map(|host| list(host, "/routes"));
    let mut clusters: Vec<_> = routes.flat_map(|route| destinations(&route["route"])).map(|(name, _)| name).collect();
    clusters.dedup();
    format!("Inline Route: {}", clusters.join(", "))
}
