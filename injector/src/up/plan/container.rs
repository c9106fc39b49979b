//! A container: which program it is here, with which arguments, environment, ports and readiness probe.

use super::Labels;
use super::env::{self, Variable};
use super::zone::Zone;
use crate::up::probe::{Action, Probe};
use k8s_openapi::api::core::v1::{Container as KubeContainer, ContainerPort, PodSpec, Probe as KubeProbe, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The name of Envoy's container in a pod.
pub const PROXY: &str = "istio-proxy";
/// The sample application's image, by its last path segment.
const SAMPLE: &str = "weir-sample";

/// A container of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image, which chose the program.
    pub image: String,
    /// What runs.
    pub program: Program,
    /// Its environment, in the order in which later variables may refer to earlier ones.
    pub env: Vec<Variable>,
    /// Its working folder, if it names one.
    pub folder: Option<String>,
    /// Its named TCP ports.
    pub ports: Vec<(Option<String>, u16)>,
    /// What tells that it is ready.
    pub readiness: Option<Probe>,
}

/// What runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The sample application, with these arguments.
    Sample(Vec<String>),
    /// A program of this machine, with these arguments.
    Local(Vec<String>),
}

/// What a container needs to know of its pod.
pub struct Context<'a> {
    /// The pod's name, for notes.
    pub pod: &'a str,
    /// The first Service that selects the pod.
    pub service: Option<&'a str>,
    /// The pod's label `version`.
    pub version: Option<&'a str>,
    /// The pod's place.
    pub zone: &'a Zone,
    /// The numeric target ports of the Services that select the pod.
    pub target_ports: BTreeSet<u16>,
    /// The program of each image that has one.
    pub images: &'a BTreeMap<String, String>,
}

/// Plans the containers of a pod.
pub fn plan(context: &Context<'_>, spec: &PodSpec, notes: &mut Vec<String>) -> Vec<Container> {
    let declared: BTreeSet<u16> = spec.containers.iter().flat_map(|container| tcp_ports(container)).map(|(_, port)| port).collect();
    let mut undeclared: Vec<u16> = context.target_ports.difference(&declared).copied().collect();
    let mut containers = Vec::new();
    for container in spec.containers.iter().filter(|container| !is_proxy(container)) {
        let image = container.image.clone().unwrap_or_default();
        let ports = tcp_ports(container);
        let arguments = || container.args.clone().unwrap_or_default();
        let program = match mapped(context.images, &image) {
            Some(program) => {
                // The image's program stands for the first word of `command`, which names a file of the image.
                let rest = container.command.iter().flatten().skip(1).cloned();
                Some(Program::Local([program.to_string()].into_iter().chain(rest).chain(arguments()).collect()))
            }
            None if short_name(&image) == SAMPLE => {
                let rest = container.command.iter().flatten().skip(1).cloned();
                Some(Program::Sample(rest.chain(arguments()).collect()))
            }
            None => None,
        };
        let mut env = env::plan(context.pod, container, notes);
        let mut readiness = container.readiness_probe.as_ref().and_then(|probe| probe_of(probe, &ports));
        let program = program.unwrap_or_else(|| {
            let served: Vec<u16> = ports.iter().map(|(_, port)| *port).chain(undeclared.drain(..)).collect();
            // The stand-in is ready when it listens; the image's own probe asks for paths that it does not know.
            readiness = served.first().map(|port| Probe { period: Duration::from_secs(10), ..default_probe(Action::Tcp(*port)) });
            env.extend(identity(context));
            let ports = served.iter().flat_map(|port| ["--port".to_string(), port.to_string()]);
            Program::Sample(["stand-in".to_string()].into_iter().chain(ports).collect())
        });
        containers.push(Container {
            name: container.name.clone(),
            image,
            program,
            env,
            folder: container.working_dir.clone(),
            ports,
            readiness,
        });
    }
    containers
}

/// Whether a pod is a gateway of its own: its container is Envoy, put there by injection.
pub fn is_gateway(annotations: &Labels, spec: &PodSpec) -> bool {
    let template = annotations.get("inject.istio.io/templates").is_some_and(|templates| templates.split(',').any(|name| name == "gateway"));
    template && !spec.containers.is_empty() && spec.containers.iter().all(is_proxy)
}

fn is_proxy(container: &KubeContainer) -> bool {
    container.name == PROXY || container.image.as_deref() == Some("auto")
}

