//! The annotation `proxy.istio.io/config`: the fields of Istio's ProxyConfig that have an effect here
//! (<https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig>).

use super::annotations::Annotations;
use crate::object::Span;
use crate::object::yaml;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Its name.
pub(crate) const ANNOTATION: &str = "proxy.istio.io/config";

/// What a pod says of its proxy.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProxyConfig {
    pub concurrency: Option<u32>,
    pub hold_application_until_proxy_starts: Option<bool>,
    pub termination_drain_duration: Option<Span>,
    pub drain_duration: Option<Span>,
    pub gateway_topology: GatewayTopology,
}

/// What is in front of a gateway.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GatewayTopology {
    pub num_trusted_proxies: u32,
}

/// How many workers a pod's annotations give its Envoy, if they say so and can be read.
pub fn concurrency(annotations: &BTreeMap<String, String>) -> Option<u32> {
    ProxyConfig::read(annotations.get(ANNOTATION)?, drop).ok()?.concurrency.filter(|workers| *workers > 0)
}

impl ProxyConfig {
    /// Reads the annotation. Fields of Istio's that have no effect here are tolerated, with a warning each.
    pub(super) fn of(annotations: &mut Annotations) -> ProxyConfig {
        let Some(text) = annotations.text(ANNOTATION) else { return ProxyConfig::default() };
        let mut unknown = Vec::new();
        let config = ProxyConfig::read(text, |field| unknown.push(field));
        for field in unknown {
            annotations.warn(&format!("annotation {ANNOTATION}: {field} has no effect in Weir"));
        }
        config.unwrap_or_else(|message| {
            annotations.problem(ANNOTATION, message);
            ProxyConfig::default()
        })
    }

    /// Reads the annotation's text, and names the fields that are not known; what is wrong with it is an error with the field's path.
    pub(crate) fn read(text: &str, mut unknown: impl FnMut(String)) -> Result<ProxyConfig, String> {
        let mut documents = yaml::documents(text);
        let value = match (documents.pop(), documents.is_empty()) {
            (None, _) => return Ok(ProxyConfig::default()),
            (Some(Ok(document)), true) => document.value,
            (Some(Err(error)), _) => return Err(format!("this is not YAML: {}", error.message)),
            (Some(Ok(_)), false) => Value::Null,
        };
        if !value.is_object() {
            return Err("this is not one YAML map with fields of ProxyConfig, such as concurrency: 2".into());
        }
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
        let mut note = |path: serde_ignored::Path| unknown(path.to_string());
        let config = ProxyConfig::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
        config.map_err(|error| format!("{}: {error}", track.path()))
    }
}
