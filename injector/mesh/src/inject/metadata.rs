//! Labels that say what an injected pod belongs to.

use serde_json::Value;

/// Istio's labels for the name and version that telemetry shows.
pub const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
/// The version.
pub const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";

/// The labels that a pod is to have and has not. `owner` is the name of the object that the pod template is in.
pub(super) fn canonical_labels(pod: &Value, owner: Option<&str>) -> Vec<(&'static str, String)> {
    let label = |name: &str| label(pod, name).filter(|value| !value.is_empty()).map(str::to_string);
    let name = || label("app.kubernetes.io/name").or_else(|| label("app")).or_else(|| owner.map(str::to_string)).or_else(|| owner_of(pod));
    let revision = || label("app.kubernetes.io/version").or_else(|| label("version")).unwrap_or_else(|| "latest".into());
    let mut labels = Vec::new();
    if label(CANONICAL_NAME).is_none() {
        labels.extend(name().filter(|name| is_label_value(name)).map(|name| (CANONICAL_NAME, name)));
    }
    if label(CANONICAL_REVISION).is_none() {
        labels.push((CANONICAL_REVISION, revision()));
    }
    labels
}

fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// The name of the workload that a pod belongs to, by Istio's rules: that of the Deployment or Rollout rather than of its ReplicaSet,
/// of the CronJob rather than of its Job.
fn owner_of(pod: &Value) -> Option<String> {
    let metadata = pod.get("metadata")?;
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    let is_controller = |owner: &&Value| owner.get("controller") == Some(&Value::Bool(true));
    let Some(owner) = owners.and_then(|owners| owners.iter().find(is_controller)) else {
        return metadata.get("name")?.as_str().map(str::to_string);
    };
    let name = owner.get("name")?.as_str()?;
    let without_hash = |hash: &str| name.strip_suffix(label(pod, hash)?)?.strip_suffix('-');
    let workload = match owner.get("kind")?.as_str()? {
        "ReplicaSet" => without_hash("rollouts-pod-template-hash").or_else(|| without_hash("pod-template-hash")),
        "ReplicationController" => label(pod, "deploymentconfig"),
        "Job" => name.rsplit_once('-').filter(|(_, time)| is_time(time)).map(|(cron_job, _)| cron_job),
        _ => None,
    };
    Some(workload.filter(|name| !name.is_empty()).unwrap_or(name).into())
}

/// The time by which a CronJob names its Jobs.
fn is_time(text: &str) -> bool {
    (8..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label_value(text: &str) -> bool {
    let ends = text.as_bytes().first().zip(text.as_bytes().last());
    text.len() <= 63
        && ends.is_some_and(|(first, last)| first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
