//! Why the pods of a Deployment are not ready: what one would look up by hand, from conditions, containers' states, events and logs.

use super::reference::Reference;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;

/// So many different events of a pod, the last ones.
const EVENTS: usize = 3;
/// So many lines of a container's log.
const LINES: i64 = 5;

/// Of a Deployment; nothing if nothing can be learned.
pub async fn deployment(client: &Client, reference: &Reference) -> Vec<String> {
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    let Ok(deployment) = Api::<Deployment>::namespaced(client.clone(), namespace).get(&reference.name).await else { return vec![] };
    let mut lines = conditions(&deployment);
    let labels = deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    let selector: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = pods.list(&ListParams::default().labels(&selector.join(","))).await.map(|list| list.items).unwrap_or_default();
    let mut alike: BTreeMap<Vec<String>, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for pod in found.iter().filter(|pod| !is_ready(pod)) {
        let mut told = pod_lines(pod);
        let events = events(client, pod).await;
        told.extend(events.iter().filter(|event| is_news(event, &told)).map(|event| format!("event: {event}")).collect::<Vec<_>>());
        for container in crashed(pod) {
            told.extend(log(&pods, &pod.name_any(), &container).await);
        }
        let name = pod.name_any();
        let (_, names) = alike.entry(told.iter().map(|line| likeness(line, &name)).collect()).or_insert_with(|| (told, vec![]));
        names.push(name);
    }
    for (told, names) in alike.into_values() {
        lines.push(format!("{} {}:", if names.len() == 1 { "pod" } else { "pods" }, names.join(", ")));
        lines.extend(told.into_iter().map(|line| format!("  {}", line.replace('\n', "\n  "))));
    }
    lines
}

/// What of a line is the same for another replica that fails alike: not its name, not its address.
fn likeness(line: &str, pod: &str) -> String {
    line.replace(pod, "").chars().filter(|character| !character.is_ascii_digit()).collect()
}

/// Whether an event says more than the containers' states, which repeat what it is about.
fn is_news(event: &str, told: &[String]) -> bool {
    let last = event.rsplit(": ").next().unwrap_or(event);
    !told.iter().any(|line| line.contains(last))
}

/// What the Deployment itself says is wrong, as a pod that admission refuses.
fn conditions(deployment: &Deployment) -> Vec<String> {
    let conditions = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let bad = conditions.filter(|condition| match condition.type_.as_str() {
        "ReplicaFailure" => condition.status == "True",
        "Progressing" => condition.status == "False",
        _ => false,
    });
    bad.map(|condition| {
        format!("{}: {}", condition.reason.as_deref().unwrap_or(&condition.type_), condition.message.as_deref().unwrap_or_default())
    })
    .collect()
}

/// Whether a pod takes requests.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten()))
}

/// What a pod's status says of why it is not ready.
pub fn pod_lines(pod: &Pod) -> Vec<String> {
    let mut lines = Vec::new();
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions.filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False") {
        lines.push(format!("no node for it: {}", condition.message.as_deref().unwrap_or_default()));
    }
    for container in statuses(pod) {
        let name = &container.name;
        let state = container.state.clone().unwrap_or_default();
        if let Some(waiting) = state.waiting {
            let reason = waiting.reason.unwrap_or_default();
            // One behind another waits for that one.
            if reason != "PodInitializing" {
                let message = waiting.message.map(|message| format!(": {message}")).unwrap_or_default();
                lines.push(format!("container {name} waits: {reason}{message}"));
            }
        }
        let last = container.last_state.clone().and_then(|last| last.terminated);
        if let Some(ended) = state.terminated.or(last).filter(|ended| ended.exit_code != 0) {
            let reason = ended.reason.unwrap_or_default();
            lines.push(format!("container {name} ended with {} ({reason}), {} restarts", ended.exit_code, container.restart_count));
        } else if state.running.is_some() && !container.ready {
            lines.push(format!("container {name} runs and is not ready"));
        }
    }
    if lines.is_empty() {
        lines.push(format!("phase {}", pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("unknown")));
    }
    lines
}

