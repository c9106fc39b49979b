//! Gateways.

use super::Problems;
use crate::object::gateway::Gateway;

/// Istio's names of protocols.
const PROTOCOLS: [&str; 8] = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO"];

pub(super) fn validate(spec: &Gateway, problems: &mut Problems) {
    if spec.servers.is_empty() {
        problems.error("spec.servers", "a Gateway needs at least one server");
    }
    for (i, server) in spec.servers.iter().enumerate() {
        let at = format!("spec.servers[{i}]");
        if server.port.number == 0 {
            problems.error(&format!("{at}.port.number"), "a server needs a port from 1 to 65535");
        }
        if !PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(&server.port.protocol)) {
            let message = format!("{:?} is no protocol: expected one of {}", server.port.protocol, PROTOCOLS.join(", "));
            problems.error(&format!("{at}.port.protocol"), &message);
        }
        if server.hosts.is_empty() {
            problems.error(&format!("{at}.hosts"), "a server needs at least one host, or '*'");
        }
        for (j, host) in server.hosts.iter().enumerate() {
            problems.host(&format!("{at}.hosts[{j}]"), host.split_once('/').map_or(host, |(_, host)| host));
        }
    }
}
