//! What Kubernetes' API server refuses of Services, Pods and names. Files do not come by way of it, and all of it goes into
//! names, domains and addresses that Envoy is told.

use super::Problems;
use crate::object::Key;
use k8s_openapi::api::core::v1::{PodSpec, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;

/// The longest label and the longest name of DNS.
const LABEL: usize = 63;
const NAME: usize = 253;
const A_PORT: &str = "a port is a number from 1 to 65535";

/// An object's name and namespace.
pub(in crate::object) fn key(key: &Key, problems: &mut Problems) {
    let Key { kind, namespace, name } = key;
    let expected = match *kind {
        _ if name.is_empty() => "the object needs a name",
        "Service" if !(is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase())) => {
            "a Service's name is of at most 63 lower-case letters, digits and -, begins with a letter and does not end with -"
        }
        "Namespace" if !is_label(name) => A_LABEL,
        // Its name is an address.
        "Service" | "Namespace" | "IPAddress" => "",
        _ if !is_name(name) => "a name is of at most 253 lower-case letters, digits, - and ., and begins and ends with a letter or a digit",
        _ => "",
    };
    if !expected.is_empty() {
        problems.error("metadata.name", expected);
    }
    if !namespace.is_empty() && !is_label(namespace) {
        problems.error("metadata.namespace", A_LABEL);
    }
}

const A_LABEL: &str = "a namespace is of at most 63 lower-case letters, digits and -, and begins and ends with a letter or a digit";

fn is_part(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_label(text: &str) -> bool {
    text.len() <= LABEL && is_part(text)
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME && text.split('.').all(is_part)
}

fn is_port(number: i32) -> bool {
    (1..=65535).contains(&number)
}

pub(super) fn service(service: &Service, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, port) in service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()).enumerate() {
        let at = format!("spec.ports[{i}]");
        if !is_port(port.port) {
            problems.error(&format!("{at}.port"), A_PORT);
        }
        let is_target = match &port.target_port {
            None => true,
            Some(IntOrString::Int(number)) => is_port(*number),
            Some(IntOrString::String(name)) => name.parse().map_or(!name.is_empty(), is_port),
        };
        if !is_target {
            problems.error(&format!("{at}.targetPort"), &format!("{A_PORT}, or the name of a container's port"));
        }
        if !seen.insert((port.protocol.as_deref().unwrap_or("TCP"), port.port)) {
            problems.error(&format!("{at}.port"), "the Service has this port already");
        }
    }
}

/// `at` is the pod's specification.
pub(super) fn pod(at: &str, spec: Option<&PodSpec>, problems: &mut Problems) {
    let Some(spec) = spec else { return };
    let of_init = spec.init_containers.iter().flatten().enumerate().map(|(i, container)| ("initContainers", i, container));
    let all = spec.containers.iter().enumerate().map(|(i, container)| ("containers", i, container)).chain(of_init);
    for (field, i, container) in all {
        for (j, port) in container.ports.iter().flatten().enumerate().filter(|(_, port)| !is_port(port.container_port)) {
            problems.error(&format!("{at}.{field}[{i}].ports[{j}].containerPort"), &format!("{A_PORT}, not {}", port.container_port));
        }
    }
}
