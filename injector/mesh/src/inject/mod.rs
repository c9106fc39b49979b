//! Adds the proxy to pods, and takes it out again.
//!
//! [`select`] decides whether a pod gets one, [`inject`] adds it, [`uninject`] makes the pod what it was; [`manifest`] does so with
//! the pod templates in a user's files. All work on JSON, so that fields which Weir does not know stay as they are.
//!
//! An injection can be repeated (the API server calls a webhook again when a later one changed the pod): the pod is taken back to what
//! it was, with all that others did to it since, and injected anew. If that gives what was added the first time, the pod is left as it
//! is; else the containers of ours that would come out the same keep what others changed of them.

mod annotations;
mod containers;
mod lifecycle;
pub mod manifest;
pub mod metadata;
pub mod names;
mod overlay;
mod patch;
pub mod probes;
mod problem;
pub(crate) mod proxy_config;
mod select;
mod selector;
mod settings;
mod shape;
mod status;
mod take_out;
pub mod text;
mod values;

pub use patch::{Operation, Patch};
pub use problem::Problem;
pub use proxy_config::concurrency;
pub use select::{INJECT, INJECTION_LABEL, Namespace, REVISION_LABEL, Selection, Why, WhyNot, select};
pub use selector::{Expression, Selector};
pub use status::STATUS;
pub use take_out::uninject;
pub use values::{Proxy, PullPolicy, Resources, Values, ValuesError};

use names::{CONTAINERS, INIT, INIT_CONTAINERS, PROXY, PROXY_UID};
use serde_json::{Map, Value, json};
use settings::{Role, Settings};
use status::{Original, Own, Status, name_of};
use xxhash_rust::xxh3::xxh3_64;

/// What kubectl shows when nobody says which container.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A pod with its proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    /// The pod.
    pub pod: Value,
    /// What makes it of the pod that was given; empty if that has its proxy already.
    pub patch: Patch,
    /// What its user is to know.
    pub warnings: Vec<String>,
}

/// Adds a proxy to a Pod or pod template (an object with `metadata` and `spec`), or renews the one that it has. Whether it is to have
/// one is [`select`]'s to say. `owner` is the name of the workload that a template belongs to; a Pod itself names its owner. `ca` is the
/// PEM by which the proxy knows the control plane.
pub fn inject(pod: &Value, owner: Option<&str>, values: &Values, ca: &str) -> Result<Injected, Vec<Problem>> {
    let before = Status::of(pod);
    if before.is_none() && status::text(pod).is_some() {
        let message = "another mesh's injector wrote it: the pod has a proxy already";
        return Err(vec![Problem::annotation(STATUS, message)]);
    }
    let original = before.as_ref().map_or_else(|| pod.clone(), |before| take_out::without(pod, before));
    shape::check(&original)?;
    let (settings, mut warnings) = Settings::of(&original, values)?;
    warnings.extend(cautions(&original, &settings));
    let mut next = original;
    let status = add(&mut next, owner, &settings, values, ca);
    if let Some(before) = before {
        if before.holds(&status, pod) {
            return Ok(Injected { pod: pod.clone(), patch: Patch::default(), warnings });
        }
        keep_changes(pod, &before, &mut next, &status);
    }
    Ok(Injected { patch: Patch::between(pod, &next), pod: next, warnings })
}

/// Adds the proxy to a pod of good shape that has none.
fn add(pod: &mut Value, owner: Option<&str>, settings: &Settings, values: &Values, ca: &str) -> Status {
    let labels = metadata::canonical_labels(pod, owner);
    let first_app = first_app(pod);
    let users_proxy = take(pod, "containers", PROXY).or_else(|| take(pod, "initContainers", PROXY));
    let users_init = take(pod, "initContainers", INIT);
    let probes = probes::rewrite(pod, settings);
    let uid = users_proxy.as_ref().and_then(|users| users.container.pointer("/securityContext/runAsUser")?.as_u64());
    let init = containers::init(settings, values, ca, &probes::ports(&probes), uid.filter(|uid| *uid != 0).unwrap_or(PROXY_UID));
    let proxy = containers::proxy(settings, values);
    let mut own = Own { digests: [digest(INIT, &init), digest(PROXY, &proxy)].into(), probes, ..Own::default() };
    let proxy = merged(proxy, users_proxy.as_ref(), settings);
    let init = merged(init, users_init.as_ref(), settings);
    let mut status = Status { revision: values.revision().into(), init_containers: vec![INIT.into()], ..Status::default() };
    edit_list(pod, "initContainers", &mut own.created, |items| {
        let place = if settings.native { 0 } else { items.len() };
        items.insert(place, init);
    });
    if settings.native {
        edit_list(pod, "initContainers", &mut own.created, |items| items.insert(1.min(items.len()), proxy));
        status.init_containers.push(PROXY.into());
    } else {
        let its_place = users_proxy.as_ref().filter(|users| users.list == "containers").map(|users| users.index);
        edit_list(pod, "containers", &mut own.created, |items| {
            let place = if settings.hold { 0 } else { its_place.unwrap_or(items.len()) };
            items.insert(place.min(items.len()), proxy);
        });
        status.containers.push(PROXY.into());
    }
    edit_list(pod, "volumes", &mut own.created, |items| status.volumes = add_named(items, containers::volumes(settings)));
    if !values.image_pull_secrets.is_empty() {
        let secrets = values.image_pull_secrets.iter().map(|name| json!({"name": name})).collect();
        edit_list(pod, "imagePullSecrets", &mut own.created, |items| status.image_pull_secrets = add_named(items, secrets));
    }
    own.labels = labels.iter().map(|(label, _)| (*label).into()).collect();
    if !labels.is_empty() {
        let labels = labels.into_iter().map(|(label, value)| (label.to_string(), value.into()));
        edit_map(pod, "labels", &mut own.created, |map| map.extend(labels));
    }
    own.originals.extend([users_proxy, users_init].into_iter().flatten());
    let mut created = std::mem::take(&mut own.created);
    edit_map(pod, "annotations", &mut created, |map| {
        // kubectl takes the first container unless told another: not the proxy.
        if let Some(first_app) = first_app.filter(|_| settings.hold && !settings.native && !map.contains_key(DEFAULT_CONTAINER)) {
            map.insert(DEFAULT_CONTAINER.into(), first_app.into());
            own.annotations.push(DEFAULT_CONTAINER.into());
        }
    });
    status.weir = Own { created, ..own };
    edit_map(pod, "annotations", &mut Vec::new(), |map| drop(map.insert(STATUS.into(), status.json().into())));
    status
}

