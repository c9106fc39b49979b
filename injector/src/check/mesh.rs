//! Whether the Weir of a cluster is well.

use super::line::{Line, bad, good, note};
use crate::install::ready::{State, rollout, trusted};
use crate::install::reference::Reference;
use crate::install::why;
use crate::kubernetes::access::message;
use crate::kubernetes::list;
use anyhow::{Result, anyhow};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use kube::{Client, ResourceExt};
use serde_json::Value;
use weir_mesh::object::documents;

/// What the installation says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Weir's image, as new pods get it.
    pub image: String,
    /// Envoy's.
    pub proxy: String,
    /// Empty for the default one.
    pub revision: String,
}

/// From the ConfigMap that the webhook reads.
pub async fn settings(client: &Client, namespace: &str) -> Option<Settings> {
    let config = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt("weir").await.ok()??;
    let text = config.data?.remove("config.yaml")?;
    let value = documents(&text).into_iter().next()?.ok()?.value;
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    Some(Settings { image: text("/image"), proxy: text("/proxy/image"), revision: text("/revision") })
}

/// Whether all Deployments of Weir's are available; of those that are not, why.
pub async fn deployments(client: &Client, namespace: &str) -> Result<Vec<Line>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let found = list::all(&api, "app.kubernetes.io/part-of=weir").await?;
    if !found.iter().any(|deployment| deployment.name_any() == "weir") {
        return Ok(vec![bad(format!("there is no Deployment weir in the namespace {namespace}"), "weir install")]);
    }
    let mut lines = Vec::new();
    for deployment in &found {
        let (State { ready, text }, name) = (rollout(deployment), deployment.name_any());
        if ready {
            lines.push(good(format!("Deployment {name}: {text}")));
            continue;
        }
        let reference = Reference { api_version: "apps/v1".into(), kind: "Deployment".into(), namespace: Some(namespace.into()), name };
        let mut told = vec![format!("Deployment {}: {text}", reference.name)];
        told.extend(why::deployment(client, &reference).await);
        lines.push(bad(
            told.join("\n"),
            format!("put right what stands above; all there is to know: kubectl describe pods --namespace {namespace}"),
        ));
    }
    Ok(lines)
}

/// Whether the API server trusts the webhook, and finds somebody who answers it.
pub async fn webhook(client: &Client, namespace: &str) -> Result<Vec<Line>> {
    let failed = |error: kube::Error| anyhow!("{}", message(&error));
    let found = Api::<MutatingWebhookConfiguration>::all(client.clone()).get_opt("weir-injector").await.map_err(failed)?;
    let Some(found) = found else { return Ok(vec![bad("the webhook weir-injector is not there: no pod gets a sidecar", "weir install")]) };
    let mut lines = vec![match trusted(&found) {
        State { ready: true, text } => good(text),
        State { text, .. } => bad(text, format!("kubectl logs --namespace {namespace} deployment/weir")),
    }];
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let slices = list::all(&slices, "kubernetes.io/service-name=weir").await?;
    lines.push(match slices.iter().map(answering).sum() {
        0 => bad(
            "nobody answers the webhook: the Service weir has no ready endpoint, and pods that would get a sidecar cannot start",
            "the control plane must become ready",
        ),
        count => good(format!("the webhook is answered by {count} of the control plane's replicas")),
    });
    Ok(lines)
}

fn answering(slice: &EndpointSlice) -> usize {
    slice.endpoints.iter().filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|it| it.ready != Some(false))).count()
}

/// Whether one of the replicas leads: it writes statuses and the webhooks' CA.
pub async fn leader(client: &Client, namespace: &str, now: Timestamp) -> Result<Vec<Line>> {
    let lease = Api::<Lease>::namespaced(client.clone(), namespace).get_opt("weir-leader").await;
    let lease = lease.map_err(|error| anyhow!("{}", message(&error)))?;
    Ok(vec![led(lease.as_ref(), now)])
}

fn led(lease: Option<&Lease>, now: Timestamp) -> Line {
    let advice = "it is elected as soon as a replica of the control plane runs";
    let Some(spec) = lease.and_then(|lease| lease.spec.as_ref()) else {
        return note("no replica of the control plane leads yet", advice);
    };
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into());
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
    match (holder, spec.renew_time.as_ref()) {
        (Some(holder), Some(renewed)) if now.duration_since(renewed.0) <= lasts => good(format!("{holder} leads")),
        _ => bad("no replica of the control plane leads any more: statuses and the webhooks' CA are not written", advice),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Grade;
    use super::*;
    use serde_json::json;

    #[test]
    fn who_leads_has_renewed_in_time() {
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {},
            "spec": {"holderIdentity": "weir-0", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
        }))
        .unwrap();
        let at = |time: &str| led(Some(&lease), time.parse().unwrap());
        assert_eq!(at("2026-01-01T00:00:10Z"), good("weir-0 leads"));
        assert_eq!(at("2026-01-01T00:01:00Z").grade, Grade::Bad);
        assert_eq!(led(None, Timestamp::UNIX_EPOCH).grade, Grade::Note);
    }

    #[test]
    fn an_endpoint_answers_unless_it_says_that_it_is_not_ready() {
        let slice = |conditions: Value| -> EndpointSlice {
            serde_json::from_value(
                json!({"metadata": {}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": conditions}]}),
            )
            .unwrap()
        };
        assert_eq!([json!({}), json!({"ready": true}), json!({"ready": false})].map(|it| answering(&slice(it))), [1, 1, 0]);
    }
}
