//! Keeps the reference of the policies' fields true: run with BLESS=1 to write it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod fields;
mod meaning;
mod page;
mod yaml;

use fields::Fields;
use serde_json::{Value, json};
use std::path::Path;
use weir_policy::{canary, locality};

/// Each filter, the schema of its policy, and its fields.
fn policies() -> [(&'static str, schemars::Schema, Fields); 2] {
    [("canary", schemars::schema_for!(canary::Config)), ("locality", schemars::schema_for!(locality::Config))].map(|(filter, schema)| {
        let fields = Fields::of(&schema);
        (filter, schema, fields)
    })
}

/// What is read of a policy, written so that two that say the same are equal.
fn read(filter: &str, policy: &Value) -> Result<String, weir_policy::Error> {
    let json = policy.to_string();
    match filter {
        "canary" => canary::Policy::read(json.as_bytes()).map(|config| format!("{config:?}")),
        _ => locality::Policy::read(json.as_bytes()).map(|config| format!("{config:?}")),
    }
}

#[test]
fn the_pages_are_those_of_the_types() {
    for (filter, schema, fields) in policies() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("reference/{filter}.md"));
        let expected = page::page(filter, &schema, &fields);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == expected, "{}: {differs:?}; run: BLESS=1 cargo test -p weir-policy --features schema", path.display());
    }
}

#[test]
fn every_field_that_a_user_writes_is_described_and_has_an_example() {
    for (filter, _, fields) in policies() {
        assert!(fields.all.len() > 3 && !fields.filled_in.is_empty(), "{filter}");
        for field in &fields.all {
            assert!(field.doc.len() > 5, "{filter}: {} has no doc comment", field.path);
            assert!(
                !field.examples.is_empty(),
                "{filter}: {} has no example: give its field #[cfg_attr(feature = \"schema\", schemars(extend(\"examples\" = [VALUE])))], \
                 or, if the control plane fills it in, extend(\"readOnly\" = true)",
                field.path
            );
            let is_told = field.is_required || field.default.is_some() || field.kind != "boolean";
            assert!(is_told, "{filter}: say the default of {}: extend(\"default\" = true)", field.path);
        }
        let mut anchors: Vec<_> = fields.all.iter().map(|field| page::anchor(&field.path)).collect();
        anchors.sort();
        anchors.dedup();
        assert_eq!(anchors.len(), fields.all.len(), "each field has an anchor of its own");
    }
}

#[test]
fn every_example_is_a_policy_and_says_something() {
    for (filter, schema, fields) in policies() {
        read(filter, &schema.as_value()["examples"][0]).unwrap();
        for field in &fields.all {
            for example in &field.examples {
                let found = read(filter, example).unwrap_or_else(|error| panic!("{}: {example}: {error}", field.path));
                if let Some(without) = &field.without {
                    assert_ne!(found, read(filter, without).unwrap_or_default(), "{}: {example} means nothing", field.path);
                }
            }
        }
    }
}

#[test]
fn a_field_that_is_left_out_means_its_default() {
    for (filter, _, fields) in policies() {
        for field in fields.all.iter().filter(|field| !field.is_required) {
            let (Some(default), Some(without)) = (&field.default, &field.without) else { continue };
            let mut with = without.clone();
            let mut value = &mut with;
            for name in &field.names {
                let object = if value.is_array() { &mut value[0] } else { value };
                value = &mut object[name];
            }
            assert_eq!(*value, json!(null), "{}", field.path);
            *value = default.clone();
            assert_eq!(read(filter, &with).unwrap(), read(filter, without).unwrap(), "{} {default}", field.path);
        }
    }
}

#[test]
fn examples_mean_what_is_said_of_them() {
    for (filter, _, fields) in policies() {
        for (path, place) in meaning::known(filter) {
            let field = fields.all.iter().find(|field| field.path == path).unwrap_or_else(|| panic!("there is no field {path}"));
            for (request, expected) in meaning::of(filter, path, place) {
                let found = meaning::decide(&field.examples[place], request);
                assert_eq!(found, *expected, "{path}: {request:?}");
            }
        }
    }
}

#[test]
fn an_example_of_a_price_is_in_millionths_of_the_currency() {
    let [_, (_, _, fields)] = policies();
    let field = fields.all.iter().find(|field| field.path == "price.perGB").unwrap();
    let policy = locality::Policy::parse(field.examples[0].to_string().as_bytes()).unwrap();
    assert_eq!((field.examples[0]["price"]["perGB"].to_string().as_str(), policy.price), ("0.02", Some(20_000)));
}
