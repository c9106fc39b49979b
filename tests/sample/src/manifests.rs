//! The demos' manifests belong to this program: what they run it with it must understand, and what they name must exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;

use crate::cli::Cli;

const DEMOS: [&str; 3] = ["bookinfo", "canary", "locality"];

fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/demos").join(name)
}

/// The objects of the files directly in `folder`.
fn objects(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {object}"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// Every array element anywhere under `value` that stands under `field`.
fn all<'a>(value: &'a Value, field: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            if name == field {
                found.push(value);
            }
            all(value, field, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| all(item, field, found)),
        _ => {}
    }
}

#[test]
fn every_object_has_a_kind_a_name_and_the_demos_namespace() {
    for name in DEMOS {
        for object in objects(&demo(name)) {
            assert!(!text(&object, "/apiVersion").is_empty() && !text(&object, "/metadata/name").is_empty());
            match text(&object, "/kind") {
                // The root namespace, which a cluster without Istio lacks.
                "Namespace" if text(&object, "/metadata/name") == "istio-system" => {}
                "Namespace" => {
                    assert_eq!((text(&object, "/metadata/name"), text(&object, "/metadata/labels/istio-injection")), (name, "enabled"))
                }
                // A policy for what enters lives with the gateway.
                "WasmPlugin" if object["spec"]["selector"]["matchLabels"]["istio"] == "ingressgateway" => {
                    assert_eq!(text(&object, "/metadata/namespace"), "istio-system");
                }
                _ => assert_eq!(text(&object, "/metadata/namespace"), name),
            }
        }
    }
}

#[test]
fn this_program_understands_the_arguments_of_every_container() {
    for object in DEMOS.into_iter().flat_map(|name| objects(&demo(name))) {
        for container in object.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten() {
            let args: Vec<_> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
            assert!(Cli::try_parse_from(&args).is_ok(), "{args:?}");
            assert_eq!(container["image"], "weir-sample:latest");
        }
    }
}

#[test]
fn routes_lead_to_services_and_subsets_of_the_same_demo() {
    for name in DEMOS {
        let folders = if name == "canary" { vec![demo(name), demo("canary/steps")] } else { vec![demo(name)] };
        let objects: Vec<Value> = folders.iter().flat_map(|folder| objects(folder)).collect();
        let services: BTreeSet<&str> = of_kind(&objects, "Service").map(|service| text(service, "/metadata/name")).collect();
        let subsets: BTreeSet<(&str, &str)> = of_kind(&objects, "DestinationRule")
            .flat_map(|rule| {
                let subsets = rule.pointer("/spec/subsets").and_then(Value::as_array).into_iter().flatten();
                subsets.map(|subset| (text(rule, "/spec/host"), text(subset, "/name")))
            })
            .collect();

        let mut destinations = Vec::new();
        of_kind(&objects, "VirtualService").for_each(|service| all(service, "destination", &mut destinations));
        assert!(!destinations.is_empty());
        for destination in destinations {
            let host = text(destination, "/host");
            assert!(services.contains(host), "{name}: {host}");
            if let Some(subset) = destination["subset"].as_str() {
                assert!(subsets.contains(&(host, subset)), "{name}: {host} {subset}");
            }
        }
    }
}

#[test]
fn the_steps_of_the_canary_differ_from_its_route_in_their_weights_alone() {
    let route = |objects: Vec<Value>| of_kind(&objects, "VirtualService").cloned().collect::<Vec<_>>();
    let weights = |route: &Value| {
        let mut weights = Vec::new();
        all(route, "weight", &mut weights);
        weights.into_iter().map(|weight| weight.as_u64().unwrap()).collect::<Vec<_>>()
    };
    let with_weights = |route: &Value, weights: &[u64]| {
        let mut route = route.clone();
        for (destination, weight) in route["spec"]["http"][0]["route"].as_array_mut().unwrap().iter_mut().zip(weights) {
            destination["weight"] = (*weight).into();
        }
        route
    };
    let start = route(objects(&demo("canary"))).remove(0);

    let steps = route(objects(&demo("canary/steps")));

    assert_eq!(weights(&start), [100, 0]);
    let expected: Vec<Value> = [[90, 10], [50, 50], [100, 0]].iter().map(|weights| with_weights(&start, weights)).collect();
    assert_eq!(steps, expected);
}
