//! The name of an object in a cluster: how it is recorded, said and found.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// `apps/v1`
    pub api_version: String,
    /// `Deployment`
    pub kind: String,
    /// None for what belongs to the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// Of an object; what it does not say is empty.
    pub fn of(object: &Value) -> Reference {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_string);
        Reference {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// Whether both name the same object, be it in different versions of its API.
    pub fn is_same(&self, other: &Reference) -> bool {
        let key = |it: &Reference| (it.group().to_string(), it.kind.clone(), it.namespace.clone(), it.name.clone());
        key(self) == key(other)
    }

    /// Its API group; empty for the core.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// How the API server names its kind.
    pub fn resource(&self) -> ApiResource {
        let version = self.api_version.rsplit('/').next().unwrap_or_default();
        ApiResource::from_gvk(&GroupVersionKind::gvk(self.group(), version, &self.kind))
    }

    /// Where it is read and written.
    pub fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource()),
            None => Api::all_with(client.clone(), &self.resource()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_an_object_however_its_version_is_written() {
        let of =
            |version: &str, kind: &str, metadata: Value| Reference::of(&json!({"apiVersion": version, "kind": kind, "metadata": metadata}));
        let deployment = of("apps/v1", "Deployment", json!({"namespace": "mesh", "name": "weir"}));
        assert_eq!((deployment.to_string().as_str(), deployment.group()), ("Deployment mesh/weir", "apps"));
        let service = of("v1", "Service", json!({"namespace": "mesh", "name": "weir"}));
        assert_eq!((service.resource().plural.as_str(), service.group()), ("services", ""));
        let policy = of("networking.k8s.io/v1", "NetworkPolicy", json!({"name": "weir"}));
        assert_eq!((policy.to_string().as_str(), policy.resource().plural.as_str()), ("NetworkPolicy weir", "networkpolicies"));
        let scaler = |version| of(version, "HorizontalPodAutoscaler", json!({"namespace": "mesh", "name": "weir"}));
        assert!(scaler("autoscaling/v2").is_same(&scaler("autoscaling/v3")) && !deployment.is_same(&service));
    }
}
