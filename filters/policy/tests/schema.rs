//! Keeps the JSON Schemas of the configurations true: run with BLESS=1 to write them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::Path;
use weir_policy::{canary, locality};

#[test]
fn the_schemas_are_those_of_the_types() {
    check("canary.json", &schemars::schema_for!(canary::Config));
    check("locality.json", &schemars::schema_for!(locality::Config));
}

fn check(file: &str, schema: &schemars::Schema) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
    let mut schema = schema.as_value().clone();
    without_null(&mut schema);
    let expected = serde_json::to_string_pretty(&schemars::Schema::try_from(schema).unwrap()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    // As values: whether serde_json keeps the order of fields depends on what else is built.
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let found = std::fs::read_to_string(&path).unwrap();
    assert_eq!(value(&found), value(&expected), "run: BLESS=1 cargo test -p weir-policy --features schema");
}

/// What may be missing may not be null: see the readers of policies.
fn without_null(schema: &mut Value) {
    if let Value::Object(members) = schema {
        if let Some(Value::Array(types)) = members.get("type") {
            let kind = types.iter().find(|name| *name != "null").cloned().unwrap();
            members.insert("type".into(), kind);
        }
        let options = members.get("anyOf").and_then(Value::as_array).cloned().unwrap_or_default();
        if options.iter().any(|option| option["type"] == "null") {
            members.shift_remove("anyOf");
            let of_type = options.into_iter().find(|option| option["type"] != "null");
            members.extend(of_type.and_then(|option| option.as_object().cloned()).unwrap());
        }
        members.values_mut().for_each(without_null);
    } else if let Value::Array(items) = schema {
        items.iter_mut().for_each(without_null);
    }
}
