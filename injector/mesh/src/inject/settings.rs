//! What a pod's annotations and the installation's values say together, parsed once.

use super::annotations::Annotations;
use super::names::{CONTAINERS, PROXY};
use super::problem::Problem;
use super::proxy_config::ProxyConfig;
use super::status::name_of;
use super::text::{ComponentLogLevel, LogLevel, Port, Ports, Ranges};
use super::values::{Resources, Values};
use serde_json::{Map, Value};
use std::time::Duration;

/// The settings of one pod's proxy.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub role: Role,
    pub image: String,
    pub log_level: LogLevel,
    pub component_log_level: ComponentLogLevel,
    /// 0: one worker for each CPU.
    pub concurrency: u32,
    pub resources: Resources,
    /// Further volumes: name to source.
    pub volumes: Map<String, Value>,
    /// Further mounts of the proxy: name of the volume to the rest of the mount.
    pub mounts: Map<String, Value>,
    /// A ConfigMap with a part of the bootstrap.
    pub bootstrap_override: Option<String>,
    /// Whether the proxy is an init container that stays.
    pub native: bool,
    /// Whether the app's containers wait for a proxy that is not native.
    pub hold: bool,
    pub rewrite_probes: bool,
    /// None: nothing is redirected.
    pub redirect: Option<Redirect>,
    /// None: Kubernetes does not ask the proxy.
    pub readiness: Option<Readiness>,
    pub drain: Duration,
    pub termination_drain: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Beside an app.
    Sidecar,
    /// The pod is the proxy.
    Router,
}

/// What is redirected to the proxy.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    pub inbound_ports: Ports,
    pub exclude_inbound_ports: Ports,
    pub outbound_ports: Ports,
    pub exclude_outbound_ports: Ports,
    pub outbound_ranges: Ranges,
    pub exclude_outbound_ranges: Ranges,
}

/// How Kubernetes asks whether the proxy is ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    pub initial_delay: u32,
    pub period: u32,
    pub failures: u32,
}

/// What `sidecar.istio.io/interceptionMode` knows.
enum Interception {
    Redirect,
    None,
}

impl Redirect {
    /// Whether what comes to this port of the pod goes to the proxy. Ports of the proxy itself never do.
    pub fn catches(&self, port: u16) -> bool {
        let own = [15020, crate::bootstrap::HEALTH_PORT, crate::bootstrap::STATS_PORT].contains(&port);
        !own && self.inbound_ports.contains(&Port(port)) && !self.exclude_inbound_ports.contains(&Port(port))
    }
}

impl Settings {
    /// The settings of a pod, with warnings for its user, or all that is wrong with its annotations.
    pub fn of(pod: &Value, values: &Values) -> Result<(Settings, Vec<String>), Vec<Problem>> {
        let mut annotations = Annotations::of(pod);
        let config = ProxyConfig::of(&mut annotations);
        let role = role(&mut annotations);
        let proxy = &values.proxy;
        let native = annotations.boolean("sidecar.istio.io/nativeSidecar").unwrap_or(values.native_sidecars);
        let settings = Settings {
            role,
            image: image(&mut annotations).unwrap_or_else(|| proxy.image.clone()),
            log_level: annotations
                .parsed("sidecar.istio.io/logLevel", "trace, debug, info, warning, error, critical or off")
                .unwrap_or(proxy.log_level),
            component_log_level: annotations
                .parsed("sidecar.istio.io/componentLogLevel", "a list such as upstream:debug,http:trace")
                .unwrap_or_else(|| proxy.component_log_level.clone()),
            concurrency: config.concurrency.unwrap_or(proxy.concurrency),
            resources: resources(&mut annotations).unwrap_or_else(|| proxy.resources.clone()),
            volumes: annotations.json_map("sidecar.istio.io/userVolume", "its source, such as {\"emptyDir\": {}}", |_| true),
            mounts: annotations.json_map("sidecar.istio.io/userVolumeMount", "a mount with a mountPath", |mount| {
                mount.get("mountPath").is_some_and(Value::is_string)
            }),
            bootstrap_override: annotations.checked("sidecar.istio.io/bootstrapOverride", "the name of a ConfigMap", is_object_name),
            native: native && role == Role::Sidecar && has_app(pod),
            hold: config.hold_application_until_proxy_starts.unwrap_or(proxy.hold_application_until_proxy_starts),
            rewrite_probes: annotations.boolean("sidecar.istio.io/rewriteAppHTTPProbers").unwrap_or(values.rewrite_app_http_probe),
            redirect: redirect(&mut annotations, values).filter(|_| role == Role::Sidecar),
            readiness: readiness(&mut annotations),
            drain: config.drain_duration.map_or(DRAIN, |span| span.0),
            termination_drain: config.termination_drain_duration.unwrap_or(proxy.termination_drain_duration).0,
        };
        annotations.finish().map(|warnings| (settings, warnings))
    }
}

/// Istio's `drainDuration`.
const DRAIN: Duration = Duration::from_secs(45);

/// Whether the pod has a container beside the proxy: without one the proxy cannot leave the list of containers.
fn has_app(pod: &Value) -> bool {
    let containers = pod.pointer(CONTAINERS).and_then(Value::as_array);
    containers.is_some_and(|containers| containers.iter().any(|container| name_of(container) != Some(PROXY)))
}

