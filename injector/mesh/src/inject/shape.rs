//! Whether a JSON value has the shape of a pod, as far as injection touches it.

use super::names::{INIT, OVERRIDE_VOLUME, PROXY, PROXY_VOLUME, TOKEN_VOLUME};
use super::problem::Problem;
use super::status::name_of;
use serde_json::Value;

/// Checks a pod or pod template that has not been injected.
pub(super) fn check(pod: &Value) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut expect = |is_good: bool, field: &str, message: &str| {
        if !is_good {
            problems.push(Problem::new(field, message));
        }
    };
    let at = |parent: &str, field: &str| pod.get(parent)?.get(field).filter(|value| !value.is_null());
    let is_object = |value: &Value| value.is_object() || value.is_null();
    expect(pod.get("metadata").is_none_or(is_object), "metadata", "this is not a map");
    for (field, name) in [("labels", "metadata.labels"), ("annotations", "metadata.annotations")] {
        let is_map = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
        expect(at("metadata", field).is_none_or(is_map), name, "this is not a map of texts");
    }
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(|item| name_of(item).is_some()));
    expect(at("spec", "containers").is_some_and(is_list), "spec.containers", "a pod has a list of containers, each with a name");
    for (field, name) in [("initContainers", "spec.initContainers"), ("volumes", "spec.volumes")] {
        expect(at("spec", field).is_none_or(is_list), name, "this is not a list of objects, each with a name");
    }
    // Kubernetes takes one without a name, as charts write it where nothing is set.
    let are_objects = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
    expect(at("spec", "imagePullSecrets").is_none_or(are_objects), "spec.imagePullSecrets", "this is not a list of objects");
    let names = |field: &str| at("spec", field).and_then(Value::as_array).into_iter().flatten().filter_map(name_of);
    let proxies = names("containers").chain(names("initContainers")).filter(|name| *name == PROXY).count();
    expect(proxies < 2, "spec", "more than one container has the name istio-proxy");
    let inits = names("initContainers").filter(|name| *name == INIT).count();
    expect(inits < 2, "spec.initContainers", "more than one container has the name weir-init");
    expect(!names("containers").any(|name| name == INIT), "spec.containers", "the name weir-init is that of an init container of Weir's");
    for name in [PROXY_VOLUME, TOKEN_VOLUME, OVERRIDE_VOLUME] {
        if names("volumes").any(|volume| volume == name) {
            expect(false, "spec.volumes", &format!("the name {name} is that of a volume of Weir's: give yours another"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
