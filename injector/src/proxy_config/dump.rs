//! Reading Envoy's `/config_dump`: what each part holds, static or from the control plane.

use serde_json::Value;

/// The values of the lists of these names, of all parts of the dump.
pub fn listed<'a>(dump: &'a Value, names: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let parts = dump["configs"].as_array().into_iter().flatten();
    parts.flat_map(move |part| names.iter().filter_map(|name| part[*name].as_array()).flatten())
}

/// What is somewhere inside; null if nothing is.
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// A text somewhere inside; empty if there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list somewhere inside.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Address and port of a listener or an endpoint.
pub fn address(value: &Value) -> (String, String) {
    let socket = &value["socket_address"];
    if socket.is_null() {
        let other = [text(value, "/pipe/path"), text(value, "/envoy_internal_address/server_listener_name")];
        return (other.concat(), String::new());
    }
    (text(socket, "/address").into(), socket["port_value"].as_u64().map(|port| port.to_string()).unwrap_or_default())
}

/// Whether it is the port that is asked for, if one is.
pub fn is_port(port: &str, asked: Option<u16>) -> bool {
    asked.is_none_or(|asked| port == asked.to_string())
}

/// `NAME.NAMESPACE` of the object that it was made from, as the control plane noted it.
pub fn made_from(value: &Value) -> String {
    let path = text(value, "/metadata/filter_metadata/istio/config");
    let mut parts = path.rsplit('/');
    match (parts.next(), parts.nth(1)) {
        (Some(name), Some(namespace)) => format!("{name}.{namespace}"),
        _ => String::new(),
    }
}

/// What Envoy last rejected, in words.
pub fn errors(dump: &Value) -> Vec<String> {
    let names = ["dynamic_listeners", "dynamic_active_clusters", "dynamic_warming_clusters", "dynamic_route_configs", "ecds_filters"];
    let told = |value: &Value| {
        let details = text(value, "/error_state/details");
        let name =
            [text(value, "/name"), text(value, "/cluster/name"), text(value, "/route_config/name"), text(value, "/ecds_filter/name")];
        (!details.is_empty()).then(|| format!("Envoy rejected an update of {}: {details}", name.concat()))
    };
    listed(dump, &names).filter_map(told).collect()
}