fn role(annotations: &mut Annotations) -> Role {
    let known = |text: &str| match text.trim() {
        "sidecar" => Some(Role::Sidecar),
        "gateway" => Some(Role::Router),
        _ => None,
    };
    annotations.read("inject.istio.io/templates", "sidecar or gateway: Weir has no other templates", known).unwrap_or(Role::Sidecar)
}

fn image(annotations: &mut Annotations) -> Option<String> {
    let is_image = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    annotations.checked("sidecar.istio.io/proxyImage", "an image's name", is_image)
}

/// As in Istio, one of these annotations puts all four in the place of the values' resources.
fn resources(annotations: &mut Annotations) -> Option<Resources> {
    let mut found = Resources::default();
    for (resource, request, limit) in [
        ("cpu", "sidecar.istio.io/proxyCPU", "sidecar.istio.io/proxyCPULimit"),
        ("memory", "sidecar.istio.io/proxyMemory", "sidecar.istio.io/proxyMemoryLimit"),
    ] {
        for (amounts, annotation) in [(&mut found.requests, request), (&mut found.limits, limit)] {
            if let Some(quantity) = annotations.parsed(annotation, "a quantity such as 100m, 2 or 128Mi") {
                amounts.insert(resource.into(), quantity);
            }
        }
    }
    (found != Resources::default()).then_some(found)
}

fn redirect(annotations: &mut Annotations, values: &Values) -> Option<Redirect> {
    let mode = annotations.read(
        "sidecar.istio.io/interceptionMode",
        "REDIRECT or NONE: Weir redirects connections, it has no transparent proxying (TPROXY)",
        |text| match text {
            "REDIRECT" => Some(Interception::Redirect),
            "NONE" => Some(Interception::None),
            _ => None,
        },
    );
    for name in ["traffic.sidecar.istio.io/kubevirtInterfaces", "istio.io/reroute-virtual-interfaces"] {
        annotations.refused(name, "Weir does not redirect the traffic of virtual machines");
    }
    annotations.refused("traffic.sidecar.istio.io/excludeInterfaces", "Weir does not tell interfaces apart: exclude ports or ranges");
    let proxy = &values.proxy;
    let mut ports = |name: &str, default: &Ports| {
        let name = format!("traffic.sidecar.istio.io/{name}");
        annotations.parsed(&name, "\"*\", or ports with commas between").unwrap_or_else(|| default.clone())
    };
    let inbound_ports = ports("includeInboundPorts", &proxy.include_inbound_ports);
    let exclude_inbound_ports = ports("excludeInboundPorts", &proxy.exclude_inbound_ports);
    let outbound_ports = ports("includeOutboundPorts", &proxy.include_outbound_ports);
    let exclude_outbound_ports = ports("excludeOutboundPorts", &proxy.exclude_outbound_ports);
    let mut ranges = |name: &str, default: &Ranges| {
        let name = format!("traffic.sidecar.istio.io/{name}");
        annotations.parsed(&name, "\"*\", or address ranges such as 10.0.0.0/8 with commas between").unwrap_or_else(|| default.clone())
    };
    let outbound_ranges = ranges("includeOutboundIPRanges", &proxy.include_ip_ranges);
    let exclude_outbound_ranges = ranges("excludeOutboundIPRanges", &proxy.exclude_ip_ranges);
    if exclude_inbound_ports == Ports::All || exclude_outbound_ports == Ports::All || exclude_outbound_ranges == Ranges::All {
        let message = "to exclude all is not to redirect: sidecar.istio.io/interceptionMode: NONE";
        annotations.problem("traffic.sidecar.istio.io/exclude*", message.into());
    }
    let redirect =
        Redirect { inbound_ports, exclude_inbound_ports, outbound_ports, exclude_outbound_ports, outbound_ranges, exclude_outbound_ranges };
    (!matches!(mode, Some(Interception::None))).then_some(redirect)
}

/// Istio's defaults. The status port is its agent's; here it says, as there, by 0 that Kubernetes does not ask the proxy.
fn readiness(annotations: &mut Annotations) -> Option<Readiness> {
    let port: Option<u16> = annotations.parsed("status.sidecar.istio.io/port", "a port; 0 for no readiness probe");
    if port.is_some_and(|port| ![0, 15020, crate::bootstrap::HEALTH_PORT].contains(&port)) {
        annotations.warn("annotation status.sidecar.istio.io/port: the proxy says on port 15021 whether it is ready, and on no other");
    }
    let mut number = |name: &str, default: u32, least: u32| {
        let name = format!("readiness.status.sidecar.istio.io/{name}");
        let read = |text: &str| text.parse().ok().filter(|number| (least..=i32::MAX.unsigned_abs()).contains(number));
        annotations.read(&name, &format!("a number from {least}"), read).unwrap_or(default)
    };
    let readiness = Readiness {
        initial_delay: number("initialDelaySeconds", 0, 0),
        period: number("periodSeconds", 15, 1),
        failures: number("failureThreshold", 4, 1),
    };
    (port != Some(0)).then_some(readiness)
}

/// A DNS subdomain, as names of ConfigMaps are.
fn is_object_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = part.as_bytes().first().zip(part.as_bytes().last());
        ends.is_some_and(|(first, last)| alphanumeric(first) && alphanumeric(last))
            && part.bytes().all(|byte| alphanumeric(&byte) || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(is_part)
}
