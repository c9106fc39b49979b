//! What `weir proxy-status` prints for people.

use super::difference::Compared;
use super::join::{Proxy, Status};
use crate::ads::status::{Rejection, State, TypeStatus};
use crate::commands::output::{row, table};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The columns.
pub const TYPES: [&str; 5] = ["CDS", "EDS", "LDS", "RDS", "ECDS"];

/// A line for each proxy, then what was rejected.
pub fn text(status: &Status, wide: bool) -> String {
    let more: &[&str] = if wide { &["CONTROL PLANE", "NODE", "ZONE", "VERSION"] } else { &[] };
    let header = row(&[&["NAME"], &TYPES[..], more].concat());
    let lines = status.proxies.iter().map(|proxy| line(proxy, wide));
    let mut out = table(&[header].into_iter().chain(lines).collect::<Vec<_>>());
    for proxy in &status.proxies {
        rejections(&mut out, &name(proxy), &proxy.types);
    }
    let errors: Vec<_> = status.findings.iter().filter(|finding| finding.severity == "error").collect();
    if !errors.is_empty() {
        let _ = writeln!(out, "\nRejected objects, their last good state stays in force:");
    }
    for error in errors {
        let _ = writeln!(out, "  {}", error.text.replace('\n', "\n  "));
    }
    out
}

fn line(proxy: &Proxy, wide: bool) -> Vec<String> {
    let state = |kind: &&str| proxy.types.get(*kind).map_or(State::NotSent, |status| status.state).to_string();
    let states: Vec<String> = match (proxy.connected, proxy.state.as_str()) {
        (true, _) => TYPES.iter().map(state).collect(),
        (false, "") => vec!["NOT CONNECTED".into()],
        (false, why) => vec![format!("NOT CONNECTED ({why})")],
    };
    let mut cells = vec![name(proxy)];
    cells.extend(states.into_iter().chain(std::iter::repeat(String::new())).take(TYPES.len()));
    if wide {
        let control_plane = proxy.control_plane.clone().unwrap_or_default();
        cells.extend([control_plane, proxy.node.clone(), proxy.zone.clone(), proxy.version.clone()]);
    }
    cells
}

fn name(proxy: &Proxy) -> String {
    format!("{}.{}", proxy.name, proxy.namespace)
}

fn rejections(out: &mut String, name: &str, types: &BTreeMap<String, TypeStatus>) {
    for (kind, Rejection { name: resource, objects, reason, .. }) in
        types.iter().flat_map(|(kind, status)| status.rejected.iter().map(move |rejection| (kind, rejection)))
    {
        let _ = writeln!(out, "\n{name} rejected {kind} {resource} (made from {}):\n  {reason}", objects.join(", "));
    }
}

/// What one proxy has other than it should, and what it rejected.
pub fn comparison(compared: &Compared) -> String {
    let connected = compared.control_plane.as_ref().map(|replica| format!(" is connected to {replica}")).unwrap_or_default();
    let mut out = format!("{}{connected}\n\n", compared.name);
    let header = row(&["TYPE", "STATE", "CONTROL PLANE", "ENVOY", "DIFFERENT"]);
    let lines = compared.types.iter().map(|(kind, of)| {
        vec![kind.clone(), of.state.to_string(), of.wanted.to_string(), of.has.to_string(), of.differences.len().to_string()]
    });
    out += &table(&[header].into_iter().chain(lines).collect::<Vec<_>>());
    let differences = compared.types.iter().flat_map(|(kind, of)| of.differences.iter().map(move |difference| (kind, difference)));
    let lines: Vec<_> = differences
        .map(|(kind, difference)| vec![kind.clone(), difference.name.clone(), difference.how.to_string(), difference.objects.join(", ")])
        .collect();
    if !lines.is_empty() {
        let _ = write!(out, "\n{}", table(&[vec![row(&["TYPE", "NAME", "DIFFERENCE", "MADE FROM"])], lines].concat()));
    }
    for (kind, rejection) in compared.types.iter().flat_map(|(kind, of)| of.rejected.iter().map(move |rejection| (kind, rejection))) {
        let _ = writeln!(out, "\nrejected {kind} {}:\n  {}", rejection.name, rejection.reason);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_status::{Place, Seen, join::join};

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
        let mut seen = Seen::from(serde_json::from_value::<crate::ads::status::Syncz>(syncz).unwrap());
        let lost = Place { namespace: "shop".into(), name: "b-0".into(), zone: "eu/a".into(), state: "Pending".into(), ..Place::default() };
        seen.pods.push(lost);
        let expected = "\
NAME       CDS                       EDS     LDS      RDS      ECDS
a-0.shop   SYNCED                    STALE   SYNCED   NACKED   NOT SENT
b-0.shop   NOT CONNECTED (Pending)

a-0.shop rejected RDS 80 (made from VirtualService shop/a):
  no such cluster

Rejected objects, their last good state stays in force:
  a.yaml:1:2: error: bad
  x: [
     ^
";
        let status = join(seen, None);
        assert_eq!(text(&status, false), expected);
        let wide = text(&status, true);
        assert!(wide.lines().next().is_some_and(|line| line.ends_with("ECDS       CONTROL PLANE   NODE   ZONE   VERSION")), "{wide}");
        assert!(wide.lines().nth(2).is_some_and(|line| line.ends_with("   eu/a")), "{wide}");
    }
}
