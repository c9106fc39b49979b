//! Makes an injected pod what it was before.

use super::names::{CONTAINERS, INIT_CONTAINERS};
use super::probes;
use super::status::{STATUS, Status, name_of};
use serde_json::{Map, Value};

/// The pod or pod template as its user wrote it, with what others did to it since; none if Weir has not injected it.
pub fn uninject(pod: &Value) -> Option<Value> {
    let status = Status::of(pod)?;
    let mut pod = pod.clone();
    remove_named(&mut pod, INIT_CONTAINERS, &status.init_containers);
    remove_named(&mut pod, CONTAINERS, &status.containers);
    remove_named(&mut pod, "/spec/volumes", &status.volumes);
    remove_named(&mut pod, "/spec/imagePullSecrets", &status.image_pull_secrets);
    let own = status.weir;
    let mut originals = own.originals;
    originals.sort_by_key(|original| original.index);
    for original in originals {
        let list = pod.get_mut("spec").and_then(|spec| spec.get_mut(&original.list)).and_then(Value::as_array_mut);
        if let Some(list) = list {
            list.insert(original.index.min(list.len()), original.container);
        }
    }
    own.probes.iter().for_each(|probe| probes::restore(&mut pod, probe));
    remove_fields(&mut pod, "/metadata/labels", own.labels.iter().map(String::as_str));
    remove_fields(&mut pod, "/metadata/annotations", own.annotations.iter().map(String::as_str).chain([STATUS]));
    for pointer in own.created.iter().rev() {
        remove_if_empty(&mut pod, pointer);
    }
    Some(pod)
}

fn remove_named(pod: &mut Value, pointer: &str, names: &[String]) {
    if let Some(items) = pod.pointer_mut(pointer).and_then(Value::as_array_mut) {
        items.retain(|item| !name_of(item).is_some_and(|name| names.iter().any(|ours| ours == name)));
    }
}

fn map<'a>(pod: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    pod.pointer_mut(pointer)?.as_object_mut()
}

fn remove_fields<'a>(pod: &mut Value, pointer: &str, fields: impl Iterator<Item = &'a str>) {
    if let Some(map) = map(pod, pointer) {
        fields.for_each(|field| drop(map.shift_remove(field)));
    }
}

/// Removes a list or map that was made for ours and holds nothing else.
fn remove_if_empty(pod: &mut Value, pointer: &str) {
    let is_empty = match pod.pointer(pointer) {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => false,
    };
    if is_empty && let Some((parent, field)) = pointer.rsplit_once('/') {
        remove_fields(pod, parent, [field].into_iter());
    }
}
