//! Whether a JSON value has the shape of a pod, as far as injection touches it.

use super::names::{CONTAINERS, INIT, INIT_CONTAINERS, OVERRIDE_VOLUME, PROXY, PROXY_VOLUME, TOKEN_VOLUME};
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
    let at = |pointer: &str| pod.pointer(pointer).filter(|value| !value.is_null());
    expect(at("/metadata").is_none_or(Value::is_object), "metadata", "this is not a map");
    for field in ["labels", "annotations"] {
        let is_map = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
        expect(at(&format!("/metadata/{field}")).is_none_or(is_map), &format!("metadata.{field}"), "this is not a map of texts");
    }
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(|item| name_of(item).is_some()));
    expect(at(CONTAINERS).is_some_and(is_list), "spec.containers", "a pod has a list of containers, each with a name");
    for field in ["initContainers", "volumes", "imagePullSecrets"] {
        let message = "this is not a list of objects, each with a name";
        expect(at(&format!("/spec/{field}")).is_none_or(is_list), &format!("spec.{field}"), message);
    }
    let names = |pointer: &str| at(pointer).and_then(Value::as_array).into_iter().flatten().filter_map(name_of);
    let proxies = names(CONTAINERS).chain(names(INIT_CONTAINERS)).filter(|name| *name == PROXY).count();
    expect(proxies < 2, "spec", "more than one container has the name istio-proxy");
    let inits = names(INIT_CONTAINERS).filter(|name| *name == INIT).count();
    expect(inits < 2, "spec.initContainers", "more than one container has the name weir-init");
    expect(!names(CONTAINERS).any(|name| name == INIT), "spec.containers", "the name weir-init is that of an init container of Weir's");
    for name in [PROXY_VOLUME, TOKEN_VOLUME, OVERRIDE_VOLUME] {
        let is_free = !names("/spec/volumes").any(|volume| volume == name);
        expect(is_free, "spec.volumes", &format!("the name {name} is that of a volume of Weir's: give yours another"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