fn crashed(pod: &Pod) -> Vec<String> {
    let ended = |container: &&ContainerStatus| {
        let states = [&container.state, &container.last_state];
        states.into_iter().flatten().filter_map(|state| state.terminated.as_ref()).any(|ended| ended.exit_code != 0)
    };
    statuses(pod).filter(ended).map(|container| container.name.clone()).collect()
}

async fn events(client: &Client, pod: &Pod) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params = ListParams::default().fields(&format!("involvedObject.name={},type=Warning", pod.name_any()));
    told(events.list(&params).await.map(|list| list.items).unwrap_or_default())
}

/// The last different ones.
fn told(mut events: Vec<Event>) -> Vec<String> {
    events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0)));
    let mut texts: Vec<String> = Vec::new();
    for event in events.into_iter().rev() {
        let text = format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default().trim_end());
        if !texts.contains(&text) && texts.len() < EVENTS {
            texts.push(text);
        }
    }
    texts.reverse();
    texts
}

async fn log(pods: &Api<Pod>, pod: &str, container: &str) -> Vec<String> {
    let params = |previous| LogParams { container: Some(container.into()), tail_lines: Some(LINES), previous, ..LogParams::default() };
    let mut text = pods.logs(pod, &params(false)).await.unwrap_or_default();
    if text.is_empty() {
        text = pods.logs(pod, &params(true)).await.unwrap_or_default();
    }
    text.lines().map(|line| format!("log of {container}: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "weir-0"}, "status": status})).unwrap()
    }

    fn container(state: Value, last: Value) -> Value {
        json!({"name": "weir", "image": "", "imageID": "", "ready": false, "restartCount": 4, "state": state, "lastState": last})
    }

    #[test]
    fn a_pod_says_why_it_is_not_ready() {
        let unscheduled = json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        let crash = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let waits = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        for (status, expected) in [
            (json!({"conditions": unscheduled}), vec!["no node for it: 0/3 nodes are available"]),
            (
                json!({"containerStatuses": [container(waits("ImagePullBackOff", "Back-off pulling image"), json!({}))]}),
                vec!["container weir waits: ImagePullBackOff: Back-off pulling image"],
            ),
            (
                json!({"containerStatuses": [container(waits("CrashLoopBackOff", "back-off 40s"), crash)]}),
                vec!["container weir waits: CrashLoopBackOff: back-off 40s", "container weir ended with 1 (Error), 4 restarts"],
            ),
            (json!({"containerStatuses": [container(json!({"running": {}}), json!({}))]}), vec!["container weir runs and is not ready"]),
            (
                json!({"phase": "Pending", "initContainerStatuses": [container(json!({"waiting": {"reason": "PodInitializing"}}), json!({}))]}),
                vec!["phase Pending"],
            ),
        ] {
            assert_eq!(pod_lines(&pod(status)), expected);
        }
    }

    #[test]
    fn an_event_that_repeats_a_containers_state_is_no_news() {
        let told = ["container weir waits: ErrImagePull: no host 10.0.0.1:53".to_string()];
        assert!(!is_news("Failed: Failed to pull: no host 10.0.0.1:53", &told) && !is_news("Failed: Error: ErrImagePull", &told));
        assert!(is_news("FailedMount: configmap \"weir-ca\" not found", &told));
        assert_eq!(likeness("a-x1 at 10.0.0.1", "a-x1"), likeness("a-y2 at 10.0.3.4", "a-y2"));
    }

    #[test]
    fn of_events_the_last_different_ones_are_told() {
        let event = |second: u32, reason: &str| -> Event {
            let time = format!("2026-01-01T00:00:0{second}Z");
            serde_json::from_value(json!({"metadata": {}, "involvedObject": {}, "lastTimestamp": time, "reason": reason, "message": "m\n"}))
                .unwrap()
        };
        let events = vec![event(5, "E"), event(1, "A"), event(2, "B"), event(3, "C"), event(4, "E")];
        assert_eq!(told(events), ["B: m", "C: m", "E: m"]);
    }
}
