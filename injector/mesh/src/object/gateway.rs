//! `networking.istio.io` Gateway: <https://istio.io/latest/docs/reference/config/networking/gateway/>.
//! Field names and meanings are Istio's.
#![allow(missing_docs, reason = "every field is Istio's, of the same name")]

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    pub selector: BTreeMap<String, String>,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    pub name: String,
    pub port: ServerPort,
    pub hosts: Vec<String>,
    pub tls: Option<ServerTls>,
}

impl Server {
    /// Whether a gateway does anything for it: TLS is not terminated and not routed yet.
    pub fn is_served(&self) -> bool {
        self.is_http() || self.is_tcp()
    }

    /// Whether its connections are passed on byte by byte.
    pub fn is_tcp(&self) -> bool {
        self.port.protocol.eq_ignore_ascii_case("TCP")
    }

    /// Whether its requests are routed.
    pub fn is_http(&self) -> bool {
        ["HTTP", "HTTP2", "GRPC", "GRPC-WEB"].iter().any(|known| known.eq_ignore_ascii_case(&self.port.protocol))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServerPort {
    pub number: u16,
    pub name: String,
    pub protocol: String,
    pub target_port: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTls {
    pub https_redirect: bool,
    pub mode: String,
    pub credential_name: String,
}
