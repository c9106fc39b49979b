//! Keeps the JSON Schemas of the configurations true: run with BLESS=1 to write them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use weir_policy::{canary, locality};

#[test]
fn the_schemas_are_those_of_the_types() {
    check("canary.json", &schemars::schema_for!(canary::Config));
    check("locality.json", &schemars::schema_for!(locality::Config));
}

fn check(file: &str, schema: &schemars::Schema) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
    let mut schema = schema.clone().to_value();
    // Whether serde_json keeps the order of fields depends on who else is built.
    schema.sort_all_objects();
    let expected = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "run: BLESS=1 cargo test -p weir-policy --features schema");
}
