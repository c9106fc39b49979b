//! The configuration that a sidecar or gateway Envoy starts with; all else comes over ADS.

use crate::node::Node;
use std::net::SocketAddr;

/// What differs from proxy to proxy in its bootstrap.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Who the proxy is.
    pub node: Node,
    /// Region and zone where the proxy runs.
    pub locality: (String, String),
    /// The control plane.
    pub ads: SocketAddr,
}

/// The bootstrap as Envoy reads it from a JSON file.
pub fn build(_bootstrap: &Bootstrap) -> serde_json::Value {
    serde_json::Value::Null
}
