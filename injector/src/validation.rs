//! Whether an object may be taken: the analysis that `weir analyze` does, before the object is there.

use crate::ads::service::Ads;
use crate::kubernetes::kinds::concern;
use crate::world::World;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::mesh::{self, Options};
use weir_mesh::object::read_value;

/// What looks for mistakes, cheap to clone.
#[derive(Clone)]
pub struct Validator {
    served: watch::Receiver<Option<Ads>>,
    options: Arc<Options>,
    /// One object at a time: the mesh is built for each.
    turn: Arc<Semaphore>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why the object would be rejected.
    pub errors: Vec<String>,
    /// What of it would have no effect, or one that is hardly wanted.
    pub warnings: Vec<String>,
}

impl Validator {
    /// Among the objects that are served.
    pub fn new(served: watch::Receiver<Option<Ads>>, options: Options) -> Validator {
        Validator { served, options: Arc::new(options), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Judges an object as its user wrote it. Before all others are read there is nothing to judge it by.
    pub async fn judge(&self, object: Value) -> Judgement {
        let world = self.served.borrow().as_ref().map(|ads| ads.world.borrow().clone());
        let (Some(world), Ok(_turn)) = (world, self.turn.acquire().await) else { return Judgement::default() };
        let options = self.options.clone();
        let judged = tokio::task::spawn_blocking(move || judge(&world, &options, object)).await;
        judged.inspect_err(|error| tracing::error!("validating an object failed: {error}")).unwrap_or_default()
    }
}

fn judge(world: &World, options: &Options, object: Value) -> Judgement {
    // Who deletes an object changes it first: its finalizers must be able to go, whatever it is.
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Judgement::default();
    }
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_string();
    let Some(object) = concern(&text("apiVersion"), &text("kind"), object) else { return Judgement::default() };
    let mut read = read_value(object);
    let names: Vec<_> = read.objects.iter().map(|object| object.key.to_string()).collect();
    if read.rejected.is_empty() {
        let added: Vec<_> = read.objects.drain(..).map(|object| (object.key.clone(), Arc::new(object))).collect();
        let objects = world.objects.with(added.iter().map(|(key, object)| (key, Some(object))));
        let (_, findings) = mesh::build(&objects, options);
        read.findings.extend(findings.into_iter().filter(|finding| names.contains(&finding.object)));
    }
    let of = |severity| read.findings.iter().filter(move |finding| finding.severity == severity).map(shown).collect();
    Judgement { errors: of(Severity::Error), warnings: of(Severity::Warning) }
}

fn shown(finding: &Finding) -> String {
    match finding.field.as_str() {
        "" => finding.message.clone(),
        field => format!("{field}: {}", finding.message),
    }
}

#[cfg(test)]
impl Default for Validator {
    fn default() -> Self {
        Validator::new(watch::channel(None).1, tests::options())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_mesh::mesh::Pulls;

    pub fn options() -> Options {
        Options { pulls: Pulls::Assumed, ..Default::default() }
    }

    fn judged(object: Value) -> Judgement {
        judge(&World::of([]), &options(), object)
    }

    fn route(spec: Value) -> Value {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v", "namespace": "n"}, "spec": spec,
               "status": {"conditions": 7}})
    }

    #[test]
    fn an_invalid_object_is_refused_and_a_doubtful_one_warned_of() {
        let invalid = judged(route(json!({"hosts": ["a"], "http": [{"timeout": "soon", "route": [{"destination": {"host": "a"}}]}]})));
        assert!(invalid.errors.len() == 1 && invalid.errors[0].contains("spec.http[0].timeout"), "{invalid:?}");
        let mut leaving = route(json!({"hosts": []}));
        assert_ne!(judged(leaving.clone()), Judgement::default());
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(judged(leaving), Judgement::default());
        let doubtful = judged(route(json!({"hosts": ["a"], "http": [{"route": [{"destination": {"host": "nowhere"}}]}]})));
        assert!(doubtful.errors.is_empty() && doubtful.warnings.iter().any(|text| text.contains("nowhere")), "{doubtful:?}");
        for nothing in [json!(null), json!({"kind": "VirtualService"}), json!({"metadata": {}})] {
            judged(nothing);
        }
    }
}
