//! The settings of injection that hold for a whole installation: the control plane's `config.yaml`.

use super::selector::Selector;
use super::text::{ComponentLogLevel, Listed, LogLevel, Ports, Quantity, Ranges};
use crate::object::Span;
use crate::object::yaml;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The settings. Each field may be left out; where Istio's charts have the value, it has Istio's name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Values {
    /// Weir's own image, for the init container.
    pub image: String,
    /// How both images are pulled; empty: as Kubernetes chooses by the image's tag.
    pub image_pull_policy: PullPolicy,
    /// Names of Secrets to pull both images with, in the namespace of the pod.
    pub image_pull_secrets: Vec<String>,
    /// The namespace of the control plane: its pods are left alone, and proxies find it there.
    pub namespace: String,
    /// The revision that namespaces and pods name by the label `istio.io/rev`; empty: `default`.
    pub revision: String,
    /// Whether namespaces and pods that do not say are injected.
    pub enable_namespaces_by_default: bool,
    /// Pods that are not injected unless they say so themselves.
    pub never_inject_selector: Vec<Selector>,
    /// Pods that are injected where neither they nor their namespace say.
    pub always_inject_selector: Vec<Selector>,
    /// Whether the proxy is an init container that stays (Kubernetes 1.29).
    pub native_sidecars: bool,
    /// Whether probes that a proxy would answer in the app's place are led past it.
    #[serde(rename = "rewriteAppHTTPProbe")]
    pub rewrite_app_http_probe: bool,
    /// The proxy.
    pub proxy: Proxy,
}

/// The settings of the proxy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Proxy {
    /// Envoy's image.
    pub image: String,
    /// The DNS domain of the cluster.
    pub cluster_domain: String,
    /// How much Envoy logs.
    pub log_level: LogLevel,
    /// How much single components of Envoy log.
    pub component_log_level: ComponentLogLevel,
    /// Envoy's worker threads; 0: one for each CPU of the node.
    pub concurrency: u32,
    /// How long a proxy goes on serving after its pod was told to end.
    pub termination_drain_duration: Span,
    /// Whether the app's containers wait for a proxy that is an ordinary container.
    pub hold_application_until_proxy_starts: bool,
    /// CPU and memory.
    pub resources: Resources,
    /// Destinations that are redirected to the proxy.
    #[serde(rename = "includeIPRanges")]
    pub include_ip_ranges: Ranges,
    /// Destinations that are not.
    #[serde(rename = "excludeIPRanges")]
    pub exclude_ip_ranges: Ranges,
    /// Ports of the pod that are redirected to the proxy.
    pub include_inbound_ports: Ports,
    /// Ports of the pod that are not.
    pub exclude_inbound_ports: Ports,
    /// Ports of destinations that are redirected whatever the address.
    pub include_outbound_ports: Ports,
    /// Ports of destinations that are not redirected.
    pub exclude_outbound_ports: Ports,
}

/// CPU and memory of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// What it is sure to get.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What it gets at most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum PullPolicy {
    /// As Kubernetes chooses by the image's tag.
    #[default]
    #[serde(rename = "")]
    ByTag,
    /// At each start.
    Always,
    /// When the node has it not.
    IfNotPresent,
    /// Never: the node has it.
    Never,
}

impl Default for Values {
    fn default() -> Self {
        Values {
            image: concat!("weir:", env!("CARGO_PKG_VERSION")).into(),
            image_pull_policy: PullPolicy::ByTag,
            image_pull_secrets: Vec::new(),
            namespace: "weir-system".into(),
            revision: String::new(),
            enable_namespaces_by_default: false,
            never_inject_selector: Vec::new(),
            always_inject_selector: Vec::new(),
            native_sidecars: true,
            rewrite_app_http_probe: true,
            proxy: Proxy::default(),
        }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        let amounts = |cpu: &str, memory: &str| {
            let amounts = [("cpu", cpu), ("memory", memory)];
            amounts.into_iter().filter_map(|(name, amount)| Some((name.to_string(), amount.parse().ok()?))).collect()
        };
        Proxy {
            image: "envoyproxy/envoy:v1.40.0".into(),
            cluster_domain: "cluster.local".into(),
            log_level: LogLevel::Warning,
            component_log_level: ComponentLogLevel::default(),
            concurrency: 2,
            termination_drain_duration: Span(Duration::from_secs(5)),
            hold_application_until_proxy_starts: false,
            resources: Resources { requests: amounts("100m", "128Mi"), limits: amounts("2", "1Gi") },
            include_ip_ranges: Listed::All,
            exclude_ip_ranges: Listed::NONE,
            include_inbound_ports: Listed::All,
            exclude_inbound_ports: Listed::NONE,
            include_outbound_ports: Listed::NONE,
            exclude_outbound_ports: Listed::NONE,
        }
    }
}

/// Settings that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ValuesError {
    /// From 1; 0 if unknown.
    pub line: usize,
    /// From 1; 0 if unknown.
    pub column: usize,
    /// The field and what is wrong with it.
    pub message: String,
}

impl Values {
    /// Reads `config.yaml`.
    pub fn read(text: &str) -> Result<Values, ValuesError> {
        let mut documents = yaml::documents(text).into_iter();
        let document = match (documents.next(), documents.next()) {
            (None, _) => return Ok(Values::default()),
            (Some(Ok(document)), None) => document,
            (Some(Err(error)), _) => return Err(ValuesError { line: error.line, column: error.column, message: error.message }),
            (Some(Ok(_)), Some(_)) => {
                return Err(ValuesError { line: 0, column: 0, message: "more than one document: the settings are one".into() });
            }
        };
        serde_path_to_error::deserialize(document.value).map_err(|error| {
            let path = error.path().to_string();
            let (line, column) = document.positions.find(&path);
            ValuesError { line, column, message: format!("{path}: {}", error.inner()) }
        })
    }

    /// The revision's name as labels have it.
    pub fn revision(&self) -> &str {
        if self.revision.is_empty() { "default" } else { &self.revision }
    }
}
