//! Protocols pass two sidecars unchanged, on ports that name them and on ports whose first bytes tell.

use crate::tools::weir;
use crate::{Figure, Up};
use anyhow::Result;
use serde_json::Value;

/// The manifest of a client and a server.
pub const MANIFEST: &str = "tests/manifests/protocols.yaml";

/// What is asked, and under which protocol it must reach the server.
const ASKED: [(&str, &str, Option<&str>); 13] = [
    ("http2", "http://server:81/", Some("HTTP/2.0")),
    ("http2", "http://sniffed:82/", Some("HTTP/2.0")),
    // A port with the name http is HTTP/1.1 to the server, whatever the client speaks: Istio's rule.
    ("http2", "http://server/", Some("HTTP/1.1")),
    ("post", "http://server/", Some("HTTP/1.1")),
    ("post", "http://sniffed:82/", Some("HTTP/1.1")),
    ("grpc", "http://server:81", None),
    ("grpc", "http://sniffed:82", None),
    ("grpc-stream", "http://server:81", None),
    ("grpc-stream", "http://sniffed:82", None),
    ("websocket", "http://server/ws", None),
    ("websocket", "http://sniffed:82/ws", None),
    ("tcp", "http://server:90", None),
    ("tcp", "http://sniffed-bytes:91", None),
];

/// Asks in every protocol from the client's pod. `weir sample ask` compares what comes back with what was sent.
pub async fn pass_unchanged(mesh: &Up) -> Result<Figure> {
    let program = weir().display().to_string();
    let mut changed = Vec::new();
    for (protocol, url, arrives) in ASKED {
        let output = mesh.weir(&["exec", "client", "-n", "protocols", "--", &program, "sample", "ask", protocol, url])?;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        // Only a proxy adds a request id, so a request without one took another way.
        let proxied = arrives.is_none() || answer["headers"]["x-request-id"].is_string();
        let told = arrives.is_none_or(|protocol| answer["protocol"] == protocol);
        if !output.status.success() || !proxied || !told {
            changed.push(format!("{protocol} to {url}: {answer} {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    let measured = if changed.is_empty() { format!("all {} unchanged", ASKED.len()) } else { changed.join("; ") };
    Ok(Figure::new("HTTP/2, gRPC, WebSocket, TCP, a 5 MB POST through two sidecars", "pass unchanged", measured, changed.is_empty()))
}
