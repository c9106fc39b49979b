//! What an installation remembers of itself, in a ConfigMap: so that an upgrade keeps the values, and nothing is removed by guess.

use super::apply::{How, apply};
use super::functions::to_yaml;
use super::reference::Reference;
use crate::kubernetes::access::message;
use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::Api;
use serde_json::{Map, Value, json};
use weir_mesh::object::documents;

/// The ConfigMap.
pub const NAME: &str = "weir-install";

/// An installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Of the program that installed last.
    pub version: String,
    /// The values that differ from the chart's, as YAML.
    pub values: String,
    /// What was brought, in the order in which it was applied.
    pub objects: Vec<Reference>,
}

impl Record {
    /// Of this program.
    pub fn new(values: &Map<String, Value>, objects: Vec<Reference>) -> Result<Record> {
        let values = if values.is_empty() { String::new() } else { to_yaml(values)? + "\n" };
        Ok(Record { version: env!("CARGO_PKG_VERSION").into(), values, objects })
    }

    /// That of a namespace.
    pub async fn find(client: &Client, namespace: &str) -> Result<Option<Record>> {
        let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(NAME).await;
        let found = found.map_err(|error| anyhow!("reading the ConfigMap {namespace}/{NAME}: {}", message(&error)))?;
        found.map(|found| read(&found).with_context(|| format!("the ConfigMap {namespace}/{NAME}"))).transpose()
    }

    /// Keeps it.
    pub async fn keep(&self, client: &Client, namespace: &str) -> Result<()> {
        let kept = apply(client, &self.object(namespace)?, How { force: true, dry_run: false }).await;
        kept.map(drop).map_err(|refused| anyhow!("ConfigMap {namespace}/{NAME}: {refused}"))
    }

    /// The values that were given and no longer are, as `a.b`.
    pub fn forgotten(&self, given: &Map<String, Value>) -> Vec<String> {
        let before = documents(&self.values).into_iter().next().and_then(Result::ok).map(|document| document.value);
        let mut lost = Vec::new();
        for (key, value) in before.iter().filter_map(Value::as_object).flatten() {
            gather(&mut lost, key, value, given.get(key));
        }
        lost
    }

    /// The ConfigMap.
    fn object(&self, namespace: &str) -> Result<Value> {
        Ok(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "weir", "app.kubernetes.io/managed-by": "weir"}},
            "data": {"version": self.version, "values.yaml": self.values, "objects.json": serde_json::to_string_pretty(&self.objects)?},
        }))
    }

    /// Its own name.
    pub fn reference(namespace: &str) -> Reference {
        Reference { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some(namespace.into()), name: NAME.into() }
    }
}

fn gather(lost: &mut Vec<String>, path: &str, before: &Value, now: Option<&Value>) {
    match (before, now) {
        (Value::Object(before), now) => {
            for (key, value) in before {
                gather(lost, &format!("{path}.{key}"), value, now.and_then(|now| now.get(key)));
            }
        }
        (_, None) => lost.push(path.into()),
        (_, Some(_)) => {}
    }
}

fn read(found: &ConfigMap) -> Result<Record> {
    let text = |key: &str| found.data.as_ref().and_then(|data| data.get(key)).cloned().with_context(|| format!("it has no {key}"));
    let objects = serde_json::from_str(&text("objects.json")?).context("objects.json")?;
    Ok(Record { version: text("version")?, values: text("values.yaml")?, objects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_longer_given_are_named() {
        let given = json!({"controlPlane": {"replicas": 3, "resources": {"limits": null}}, "revision": "a"});
        let record = Record::new(given.as_object().unwrap(), vec![]).unwrap();
        let now = json!({"controlPlane": {"replicas": 2}});
        assert_eq!(record.forgotten(now.as_object().unwrap()), ["controlPlane.resources.limits", "revision"]);
    }

    #[test]
    fn a_record_is_read_as_it_was_kept() {
        let reference = Record::reference("mesh");
        let empty = Record::new(&Map::new(), vec![]).unwrap();
        let given = json!({"controlPlane": {"replicas": 3, "resources": {"limits": null}}});
        let full = Record::new(given.as_object().unwrap(), vec![reference.clone(), Reference { namespace: None, ..reference }]).unwrap();
        for record in [empty, full] {
            let object = serde_json::from_value(record.object("mesh").unwrap()).unwrap();
            assert_eq!(read(&object).unwrap(), record);
        }
        assert!(read(&ConfigMap::default()).unwrap_err().to_string().contains("it has no objects.json"));
    }
}