/// The numeric target ports of a Service.
pub fn target_ports(spec: &ServiceSpec) -> Vec<u16> {
    let tcp = |protocol: Option<&str>| protocol.is_none_or(|protocol| protocol == "TCP");
    let ports = spec.ports.iter().flatten().filter(|port| tcp(port.protocol.as_deref()));
    ports
        .filter_map(|port| match &port.target_port {
            Some(IntOrString::Int(target)) => u16::try_from(*target).ok(),
            Some(IntOrString::String(_)) => None,
            None => u16::try_from(port.port).ok(),
        })
        .collect()
}

/// Who a stand-in says it is.
fn identity(context: &Context<'_>) -> Vec<Variable> {
    let text = |name: &str, value: &str| Variable { name: name.into(), value: env::Value::Text(value.into()) };
    let field = |name: &str, path: &str| Variable { name: name.into(), value: env::Value::Field(path.into()) };
    let mut variables = vec![field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")];
    variables.push(text("ZONE", &context.zone.zone));
    variables.extend(context.service.map(|service| text("SERVICE", service)));
    variables.extend(context.version.map(|version| text("VERSION", version)));
    variables
}

fn tcp_ports(container: &KubeContainer) -> Vec<(Option<String>, u16)> {
    let tcp = |port: &&ContainerPort| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    let ports = container.ports.iter().flatten().filter(tcp);
    ports.filter_map(|port| Some((port.name.clone(), u16::try_from(port.container_port).ok()?))).collect()
}

/// The program of an image: of its full name, else of its name without tag and digest, else of its last path segment.
fn mapped<'a>(images: &'a BTreeMap<String, String>, image: &str) -> Option<&'a str> {
    [image, without_tag(image), short_name(image)].iter().find_map(|name| images.get(*name)).map(String::as_str)
}

fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn short_name(image: &str) -> &str {
    let name = without_tag(image);
    name.rsplit('/').next().unwrap_or(name)
}

fn default_probe(action: Action) -> Probe {
    let second = Duration::from_secs(1);
    Probe { action, initial_delay: Duration::ZERO, period: 10 * second, timeout: second, failures: 3, successes: 1 }
}

fn probe_of(probe: &KubeProbe, ports: &[(Option<String>, u16)]) -> Option<Probe> {
    let number = |port: &IntOrString| match port {
        IntOrString::Int(port) => u16::try_from(*port).ok(),
        IntOrString::String(name) => ports.iter().find(|(known, _)| known.as_ref() == Some(name)).map(|(_, port)| *port),
    };
    let action = if let Some(http) = &probe.http_get {
        let headers = http.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone())).collect();
        match http.scheme.as_deref() {
            // A probe accepts any certificate, so what it can learn beyond a connection is little.
            Some("HTTPS") => Action::Tcp(number(&http.port)?),
            _ => Action::Http { port: number(&http.port)?, path: http.path.clone().unwrap_or_else(|| "/".into()), headers },
        }
    } else if let Some(tcp) = &probe.tcp_socket {
        Action::Tcp(number(&tcp.port)?)
    } else if let Some(exec) = &probe.exec {
        Action::Exec(exec.command.clone().unwrap_or_default())
    } else {
        let grpc = probe.grpc.as_ref()?;
        Action::Grpc { port: u16::try_from(grpc.port).ok()?, service: grpc.service.clone().unwrap_or_default() }
    };
    let default = default_probe(action);
    let seconds =
        |value: Option<i32>, default: Duration| value.and_then(|value| u64::try_from(value).ok()).map_or(default, Duration::from_secs);
    let count = |value: Option<i32>, default: u32| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
    Some(Probe {
        initial_delay: seconds(probe.initial_delay_seconds, default.initial_delay),
        period: seconds(probe.period_seconds, default.period),
        timeout: seconds(probe.timeout_seconds, default.timeout),
        failures: count(probe.failure_threshold, default.failures),
        successes: count(probe.success_threshold, default.successes),
        ..default
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_its_full_name_without_its_tag_or_by_its_last_segment() {
        let images = |name: &str| BTreeMap::from([(name.to_string(), "/bin/app".to_string())]);
        for (name, image, found) in [
            ("docker.io/istio/app:1.2", "docker.io/istio/app:1.2", true),
            ("docker.io/istio/app", "docker.io/istio/app:1.2", true),
            ("app", "docker.io/istio/app:1.2", true),
            ("app", "app@sha256:00", true),
            ("localhost:5000/app", "localhost:5000/app", true),
            ("app", "localhost:5000/app", true),
            ("docker.io/istio/app:1.3", "docker.io/istio/app:1.2", false),
            ("ap", "docker.io/istio/app:1.2", false),
        ] {
            assert_eq!(mapped(&images(name), image).is_some(), found, "{name} {image}");
        }
    }
}