/// Of our containers that came out as they did before, what others made of them since stays.
fn keep_changes(pod: &Value, before: &Status, next: &mut Value, now: &Status) {
    for (name, _) in now.weir.digests.iter().filter(|(name, digest)| before.weir.digests.get(*name) == Some(*digest)) {
        for pointer in [INIT_CONTAINERS, CONTAINERS] {
            let at_hand = pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten().find(|item| name_of(item) == Some(name));
            let items = next.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten();
            if let (Some(at_hand), Some(made)) = (at_hand, { items }.find(|item| name_of(item) == Some(name))) {
                made.clone_from(at_hand);
            }
        }
    }
}

/// What a user is to know of a pod that is well formed.
fn cautions(pod: &Value, settings: &Settings) -> Vec<String> {
    let spec = |field: &str| pod.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_str);
    let mut cautions = Vec::new();
    let ends = spec("restartPolicy").is_some_and(|policy| policy != "Always");
    if ends && !settings.native && settings.role == Role::Sidecar {
        cautions.push("the pod is to end, as a Job's is, but will not: a proxy that is no native sidecar runs on beside the app".into());
    }
    if let Some(policy) = spec("dnsPolicy").filter(|policy| !policy.starts_with("ClusterFirst")) {
        cautions.push(format!("with dnsPolicy {policy} the proxy may not find the control plane by its name"));
    }
    cautions
}

fn first_app(pod: &Value) -> Option<String> {
    let containers = pod.pointer(CONTAINERS)?.as_array()?;
    containers.iter().filter_map(name_of).find(|name| *name != PROXY).map(str::to_string)
}

/// Takes the user's container of that name out of a list.
fn take(pod: &mut Value, list: &str, name: &str) -> Option<Original> {
    let items = pod.get_mut("spec")?.get_mut(list)?.as_array_mut()?;
    let index = items.iter().position(|item| name_of(item) == Some(name))?;
    Some(Original { list: list.into(), index, container: items.remove(index) })
}

fn merged(ours: Value, users: Option<&Original>, settings: &Settings) -> Value {
    let Some(users) = users else { return ours };
    let mut merged = overlay::merge(ours, &users.container);
    // Which list the container is in, and so whether it may say this, is ours to decide.
    if let Some(merged) = merged.as_object_mut().filter(|_| !settings.native) {
        merged.shift_remove("restartPolicy");
    }
    merged
}

fn digest(name: &str, container: &Value) -> (String, String) {
    (name.into(), format!("{:016x}", xxh3_64(container.to_string().as_bytes())))
}

/// Adds those whose names are not there yet, and says which.
fn add_named(items: &mut Vec<Value>, new: Vec<Value>) -> Vec<String> {
    let mut added = Vec::new();
    for item in new {
        let Some(name) = name_of(&item).map(str::to_string) else { continue };
        if !items.iter().any(|other| name_of(other) == Some(&name)) {
            items.push(item);
            added.push(name);
        }
    }
    added
}

/// Edits a list of the pod's spec, which is made if it is not there.
fn edit_list(pod: &mut Value, name: &str, created: &mut Vec<String>, edit: impl FnOnce(&mut Vec<Value>)) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let slot = spec.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        created.push(format!("/spec/{name}"));
        *slot = Value::Array(Vec::new());
    }
    if let Value::Array(items) = slot {
        edit(items);
    }
}

/// Edits a map of the pod's metadata, which is made if it is not there.
fn edit_map(pod: &mut Value, name: &str, created: &mut Vec<String>, edit: impl FnOnce(&mut Map<String, Value>)) {
    let Value::Object(fields) = pod else { return };
    let mut made = |slot: &mut Value, pointer: String| {
        if slot.is_null() {
            created.push(pointer);
            *slot = Value::Object(Map::new());
        }
    };
    let metadata = fields.entry("metadata").or_insert(Value::Null);
    made(metadata, "/metadata".into());
    let Value::Object(metadata) = metadata else { return };
    let slot = metadata.entry(name).or_insert(Value::Null);
    made(slot, format!("/metadata/{name}"));
    if let Value::Object(map) = slot {
        edit(map);
    }
}
