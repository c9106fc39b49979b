//! A container of the user's merged over one of ours: what the user says counts, what the user does not say is ours.
//!
//! As Istio's "customizing injection": a strategic merge, in which lists of Kubernetes are merged by their keys.

use serde_json::{Map, Value};

/// Lists whose items are told by some of their fields; any other list is the user's as a whole.
const KEYED: [(&str, &[&str]); 4] =
    [("env", &["name"]), ("volumeMounts", &["mountPath"]), ("ports", &["containerPort", "protocol"]), ("volumeDevices", &["devicePath"])];
/// Fields of which one at a time may be there: what a probe or hook does.
const HANDLERS: [&str; 5] = ["httpGet", "tcpSocket", "exec", "grpc", "sleep"];
/// The image of a container that stands for ours.
const AUTO: &str = "auto";

/// Merges the user's container over ours.
pub(super) fn merge(ours: Value, users: &Value) -> Value {
    let (Value::Object(mut ours), Value::Object(users)) = (ours, users) else { return Value::Null };
    let is_ours = |(field, value): &(&String, &Value)| *field == "image" && matches!(value.as_str(), Some("" | AUTO));
    for (field, value) in users.iter().filter(|entry| !is_ours(entry)) {
        put(&mut ours, field, value);
    }
    Value::Object(ours)
}

fn put(ours: &mut Map<String, Value>, field: &str, users: &Value) {
    match (ours.get_mut(field), users) {
        // To Kubernetes null is as if nothing were said.
        (_, Value::Null) => {}
        (Some(Value::Object(ours)), Value::Object(users)) => {
            if users.keys().any(|key| HANDLERS.contains(&key.as_str())) {
                ours.retain(|key, _| !HANDLERS.contains(&key.as_str()));
            }
            users.iter().for_each(|(field, value)| put(ours, field, value));
        }
        (Some(Value::Array(ours)), Value::Array(users)) => match KEYED.iter().find(|(list, _)| *list == field) {
            Some((_, keys)) => users.iter().for_each(|item| put_item(ours, keys, item)),
            None => ours.clone_from(users),
        },
        (_, users) => drop(ours.insert(field.into(), users.clone())),
    }
}

fn put_item(ours: &mut Vec<Value>, keys: &[&str], item: &Value) {
    // A port's protocol is TCP where nothing is said.
    let key = |item: &Value, key: &str| item.get(key).cloned().or_else(|| (key == "protocol").then(|| "TCP".into()));
    let is_same = |other: &&mut Value| keys.iter().all(|name| key(other, name) == key(item, name));
    match ours.iter_mut().find(is_same) {
        Some(same) => same.clone_from(item),
        None => ours.push(item.clone()),
    }
}
