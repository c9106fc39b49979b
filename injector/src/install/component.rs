//! The parts of Weir as its progress is told.

use serde_json::Value;
use std::fmt;

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// Where the rest goes.
    Namespace,
    /// The definitions of Istio's kinds.
    Definitions,
    /// The Deployment `weir` and what it needs.
    ControlPlane,
    /// The webhooks.
    Injection,
    /// Envoy at the edge.
    IngressGateway,
}

impl Component {
    /// The part that a rendered object belongs to, by the chart's label.
    pub fn of(object: &Value) -> Component {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let label = object.pointer("/metadata/labels/app.kubernetes.io~1component").and_then(Value::as_str);
        match (kind, label) {
            ("Namespace", _) => Component::Namespace,
            ("CustomResourceDefinition", _) => Component::Definitions,
            (_, Some("ingressgateway")) => Component::IngressGateway,
            (_, Some("sidecar-injector" | "validation")) => Component::Injection,
            _ => Component::ControlPlane,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Component::Namespace => "namespace",
            Component::Definitions => "CRDs",
            Component::ControlPlane => "control plane",
            Component::Injection => "injection",
            Component::IngressGateway => "ingress gateway",
        })
    }
}
