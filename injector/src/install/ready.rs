//! Whether the parts of an installation are ready, and the wait for it.

use super::component::Component;
use super::reference::Reference;
use super::{say, why};
use crate::kubernetes::access::message;
use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::Api;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// How a part stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it does what it is for.
    pub ready: bool,
    /// `1 of 2 replicas available`
    pub text: String,
}

fn state(ready: bool, text: impl Into<String>) -> State {
    State { ready, text: text.into() }
}

/// Waits until all parts are ready, and tells every change. When the time is over, it tells of each part that is not ready why.
pub async fn wait(client: &Client, objects: &[Value], limit: Duration) -> Result<bool> {
    let (start, mut told) = (Instant::now(), BTreeMap::new());
    loop {
        let states = states(client, objects).await;
        for (component, state) in &states {
            let after = start.elapsed().as_secs_f32();
            if told.insert(*component, state.clone()).as_ref() != Some(state) {
                let (sign, time) = if state.ready { ("✔", format!(", after {after:.0} s")) } else { ("…", String::new()) };
                say(&format!("{sign} {component:<16}{}{time}", state.text));
            }
        }
        if states.values().all(|state| state.ready) {
            return Ok(true);
        }
        if start.elapsed() >= limit {
            break;
        }
        tokio::time::sleep(PAUSE.min(limit.saturating_sub(start.elapsed()))).await;
    }
    for (component, state) in told.iter().filter(|(_, state)| !state.ready) {
        say(&format!("✘ {component:<16}{}", state.text));
        for line in reasons(client, objects, *component).await {
            say(&format!("    {}", line.replace('\n', "\n    ")));
        }
    }
    Ok(false)
}

async fn reasons(client: &Client, objects: &[Value], component: Component) -> Vec<String> {
    let mut lines = Vec::new();
    for reference in of_kind(objects, component, "Deployment") {
        lines.extend(why::deployment(client, &reference).await);
    }
    lines
}

fn of_kind(objects: &[Value], component: Component, kind: &str) -> Vec<Reference> {
    let ours = objects.iter().filter(|object| Component::of(object) == component).map(Reference::of);
    ours.filter(|reference| reference.kind == kind).collect()
}

/// Of the parts that have something to wait for.
pub async fn states(client: &Client, objects: &[Value]) -> BTreeMap<Component, State> {
    let mut states = BTreeMap::new();
    for component in [Component::ControlPlane, Component::IngressGateway] {
        for Reference { namespace, name, .. } in of_kind(objects, component, "Deployment") {
            let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace.unwrap_or_default());
            states.insert(component, deployments.get(&name).await.map_or_else(|error| unknown(&error), |found| rollout(&found)));
        }
    }
    for Reference { name, .. } in of_kind(objects, Component::Injection, "MutatingWebhookConfiguration") {
        let found = Api::<MutatingWebhookConfiguration>::all(client.clone()).get(&name).await;
        states.insert(Component::Injection, found.map_or_else(|error| unknown(&error), |found| trusted(&found)));
    }
    states
}

fn unknown(error: &kube::Error) -> State {
    state(false, message(error))
}

/// As `kubectl rollout status` has it.
pub fn rollout(deployment: &Deployment) -> State {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let (all, updated, available) =
        (status.replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
    if status.observed_generation < deployment.metadata.generation {
        return state(false, "not looked at yet by the cluster's controller of Deployments");
    }
    if updated < wanted {
        return state(false, format!("{updated} of {wanted} replicas made as they shall be"));
    }
    if all > updated {
        return state(false, format!("replicas of before still run: {}", all - updated));
    }
    state(available >= wanted, format!("{available} of {wanted} replicas available"))
}

/// Whether the API server can trust the webhooks.
pub fn trusted(configuration: &MutatingWebhookConfiguration) -> State {
    let has = |bundle: &Option<k8s_openapi::ByteString>| bundle.as_ref().is_some_and(|bundle| !bundle.0.is_empty());
    match configuration.webhooks.iter().flatten().all(|webhook| has(&webhook.client_config.ca_bundle)) {
        true => state(true, "the webhook has its CA"),
        false => state(false, "the webhook has no CA yet, which the control plane writes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployment_is_ready_when_all_its_replicas_are_new_and_available() {
        let cases = [
            (json!({}), state(false, "not looked at yet by the cluster's controller of Deployments")),
            (json!({"observedGeneration": 2}), state(false, "0 of 2 replicas made as they shall be")),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}),
                state(false, "replicas of before still run: 1"),
            ),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
                state(false, "1 of 2 replicas available"),
            ),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
                state(true, "2 of 2 replicas available"),
            ),
        ];
        for (status, expected) in cases {
            let deployment =
                json!({"metadata": {"generation": 2}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status});
            assert_eq!(rollout(&serde_json::from_value(deployment).unwrap()), expected, "{status}");
        }
    }

    #[test]
    fn webhooks_are_ready_when_each_has_its_ca() {
        let webhook = |bundle: Value| json!({"name": "w", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"caBundle": bundle}});
        for (bundles, ready) in [(vec!["YQ==", "YQ=="], true), (vec!["YQ==", ""], false)] {
            let webhooks: Vec<_> = bundles.into_iter().map(|bundle| webhook(bundle.into())).collect();
            assert_eq!(trusted(&serde_json::from_value(json!({"webhooks": webhooks})).unwrap()).ready, ready);
        }
    }
}
