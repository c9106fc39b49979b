//! What users are told about their objects, by the replica that leads.

use crate::{app, run};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::cluster::{Cluster, SYSTEM};

/// The condition `Programmed` of an object, once it is as wanted.
fn programmed(cluster: &Cluster, object: &str, namespace: &str, status: &str, reason: &str) -> Result<Value> {
    cluster.wait(&format!("{object} is {status} {reason}"), || {
        let told = cluster.get(&[object, "-n", namespace])?;
        let condition = told["status"]["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == "Programmed");
        let current = |condition: &&Value| condition["observedGeneration"] == told["metadata"]["generation"];
        Ok(condition.filter(current).filter(|condition| condition["status"] == status && condition["reason"] == reason).cloned())
    })
}

/// The pod that leads.
fn leader(cluster: &Cluster) -> Result<String> {
    let lease = cluster.get(&["lease", "weir-leader", "-n", SYSTEM])?;
    Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().into())
}

const ROUTE: &str = "virtualservice/app";

#[test]
fn users_are_told_in_their_objects_what_became_of_them() {
    run(async |cluster| {
        let name = "told";
        let namespace = cluster.namespace(name)?;
        cluster.apply_text(&app(name, ""))?;
        namespace.ready()?;
        // The gateways need it; the sidecars do not.
        let gateways = cluster.get(&["pods", "-n", SYSTEM, "-l", "istio=ingressgateway"])?["items"].as_array().map_or(0, Vec::len);
        let condition = programmed(cluster, ROUTE, name, "True", "Programmed")?;
        let expected = if gateways == 1 { "1 proxy has it".into() } else { format!("{gateways} proxies have it") };
        ensure!(condition["message"] == expected, "{condition}");
        programmed(cluster, "gateway/app", name, "True", "Programmed")?;

        let patch = |path: &str, value: &str| {
            let patch = format!(r#"[{{"op": "add", "path": "{path}", "value": {value}}}]"#);
            cluster.kubectl(&["patch", ROUTE, "-n", name, "--type", "json", "-p", &patch]).map(drop)
        };
        patch("/spec/http/0/match", r#"[{"uri": {"regex": "("}}]"#)?;
        let condition = programmed(cluster, ROUTE, name, "False", "Invalid")?;
        ensure!(condition["message"].as_str().is_some_and(|message| message.contains("spec.http[0].match[0].uri.regex")), "{condition}");
        let event = cluster.wait("an Event at the object", || {
            let events = cluster.get(&["events", "-n", name, "--field-selector", "involvedObject.kind=VirtualService"])?;
            Ok(events["items"].as_array().into_iter().flatten().find(|event| event["type"] == "Warning").cloned())
        })?;
        ensure!(event["message"].as_str().is_some_and(|message| message.contains("regex")), "{event:#}");
        println!("{}", cluster.kubectl(&["describe", ROUTE, "-n", name])?);

        // Whoever leads next goes on.
        let first = leader(cluster)?;
        ensure!(!first.is_empty(), "nobody leads");
        cluster.kubectl(&["delete", "pod", &first, "-n", SYSTEM, "--wait=false"])?;
        let second = cluster.wait("another replica leads", || Ok(Some(leader(cluster)?).filter(|now| !now.is_empty() && *now != first)))?;
        patch("/spec/http/0/match", r#"[{"uri": {"prefix": "/"}}]"#)?;
        programmed(cluster, ROUTE, name, "True", "Programmed").with_context(|| format!("{second} leads"))?;
        cluster.kubectl(&["rollout", "status", "deployment/weir", "-n", SYSTEM, "--timeout=90s"]).map(drop)
    });
}
