//! An Event at the object of every mistake, when it is made.

use super::{named, shortened};
use crate::world::World;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::Value;
use std::collections::BTreeSet;
use weir_mesh::finding::{Finding, Severity};

/// Events that are made at most in one look.
const AT_MOST: usize = 20;

/// What was told already, while it stands.
pub struct Events {
    recorder: Recorder,
    told: BTreeSet<String>,
}

impl Events {
    /// For this replica.
    pub fn new(client: Client, replica: &str) -> Events {
        let reporter = Reporter { controller: "weir".into(), instance: Some(replica.into()) };
        Events { recorder: Recorder::new(client, reporter), told: BTreeSet::new() }
    }

    /// Another replica tells from now on.
    pub fn forget(&mut self) {
        self.told.clear();
    }

    /// Tells what is new.
    pub async fn tell(&mut self, world: &World) {
        let mistakes = || world.findings.iter().filter(|finding| finding.severity > Severity::Info && !finding.object.is_empty());
        let stand: BTreeSet<String> = mistakes().map(ToString::to_string).collect();
        self.told.retain(|text| stand.contains(text));
        let news: Vec<_> = mistakes().filter(|finding| !self.told.contains(&finding.to_string())).take(AT_MOST).collect();
        if news.is_empty() {
            return;
        }
        let objects = named(world, &news.iter().map(|finding| finding.object.as_str()).collect());
        for finding in news {
            self.told.insert(finding.to_string());
            // What is wrong with a thing that is not there is told elsewhere.
            let Some(object) = objects.get(&finding.object) else { continue };
            if let Err(error) = self.recorder.publish(&event(finding), &reference(object)).await {
                tracing::warn!("an Event at {}: {error}", finding.object);
            }
        }
    }
}

fn event(finding: &Finding) -> Event {
    let note = match finding.field.as_str() {
        "" => finding.message.clone(),
        field => format!("{field}: {}", finding.message),
    };
    let rejected = finding.severity == Severity::Error;
    Event {
        type_: EventType::Warning,
        reason: finding.code.unwrap_or(if rejected { "Invalid" } else { "Warning" }).into(),
        note: Some(shortened(note)),
        action: if rejected { "Rejected" } else { "Analyzed" }.into(),
        secondary: None,
    }
}

fn reference(object: &Value) -> ObjectReference {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_string);
    ObjectReference {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        uid: text("/metadata/uid"),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_mesh::finding::Place;

    #[test]
    fn an_event_names_the_field_and_its_object_by_uid() {
        let finding = Finding {
            severity: Severity::Error,
            code: Some("IST0106"),
            object: "VirtualService n/v".into(),
            field: "spec.http".into(),
            place: Place::default(),
            message: "é".repeat(2000),
            snippet: String::new(),
        };
        let made = event(&finding);
        assert_eq!((made.reason.as_str(), made.action.as_str()), ("IST0106", "Rejected"));
        let note = made.note.unwrap();
        assert!(note.starts_with("spec.http: é") && note.len() <= 1024, "{}", note.len());
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v", "namespace": "n", "uid": "u"}});
        let reference = reference(&object);
        assert_eq!((reference.uid.as_deref(), reference.namespace.as_deref()), (Some("u"), Some("n")));
    }
}
