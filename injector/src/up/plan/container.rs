//! A container: which program it is here, with which arguments, environment, ports and readiness probe.

use super::env::{self, Variable};
use super::image::{self, short_name};
use super::readiness;
use super::zone::Zone;
use super::{Labels, is_tcp};
use crate::up::probe::{Action, Probe};
use k8s_openapi::api::core::v1::{Container as KubeContainer, PodSpec, ServiceSpec, Volume};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, BTreeSet};

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
    /// The object that describes the pod, for notes.
    pub object: &'a str,
    /// The Service that selects the pod.
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
    let declared: BTreeSet<u16> = spec.containers.iter().flat_map(tcp_ports).map(|(_, port)| port).collect();
    let mut undeclared: Vec<u16> = context.target_ports.difference(&declared).copied().collect();
    let mut served = BTreeSet::new();
    let mut containers = Vec::new();
    note_what_is_left_out(context, spec, notes);
    for container in spec.containers.iter().filter(|container| !is_proxy(container)) {
        let image = container.image.clone().unwrap_or_default();
        let ports = tcp_ports(container);
        // The program stands for the first word of `command`, which names a file of the image.
        let arguments = container.command.iter().flatten().skip(1).chain(container.args.iter().flatten()).cloned();
        let program = match image::program(context.images, &image) {
            Some(program) => Some(Program::Local(std::iter::once(program.to_string()).chain(arguments).collect())),
            None if short_name(&image) == SAMPLE => Some(Program::Sample(arguments.collect())),
            None => None,
        };
        let mut env = env::plan(context.object, container, notes);
        let mut readiness = readiness::plan(context.object, container, &ports, notes);
        let program = program.unwrap_or_else(|| {
            // Containers share the pod's network, so a port that an earlier stand-in serves is taken.
            let wanted = ports.iter().map(|(_, port)| *port).chain(undeclared.drain(..));
            let own: Vec<u16> = wanted.filter(|port| served.insert(*port)).collect();
            env.extend(identity(context));
            readiness = readiness.take().filter(Probe::is_impossible).or_else(|| stand_in_probe(&own));
            stand_in(&own)
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

/// A stand-in that answers on these ports. Without any it only runs, as a helper does that listens on nothing.
fn stand_in(ports: &[u16]) -> Program {
    let none = ports.is_empty().then(|| "--no-port".to_string());
    let ports = ports.iter().flat_map(|port| ["--port".to_string(), port.to_string()]);
    Program::Sample(["stand-in".to_string()].into_iter().chain(none).chain(ports).collect())
}

/// A stand-in is ready when it listens; the image's own probe asks for paths that it does not know.
fn stand_in_probe(ports: &[u16]) -> Option<Probe> {
    ports.first().map(|port| readiness::default(Action::Tcp(*port)))
}

fn note_what_is_left_out(context: &Context<'_>, spec: &PodSpec, notes: &mut Vec<String>) {
    let object = context.object;
    let names = |names: Vec<&str>| (!names.is_empty()).then(|| names.join(", "));
    let first = spec.init_containers.iter().flatten().map(|container| container.name.as_str());
    if let Some(names) = names(first.collect()) {
        notes.push(format!("{object}: init containers are left out: {names}"));
    }
    // An empty folder holds nothing that could be missed.
    let volumes = spec.volumes.iter().flatten().filter(|volume: &&Volume| volume.empty_dir.is_none());
    if let Some(names) = names(volumes.map(|volume| volume.name.as_str()).collect()) {
        notes.push(format!("{object}: volumes are left out: {names}"));
    }
}

/// The TCP ports of Envoy's own container, where a manifest has one.
pub fn proxy_ports(spec: &PodSpec) -> Vec<(Option<String>, u16)> {
    spec.containers.iter().filter(|container| is_proxy(container)).flat_map(tcp_ports).collect()
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
    let ports = spec.ports.iter().flatten().filter(|port| is_tcp(&port.protocol));
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
    let ports = container.ports.iter().flatten().filter(|port| is_tcp(&port.protocol));
    ports.filter_map(|port| Some((port.name.clone(), u16::try_from(port.container_port).ok()?))).collect()
}
