//! `weir proxy-status`: how every connected Envoy stands, and what it rejected.

use crate::ads::status::{NodeStatus, State, Syncz};
use crate::commands::Mesh;
use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::UnixStream;

/// The columns.
const TYPES: [&str; 5] = ["CDS", "EDS", "LDS", "RDS", "ECDS"];

/// Show how every connected Envoy stands, and what it rejected and why.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    mesh: Mesh,
    /// Unix socket of a control plane that runs by itself (`weir serve --socket`)
    #[arg(long, value_name = "PATH", conflicts_with = "run_dir")]
    socket: Option<PathBuf>,
}

/// Asks the control plane and prints its answer as a table.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let socket = args.socket.map_or_else(|| args.mesh.control_plane(), Ok)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let syncz = runtime.block_on(ask(&socket)).with_context(|| format!("no answer from a control plane on {}", socket.display()))?;
    crate::commands::print(&show(&syncz));
    Ok(ExitCode::SUCCESS)
}

/// Asks the control plane behind a unix socket how its nodes stand.
pub async fn ask(socket: &Path) -> anyhow::Result<Syncz> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(UnixStream::connect(socket).await?)).await?;
    tokio::spawn(connection);
    let request = Request::get("/debug/syncz").header("host", "weir").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        bail!("it answered {}", response.status());
    }
    Ok(serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?)
}

fn show(syncz: &Syncz) -> String {
    let mut out = String::new();
    let widest = syncz.nodes.iter().map(|node| name(node).len()).max().unwrap_or_default().max("NAME".len());
    let mut line = |name: &str, cells: [String; 5]| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:<9}")).collect();
        let _ = writeln!(out, "{}", format!("{name:<widest$}{cells}").trim_end());
    };
    line("NAME", TYPES.map(str::to_string));
    for node in &syncz.nodes {
        let state = |kind| node.types.get(kind).map_or(State::NotSent, |status| status.state);
        line(name(node), TYPES.map(|kind| state(kind).to_string()));
    }
    for node in &syncz.nodes {
        for (kind, rejection) in node.types.iter().flat_map(|(kind, status)| status.rejected.iter().map(move |it| (kind, it))) {
            let objects = rejection.objects.join(", ");
            let _ = writeln!(out, "\n{} rejected {kind} {} (made from {objects}):\n  {}", name(node), rejection.name, rejection.reason);
        }
    }
    let errors: Vec<_> = syncz.findings.iter().filter(|finding| finding.severity == "error").collect();
    if !errors.is_empty() {
        let _ = writeln!(out, "\nRejected objects, their last good state stays in force:");
    }
    for error in errors {
        let _ = writeln!(out, "  {}", error.text.replace('\n', "\n  "));
    }
    out
}

/// `POD.NAMESPACE` of a node id.
fn name(node: &NodeStatus) -> &str {
    node.node.split('~').nth(2).unwrap_or(&node.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_line_for_each_node_then_what_was_rejected_and_why() {
        let status = |state| serde_json::json!({"state": state, "resources": 1, "version": "x", "unanswered": 0});
        let mut nacked = status("NACKED");
        nacked["rejected"] =
            serde_json::json!([{"name": "80", "version": "v", "objects": ["VirtualService shop/a"], "reason": "no such cluster"}]);
        let syncz = serde_json::json!({
            "nodes": [
                {"node": "sidecar~198.18.1.2~a-0.shop~shop.svc.cluster.local", "protocol": "delta",
                 "types": {"CDS": status("SYNCED"), "EDS": status("STALE"), "LDS": status("SYNCED"), "RDS": nacked}},
            ],
            "findings": [
                {"severity": "error", "object": "", "text": "a.yaml:1:2: error: bad\nx: [\n   ^"},
                {"severity": "warning", "object": "", "text": "b"},
            ],
        });
        let expected = "\
NAME      CDS        EDS        LDS        RDS        ECDS
a-0.shop  SYNCED     STALE      SYNCED     NACKED     NOT SENT

a-0.shop rejected RDS 80 (made from VirtualService shop/a):
  no such cluster

Rejected objects, their last good state stays in force:
  a.yaml:1:2: error: bad
  x: [
     ^
";
        assert_eq!(show(&serde_json::from_value(syncz).unwrap()), expected);
    }
}
