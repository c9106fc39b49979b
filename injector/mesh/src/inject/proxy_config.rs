//! The annotation `proxy.istio.io/config`: the fields of Istio's ProxyConfig that have an effect here.

use super::annotations::Annotations;
use crate::object::Span;
use crate::object::yaml;
use serde::Deserialize;
use serde_json::Value;

const ANNOTATION: &str = "proxy.istio.io/config";

/// What a pod says of its proxy.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ProxyConfig {
    pub concurrency: Option<u32>,
    pub hold_application_until_proxy_starts: Option<bool>,
    pub termination_drain_duration: Option<Span>,
    pub drain_duration: Option<Span>,
}

impl ProxyConfig {
    /// Reads the annotation. Fields of Istio's that have no effect here are tolerated, with a warning each.
    pub fn of(annotations: &mut Annotations) -> ProxyConfig {
        let Some(text) = annotations.text(ANNOTATION) else { return ProxyConfig::default() };
        let mut documents = yaml::documents(text);
        let value = match (documents.pop(), documents.is_empty()) {
            (None, _) => return ProxyConfig::default(),
            (Some(Ok(document)), true) => document.value,
            (Some(Err(error)), _) => {
                annotations.problem(ANNOTATION, format!("this is not YAML: {}", error.message));
                return ProxyConfig::default();
            }
            (Some(Ok(_)), false) => Value::Null,
        };
        if !value.is_object() {
            annotations.problem(ANNOTATION, "this is not one YAML map with fields of ProxyConfig, such as concurrency: 2".into());
            return ProxyConfig::default();
        }
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
        let mut note = |path: serde_ignored::Path| unknown.push(path.to_string());
        let config = ProxyConfig::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
        for field in unknown {
            annotations.warn(&format!("annotation {ANNOTATION}: {field} has no effect in Weir"));
        }
        config.unwrap_or_else(|error| {
            annotations.problem(ANNOTATION, format!("{}: {error}", track.path()));
            ProxyConfig::default()
        })
    }
}
