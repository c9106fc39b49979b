//! Takes out of texts and objects what nobody else may know: keys, tokens, passwords, and apps' environments.

use crate::kubernetes::proxied::{INIT, PROXY};
use serde_json::Value;

const GONE: &str = "REMOVED";
/// Containers of Weir's own: their environments tell what is asked for here, and hold no secrets.
const OWN: [&str; 3] = ["weir", INIT, PROXY];
/// What the names of secret fields end with.
const SECRET: [&str; 7] = ["password", "passwd", "secret", "token", "apikey", "privatekey", "accesskey"];

/// A text without private keys and tokens.
pub fn text(text: &str) -> String {
    words(&blocks(text))
}

/// Without blocks of PEM that hold a private key; one that has no end goes to the end.
fn blocks(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("-----BEGIN ") {
        kept.push_str(before);
        let label = after.split("-----").next().unwrap_or_default();
        if !label.ends_with("PRIVATE KEY") {
            kept.push_str("-----BEGIN ");
            rest = after;
            continue;
        }
        kept.push_str(GONE);
        let end = format!("-----END {label}-----");
        rest = after.split_once(end.as_str()).map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// Without JSON Web Tokens, without what stands behind `Bearer` and `Basic`, and without the `secrets` of a filter's configuration.
fn words(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_.+/~".contains(character);
    let mut kept = String::with_capacity(text.len());
    let mut before = "";
    let mut is_list = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside = is_part(first);
        let end = rest.find(|character| is_part(character) != inside).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if !inside {
            is_list &= !word.contains(']');
            kept.push_str(word);
            continue;
        }
        let is_token = word.starts_with("eyJ") && word.matches('.').count() == 2;
        let is_credential = matches!(before, "Bearer" | "bearer" | "Basic" | "basic") && word.len() > 7;
        let is_key = is_list && word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        kept.push_str(if is_token || is_credential || is_key { GONE } else { word });
        is_list |= word == "secrets";
        before = word;
    }
    kept
}

/// An object without secrets, and without what only fills pages.
pub fn object(mut value: Value) -> Value {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    inside("", &mut value);
    value
}

fn inside(name: &str, value: &mut Value) {
    match value {
        Value::String(it) if is_secret(name) => *it = GONE.into(),
        Value::String(it) => *it = text(it),
        Value::Array(items) => items.iter_mut().for_each(|item| inside(name, item)),
        Value::Object(fields) => {
            let is_own = fields.get("name").and_then(Value::as_str).is_some_and(|name| OWN.contains(&name));
            if let Some(Value::Array(variables)) = fields.get_mut("env").filter(|_| !is_own) {
                variables.iter_mut().filter_map(|variable| variable.get_mut("value")).for_each(|value| *value = GONE.into());
            }
            fields.iter_mut().for_each(|(name, value)| inside(name, value));
        }
        _ => {}
    }
}

/// `clientSecret`, `api-key`; but not `secretName`, which names one.
fn is_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRET.iter().any(|secret| name.ends_with(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_and_tokens_go_from_texts_and_all_else_stays() {
        let kept = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\nbasic things, 1.2.3, eyJust a word";
        assert_eq!(text(kept), kept);
        let key = "0123456789abcdef".repeat(4);
        for (given, expected) in [
            ("a\n-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\nb", "a\nREMOVED\nb"),
            ("-----BEGIN PRIVATE KEY-----\nx", "REMOVED"),
            ("token=eyJhbGciOiJ.eyJpc3MiOi.c2ln-_x, next", "token=eyJhbGciOiJ.eyJpc3MiOi.c2ln-_x, next"),
            ("token eyJhbGciOiJ.eyJpc3MiOi.c2ln-_x, next", "token REMOVED, next"),
            ("authorization: Bearer abcdefgh1234", "authorization: Bearer REMOVED"),
            (
                &format!(r#"{{\"secrets\":[\"{key}\",\"{key}\"],\"of\":\"{key}\"}}"#),
                &format!(r#"{{\"secrets\":[\"REMOVED\",\"REMOVED\"],\"of\":\"{key}\"}}"#),
            ),
        ] {
            let expected = expected.replace("token=eyJhbGciOiJ.eyJpc3MiOi.c2ln-_x", "token=REMOVED");
            assert_eq!(text(given), expected, "{given}");
        }
    }

    #[test]
    fn secret_fields_and_apps_environments_go_from_objects() {
        let container = |name: &str| json!({"name": name, "env": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        let given = json!({
            "metadata": {"name": "p", "managedFields": [], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "a": "b"}},
            "spec": {"containers": [container("app"), container("istio-proxy")], "secretName": "s", "clientSecret": "x", "key": [{"cookie": "user"}]},
        });
        let app = json!({"name": "app", "env": [{"name": "A", "value": "REMOVED"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        let expected = json!({
            "metadata": {"name": "p", "annotations": {"a": "b"}},
            "spec": {"containers": [app, container("istio-proxy")], "secretName": "s", "clientSecret": "REMOVED", "key": [{"cookie": "user"}]},
        });
        assert_eq!(object(given), expected);
    }
}
