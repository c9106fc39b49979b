//! Keeps the chart's CustomResourceDefinitions those of the types: run with BLESS=1 to write them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};
use std::path::Path;
use weir_mesh::object::destination_rule::DestinationRule;
use weir_mesh::object::gateway::Gateway;
use weir_mesh::object::virtual_service::VirtualService;
use weir_mesh::object::wasm_plugin::WasmPlugin;

const HEADER: &str = "# Made from the types of weir-mesh by: BLESS=1 cargo test -p weir-mesh --features schema --test crds\n";

/// What a definition says beside its schema; names, columns and categories are Istio's.
struct Kind {
    group: &'static str,
    /// The first is the one that is stored.
    versions: &'static [&'static str],
    name: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    /// Name, type and path.
    columns: &'static [(&'static str, &'static str, &'static str)],
}

const NETWORKING: &[&str] = &["v1", "v1beta1", "v1alpha3"];
const AGE: (&str, &str, &str) = ("Age", "date", ".metadata.creationTimestamp");

#[test]
fn the_definitions_are_those_of_the_types() {
    let networking =
        |name, plural, short, columns| Kind { group: "networking.istio.io", versions: NETWORKING, name, plural, short, columns };
    check::<Gateway>(&networking("Gateway", "gateways", &["gw"], &[AGE]));
    let columns = &[("Gateways", "string", ".spec.gateways"), ("Hosts", "string", ".spec.hosts"), AGE];
    check::<VirtualService>(&networking("VirtualService", "virtualservices", &["vs"], columns));
    check::<DestinationRule>(&networking("DestinationRule", "destinationrules", &["dr"], &[("Host", "string", ".spec.host"), AGE]));
    check::<WasmPlugin>(&Kind {
        group: "extensions.istio.io",
        versions: &["v1alpha1"],
        name: "WasmPlugin",
        plural: "wasmplugins",
        short: &[],
        columns: &[AGE],
    });
}

fn check<T: JsonSchema>(kind: &Kind) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/crds");
    let path = folder.join(format!("{}.yaml", kind.name.to_lowercase()));
    let mut definition = definition(kind, &spec::<T>());
    definition.sort_all_objects();
    let expected = format!("---\n{HEADER}{}", serde_saphyr::to_string(&definition).unwrap());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), expected, "{HEADER}");
}

fn definition(kind: &Kind, spec: &Value) -> Value {
    let columns: Vec<_> = kind.columns.iter().map(|(name, of, path)| json!({"name": name, "type": of, "jsonPath": path})).collect();
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = |name: &&str| {
        json!({
            "name": name,
            "served": true,
            "storage": kind.versions.first() == Some(name),
            "additionalPrinterColumns": columns,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": anything}}},
        })
    };
    let mut names = json!({
        "kind": kind.name,
        "listKind": format!("{}List", kind.name),
        "plural": kind.plural,
        "singular": kind.name.to_lowercase(),
        "categories": ["istio-io", kind.group.replace('.', "-")],
    });
    if !kind.short.is_empty() {
        names["shortNames"] = json!(kind.short);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural, kind.group), "labels": {"app.kubernetes.io/part-of": "weir"}},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": kind.versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

/// The type's schema, as Kubernetes takes one.
fn spec<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(structural).transform(&mut schema);
    schema.to_value()
}

/// Structural, without defaults (which Kubernetes would write into users' objects), and open for the fields of Istio that Weir does not read.
fn structural(schema: &mut Schema) {
    for name in ["title", "default"] {
        schema.remove(name);
    }
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        schema.remove("format");
    }
    if let Some(Value::Array(types)) = schema.get("type").cloned() {
        schema.insert("type".into(), types.into_iter().find(|of| of != "null").unwrap());
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let is_open = schema.remove("additionalProperties").filter(|inner| !inner.is_boolean());
    match is_open {
        Some(inner) => drop(schema.insert("additionalProperties".into(), inner)),
        None if schema.get("type").is_some_and(|of| of == "object") => {
            schema.insert("x-kubernetes-preserve-unknown-fields".into(), true.into());
        }
        None => {}
    }
}
