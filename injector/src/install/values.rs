//! The values of the chart: their types, from which `values.schema.json` is made. What each means, and its default, stands in `values.yaml`.
#![allow(missing_docs, reason = "values.yaml says what each value means")]

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

/// A part of a Kubernetes object, which Kubernetes itself checks.
type Object = Map<String, Value>;
type Texts = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(title = "Values of Weir's Helm chart"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    pub global: Global,
    #[cfg_attr(test, schemars(regex(pattern = LABEL)))]
    #[serde(deserialize_with = "label")]
    pub revision: String,
    pub control_plane: ControlPlane,
    pub sidecar_injector: SidecarInjector,
    pub validation: Switch,
    pub ingress_gateway: IngressGateway,
    pub network_policy: Switch,
    pub service_monitor: ServiceMonitor,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Global {
    pub hub: String,
    pub tag: String,
    pub image_pull_policy: PullPolicy,
    pub image_pull_secrets: Vec<String>,
    pub proxy: Proxy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PullPolicy {
    #[serde(rename = "")]
    Unset,
    Always,
    IfNotPresent,
    Never,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    pub image: String,
    pub cluster_domain: String,
    pub log_level: EnvoyLogLevel,
    pub component_log_level: String,
    pub concurrency: u32,
    #[cfg_attr(test, schemars(regex(pattern = SECONDS)))]
    #[serde(deserialize_with = "seconds")]
    pub termination_drain_duration: String,
    pub hold_application_until_proxy_starts: bool,
    #[serde(rename = "includeIPRanges")]
    pub include_ip_ranges: String,
    #[serde(rename = "excludeIPRanges")]
    pub exclude_ip_ranges: String,
    pub include_inbound_ports: String,
    pub exclude_inbound_ports: String,
    pub include_outbound_ports: String,
    pub exclude_outbound_ports: String,
    #[serde(default)]
    pub resources: Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EnvoyLogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
    Off,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlane {
    pub replicas: NonZeroU32,
    pub autoscaling: Autoscaling,
    pub log_level: String,
    #[serde(default)]
    pub resources: Object,
    pub priority_class_name: String,
    #[serde(default)]
    pub pod_annotations: Texts,
    #[serde(default)]
    pub node_selector: Texts,
    #[serde(default)]
    pub tolerations: Vec<Object>,
    #[serde(default)]
    pub affinity: Object,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autoscaling {
    pub enabled: bool,
    pub min_replicas: NonZeroU32,
    pub max_replicas: NonZeroU32,
    #[serde(rename = "targetCPUUtilizationPercentage")]
    pub target_cpu_utilization_percentage: NonZeroU32,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarInjector {
    pub enable_namespaces_by_default: bool,
    #[serde(default)]
    pub never_inject_selector: Vec<Object>,
    #[serde(default)]
    pub always_inject_selector: Vec<Object>,
    #[serde(rename = "rewriteAppHTTPProbe")]
    pub rewrite_app_http_probe: bool,
    pub native_sidecars: bool,
    pub certificate_secret: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    pub enabled: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressGateway {
    pub enabled: bool,
    pub replicas: NonZeroU32,
    pub autoscaling: Autoscaling,
    pub service: GatewayService,
    #[serde(default)]
    pub resources: Object,
    pub priority_class_name: String,
    #[serde(default)]
    pub pod_annotations: Texts,
    #[serde(default)]
    pub node_selector: Texts,
    #[serde(default)]
    pub tolerations: Vec<Object>,
    #[serde(default)]
    pub affinity: Object,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayService {
    #[serde(rename = "type")]
    pub kind: ServiceType,
    #[serde(default)]
    pub annotations: Texts,
    pub external_traffic_policy: ExternalTrafficPolicy,
    pub ports: Vec<Port>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ServiceType {
    LoadBalancer,
    NodePort,
    ClusterIP,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ExternalTrafficPolicy {
    Cluster,
    Local,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    pub name: String,
    pub port: NonZeroU16,
    pub target_port: NonZeroU16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<NonZeroU16>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceMonitor {
    pub enabled: bool,
    pub interval: String,
    #[serde(default)]
    pub labels: Texts,
}

/// A label's value as Istio has it for revisions: a DNS label, or none.
#[cfg(test)]
const LABEL: &str = "^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$";
#[cfg(test)]
const SECONDS: &str = "^[1-9][0-9]*s$";

fn label<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = |text: &str| text.len() <= 63 && text.chars().all(is_inner) && !text.starts_with('-') && !text.ends_with('-');
    checked(deserializer, fits, "no name of a revision: lower-case letters, digits and, between them, hyphens")
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let fits =
        |text: &str| text.strip_suffix('s').is_some_and(|number| number.parse::<NonZeroU32>().is_ok() && !number.starts_with(['0', '+']));
    checked(deserializer, fits, "no number of seconds such as 5s")
}

fn checked<'de, D: serde::Deserializer<'de>>(deserializer: D, fits: impl Fn(&str) -> bool, else_it_is: &str) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if fits(&text) { Ok(text) } else { Err(serde::de::Error::custom(format_args!("{text:?} is {else_it_is}"))) }
}
