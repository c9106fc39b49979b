//! YAML as a person writes it: what fits stands on one line, but for the way to what is shown.

use serde_json::Value;

const WIDTH: usize = 110;

/// A mapping, with the way to a field of it in lines of their own.
pub fn block(value: &Value, way: &[String], indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => members
            .iter()
            .map(|(name, value)| {
                let inside = way.split_first().filter(|(first, _)| *first == name).map_or(&[][..], |(_, rest)| rest);
                let line = format!("{pad}{name}: {}\n", flow(value));
                let is_nested = matches!(value, Value::Object(members) if !members.is_empty()) || matches!(value, Value::Array(_));
                if !is_nested || (inside.is_empty() && line.len() <= WIDTH) {
                    return line;
                }
                format!("{pad}{name}:\n{}", block(value, inside, indent + 2))
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                let line = format!("{pad}- {}\n", flow(item));
                if !item.is_object() || (way.is_empty() && line.len() <= WIDTH) {
                    return line;
                }
                let lines = block(item, way, indent + 2);
                format!("{pad}- {}", lines.trim_start())
            })
            .collect(),
        other => format!("{pad}{}\n", flow(other)),
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}: {}", flow(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// In quotes where another reader may take it for something else.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphanumeric() && c != '0')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && text.parse::<f64>().is_err();
    let is_other = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&text.to_ascii_lowercase().as_str());
    if is_word && !is_other { text.into() } else { Value::from(text).to_string() }
}
