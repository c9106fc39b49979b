//! The objects of a cluster, listed once, and files laid over them.

use super::injection;
use crate::files::Texts;
use crate::kubernetes::kinds::{WATCHED, Watched, concern};
use crate::kubernetes::list::{self, CONTROL_PLANE};
use crate::kubernetes::watch::served;
use crate::world::World;
use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_mesh::finding::Finding;
use weir_mesh::inject::Values;
use weir_mesh::mesh::Options;
use weir_mesh::object::{Key, Object, Objects, Read, read_value};

/// What was read.
#[derive(Debug, Default)]
pub struct Cluster {
    objects: Objects,
    findings: Vec<Finding>,
    /// The DNS domain, as far as the control plane's settings could be read.
    pub domain: String,
}

/// The objects of one kind.
#[derive(Debug, Default)]
struct Listed {
    /// The items of a list do not say it.
    api_version: String,
    values: Vec<Value>,
}

/// Lists all kinds that make the mesh.
pub async fn read(client: &Client) -> Result<Cluster> {
    let lists = try_join_all(WATCHED.iter().map(|kind| of_kind(client, kind))).await?;
    Ok(Cluster::of(WATCHED.iter().map(|kind| kind.kind).zip(lists).collect(), &settings(client).await))
}

async fn of_kind(client: &Client, kind: &Watched) -> Result<Listed> {
    let context = || format!("reading the cluster's objects of the kind {}", kind.kind);
    let Some(resource) = served(client, kind).await.with_context(context)? else { return Ok(Listed::default()) };
    let objects: Vec<DynamicObject> = list::all(&Api::all_with(client.clone(), &resource), kind.labels).await.with_context(context)?;
    Ok(Listed { api_version: resource.api_version, values: objects.into_iter().map(serde_json::to_value).collect::<Result<_, _>>()? })
}

/// What decides about sidecars: the control plane's settings, or the defaults where they are not there or not ours to read.
async fn settings(client: &Client) -> Values {
    let maps = list::all(&Api::<ConfigMap>::all(client.clone()), CONTROL_PLANE).await.unwrap_or_default();
    let read = |map: &ConfigMap| Values::read(map.data.as_ref()?.get("config.yaml")?).ok();
    maps.iter().find_map(read).unwrap_or_default()
}

impl Cluster {
    fn of(lists: BTreeMap<&'static str, Listed>, settings: &Values) -> Cluster {
        let of_kind = |kind| lists.get(kind).map(|listed| listed.values.as_slice()).unwrap_or_default();
        let mut findings = injection::check(of_kind("Namespace"), of_kind("Pod"), settings);
        let mut objects = Vec::new();
        for (kind, Listed { api_version, values }) in lists {
            for value in values.into_iter().filter_map(|value| concern(&api_version, kind, value)) {
                let mut read = read_value(value);
                objects.append(&mut read.objects);
                findings.append(&mut read.findings);
            }
        }
        let domain = settings.proxy.cluster_domain.clone();
        Cluster { objects: Objects::default().update(Read { objects, ..Read::default() }), findings, domain }
    }

    /// The same as it would be after applying the files.
    pub fn with(mut self, texts: &Texts) -> Cluster {
        let mut read = texts.read();
        let layer: BTreeMap<Key, Arc<Object>> = read.objects.into_iter().map(|object| (object.key.clone(), Arc::new(object))).collect();
        let replaced: BTreeSet<_> = layer.keys().map(ToString::to_string).collect();
        self.findings.retain(|finding| !replaced.contains(&finding.object));
        self.findings.append(&mut read.findings);
        let removed = read.deleted.iter().map(|key| (key, None));
        self.objects = self.objects.with(removed.chain(layer.iter().map(|(key, object)| (key, Some(object)))));
        self
    }

    /// What it means.
    pub fn world(self, options: &Options) -> World {
        World::new(self.objects, self.findings, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Sources;
    use serde_json::json;

    const ROUTE: &str = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web, namespace: shop},
                          spec: {hosts: [web], http: [{route: [{destination: {host: HOST}}]}]}}";

    fn cluster() -> Cluster {
        let service = json!({"metadata": {"name": "web", "namespace": "shop"},
                             "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80}]}});
        let rule = json!({"metadata": {"name": "bad", "namespace": "shop"},
                          "spec": {"host": ""}});
        let namespace = json!({"metadata": {"name": "shop"}});
        let listed = |api_version: &str, value| Listed { api_version: api_version.into(), values: vec![value] };
        let rule = listed("networking.istio.io/v1", rule);
        let lists = [("Namespace", listed("v1", namespace)), ("Service", listed("v1", service)), ("DestinationRule", rule)];
        Cluster::of(lists.into(), &Values::default())
    }

    fn texts(folder: &tempfile::TempDir, text: &str) -> Texts {
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, text).unwrap();
        Sources(vec![path]).read_all().unwrap()
    }

    fn codes(cluster: Cluster) -> Vec<(String, Option<&'static str>)> {
        let options = Options::default();
        cluster.world(&options).findings.iter().map(|finding| (finding.object.clone(), finding.code)).collect()
    }

    #[test]
    fn files_are_judged_by_what_the_cluster_has() {
        let folder = tempfile::tempdir().unwrap();
        let bad = ("DestinationRule shop/bad".to_string(), Some("IST0106"));
        assert_eq!(codes(cluster()), std::slice::from_ref(&bad));
        assert_eq!(codes(cluster().with(&texts(&folder, &ROUTE.replace("HOST", "web")))), std::slice::from_ref(&bad));
        let wrong = codes(cluster().with(&texts(&folder, &ROUTE.replace("HOST", "wbe"))));
        assert_eq!(wrong, [bad, ("VirtualService shop/web".to_string(), Some("IST0101"))]);
    }

    #[test]
    fn a_file_that_mends_an_object_of_the_cluster_ends_the_finding_about_it() {
        let folder = tempfile::tempdir().unwrap();
        let mended =
            "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: bad, namespace: shop}, spec: {host: web}}";
        assert_eq!(codes(cluster().with(&texts(&folder, mended))), []);
    }
}
