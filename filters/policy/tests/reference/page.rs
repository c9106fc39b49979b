//! A page of the reference.

use crate::fields::{Field, Fields};
use crate::meaning;
use crate::yaml;
use serde_json::Value;
use std::fmt::Write;

/// The page of a policy: what a WasmPlugin with it looks like, all fields at a glance, and each with its examples.
pub fn page(filter: &str, schema: &schemars::Schema, fields: &Fields) -> String {
    let schema = schema.as_value();
    let text = |of: &Value| of.as_str().unwrap_or_default().replace('\n', " ");
    let policy = yaml::block(&schema["examples"][0], &[], 4);
    let mut page = format!(
        "<!-- Made from the types: BLESS=1 cargo test -p weir-policy --features schema -->\n\n# {}: the policy's fields\n\n{} It stands in the \
         `pluginConfig` of a WasmPlugin:\n\n```yaml\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: {filter}, \
         namespace: shop}}\nspec:\n  url: file:///etc/weir/modules/weir-{filter}.wasm\n  pluginConfig:\n{policy}```\n\n",
        text(&schema["title"]),
        text(&schema["description"]),
    );
    page += "`weir analyze FILE` says what is wrong with one, by line and field, and what to write instead. The examples below are what stands in \
             `pluginConfig` beside `version: 1`.\n";
    if meaning::known(filter).next().is_some() {
        page += "Tables under them say what the filter decides for some requests, in the words of its debug log: a bucket is the user's number from 0 to \
                 9999, by which the weights of the route choose; without a key Envoy draws one for each request.\n";
    }
    let names: Vec<_> = fields.filled_in.iter().map(|path| format!("`{path}`")).collect();
    let _ =
        writeln!(page, "\nNot in this list, since the control plane fills them in and a user writes none of them: {}.", names.join(", "));
    let _ = writeln!(page, "\nThe same for editors and tools: [JSON Schema](../schema/{filter}.json).");
    page += "\n| field | type | default | |\n|---|---|---|---|\n";
    for field in &fields.all {
        let _ = writeln!(
            page,
            "| [`{0}`](#{1}) | {2} | {3} | {4} |",
            field.path,
            anchor(&field.path),
            field.kind,
            default(field),
            first_sentence(&field.doc)
        );
    }
    fields.all.iter().for_each(|field| page += &section(filter, field));
    page
}

fn section(filter: &str, field: &Field) -> String {
    let mut text = format!("\n## `{}`\n\n{}, {}\n\n{}\n", field.path, capitalized(&field.kind), default_in_words(field), field.doc);
    if field.values.iter().any(|(_, doc)| !doc.is_empty()) {
        text += "\n";
        for (value, doc) in &field.values {
            let _ = writeln!(text, "- `{value}`: {doc}");
        }
    }
    if let Some(same) = &field.same_as {
        let _ = writeln!(text, "\nIts fields are those of [`{same}`](#{}).", anchor(same.trim_end_matches("[]")));
    }
    for (place, example) in field.examples.iter().enumerate() {
        let mut shown = example.clone();
        if field.path != "version" {
            shown.as_object_mut().unwrap().shift_remove("version");
        }
        let _ = write!(text, "\n```yaml\n{}```\n", yaml::block(&shown, &field.names, 0));
        let rows = meaning::of(filter, &field.path, place);
        if !rows.is_empty() {
            text += "\n| a request | is decided |\n|---|---|\n";
            for (request, decision) in rows {
                let request = request.iter().map(|line| in_words(line)).collect::<Vec<_>>().join(", ");
                let request = if request.is_empty() { "without it".into() } else { request };
                let _ = writeln!(text, "| {request} | {} |", decision.replace('|', "\\|"));
            }
        }
    }
    text
}

/// A line of a request.
fn in_words(line: &str) -> String {
    let claim = line.strip_prefix("claim ").map(|claim| format!("verified claim `{claim}`"));
    let client = || line.strip_prefix("client ").map(|address| format!("client `{address}`"));
    let caller = || line.strip_prefix("from ").map(|workload| format!("sent by `{}`", workload.replace(" in ", "` in namespace `")));
    claim.or_else(client).or_else(caller).unwrap_or_else(|| format!("`{line}`"))
}

fn default(field: &Field) -> String {
    match &field.default {
        _ if field.is_choice => "one of these".into(),
        _ if field.is_required => "required".into(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
        None => "none".into(),
    }
}

fn default_in_words(field: &Field) -> String {
    match default(field).as_str() {
        word @ ("required" | "one of these") => format!("{word}."),
        default => format!("default: {default}."),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn first_sentence(doc: &str) -> String {
    let end = doc.find(". ").or_else(|| doc.find(".\n")).map_or(doc.len(), |end| end + 1);
    doc[..end].lines().next().unwrap_or_default().replace('|', "\\|")
}

/// The anchor that hosts of Markdown make of a heading.
pub fn anchor(path: &str) -> String {
    path.to_lowercase().chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}
