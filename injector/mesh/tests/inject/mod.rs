//! Injection: who gets a proxy, how the pod looks with it, and that it can be taken out again.

mod manifests;
mod patching;
mod pods;
mod probes;
mod properties;
mod selection;
mod settings;

use serde_json::{Value, json};
use weir_mesh::inject::{Injected, Patch, Values, inject};

pub const CA: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

/// A pod as a Deployment makes it.
pub fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-abc-1", "labels": {"app": "web", "version": "v1"}},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "app"}],
            "containers": [{"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}], "unknown": {"a": 1}}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// The pod with annotations.
pub fn annotated(annotations: &[(&str, &str)]) -> Value {
    let mut pod = pod();
    pod["metadata"]["annotations"] = annotations.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    pod
}

pub fn values(text: &str) -> Values {
    Values::read(text).unwrap()
}

pub fn injected(pod: &Value) -> Injected {
    inject(pod, None, &Values::default(), CA).unwrap()
}

/// What keeps the pod from being injected, as a user sees it.
pub fn problems(pod: &Value) -> Vec<String> {
    let problems = inject(pod, None, &Values::default(), CA).expect_err("problems");
    problems.iter().map(ToString::to_string).collect()
}

pub fn names(pod: &Value, list: &str) -> Vec<String> {
    let items = pod["spec"][list].as_array().into_iter().flatten();
    items.map(|item| item["name"].as_str().unwrap().to_string()).collect()
}

/// The container of that name, in whichever list.
pub fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten().find(|container| container["name"] == name).expect("the container")
}

/// The arguments of the init container behind a flag.
pub fn flag(pod: &Value, flag: &str) -> Option<String> {
    let args: Vec<_> = container(pod, "weir-init")["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    let at = args.iter().position(|arg| *arg == flag)?;
    Some(args.get(at + 1).map(ToString::to_string).unwrap_or_default())
}

/// What the patch makes of the pod, as another reader of RFC 6902 has it.
pub fn applied(pod: &Value, patch: &Patch) -> Value {
    let mut pod = pod.clone();
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(patch).unwrap()).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}
