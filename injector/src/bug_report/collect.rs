//! What goes into a bug report: objects, pods, logs and the control plane's own pages. What cannot be had is noted, and the rest goes on.

use super::archive::Archive;
use crate::canary::page as canaries;
use crate::install::installed::{By, Installed};
use crate::install::record::Record;
use crate::install::reference::Reference;
use crate::install::why::is_ready;
use crate::kubernetes::access::message;
use crate::kubernetes::{forward, list, proxied};
use anyhow::Result;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, LogParams, TypeMeta};
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::Value;

/// So many pods of users', those that are not ready first.
const PODS: usize = 20;
/// The end of each container's log.
const LINES: i64 = 5_000;
const BYTES: i64 = 4 << 20;
/// The control plane's pages, and Envoy's, both on loopback.
const DEBUG: u16 = 15013;
const ADMIN: u16 = 15000;
const ENVOY_PAGES: [(&str, &str); 4] = [
    ("config_dump.json", "/config_dump?include_eds"),
    ("clusters.txt", "/clusters"),
    ("stats.txt", "/stats?usedonly"),
    ("server_info.json", "/server_info"),
];

fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// With its kind, which an item of a list does not say.
fn named(mut object: DynamicObject, resource: &ApiResource) -> Value {
    object.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
    value(&object)
}

/// All objects of Istio's kinds, whether Weir reads them or not.
pub async fn istio(client: &Client, archive: &mut Archive) -> Result<()> {
    let definitions = match list::all::<CustomResourceDefinition>(&Api::all(client.clone()), "").await {
        Ok(definitions) => definitions,
        Err(error) => return archive.lacks("istio", error),
    };
    for definition in definitions.iter().filter(|definition| definition.spec.group.ends_with(".istio.io")) {
        let (group, names) = (&definition.spec.group, &definition.spec.names);
        let Some(version) = definition.spec.versions.iter().find(|version| version.served) else { continue };
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, &version.name, &names.kind), &names.plural);
        let file = format!("istio/{}.{group}.yaml", names.plural);
        match list::all::<DynamicObject>(&Api::all_with(client.clone(), &resource), "").await {
            Ok(objects) => archive.objects(&file, objects.into_iter().map(|object| named(object, &resource)))?,
            Err(error) => archive.lacks(&file, error)?,
        }
    }
    Ok(())
}

/// What Weir was installed with, and the nodes with their zones.
pub async fn weir(client: &Client, installed: &Installed, archive: &mut Archive) -> Result<()> {
    let mut references = match &installed.by {
        Some(By::Weir(record)) => record.objects.clone(),
        _ => {
            crate::install::render(&crate::install::read(None, &[], &[])?.values, &installed.namespace)?.iter().map(Reference::of).collect()
        }
    };
    references.push(Record::reference(&installed.namespace));
    for reference in references.iter().filter(|reference| reference.kind != "Secret") {
        let file = format!("weir/{}-{}.yaml", reference.kind.to_lowercase(), reference.name);
        match reference.api(client).get(&reference.name).await {
            Ok(object) => archive.objects(&file, [value(&object)])?,
            Err(error) => archive.lacks(&file, message(&error))?,
        }
    }
    match list::all::<Node>(&Api::all(client.clone()), "").await {
        Ok(nodes) => archive.objects(
            "nodes.yaml",
            nodes.iter().map(value).map(|mut node| {
                node.pointer_mut("/status/images").map(Value::take);
                node
            }),
        )?,
        Err(error) => archive.lacks("nodes.yaml", error)?,
    }
    match list::all::<Event>(&Api::namespaced(client.clone(), &installed.namespace), "").await {
        Ok(events) => archive.objects("weir/events.yaml", events.iter().map(value))?,
        Err(error) => archive.lacks("weir/events.yaml", error)?,
    }
    Ok(())
}

/// Weir's pods and some with sidecars: as they are described, what they log, and what they answer.
pub async fn pods(client: &Client, namespace: &str, archive: &mut Archive) -> Result<()> {
    let all = match proxied::pods(client).await {
        Ok(all) => all,
        Err(error) => return archive.lacks("pods", error),
    };
    let (own, users): (Vec<_>, Vec<_>) = all.into_iter().partition(|pod| pod.namespace().as_deref() == Some(namespace));
    let mut users: Vec<_> = users.into_iter().filter(|pod| proxied::images(pod).is_some()).collect();
    users.sort_by_key(is_ready);
    if users.len() > PODS {
        archive.lacks("pods", format!("of {} pods with sidecars only {PODS} are in here, those that are not ready first", users.len()))?;
    }
    for pod in own.iter().chain(users.iter().take(PODS)) {
        let is_own = pod.namespace().as_deref() == Some(namespace);
        describe(client, pod, archive).await?;
        logs(client, pod, is_own, archive).await?;
        let is_plane = is_own && pod.labels().get("app").is_some_and(|app| app == "weir");
        if is_plane {
            page(client, pod, DEBUG, "/debug/syncz", "syncz.json", archive).await?;
            page(client, pod, DEBUG, canaries::PAGE, "canaries.json", archive).await?;
        } else if proxied::images(pod).is_some() {
            for (file, path) in ENVOY_PAGES {
                page(client, pod, ADMIN, path, file, archive).await?;
            }
        }
    }
    Ok(())
}

/// `shop/a-0`
fn place(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

async fn describe(client: &Client, pod: &Pod, archive: &mut Archive) -> Result<()> {
    let events: Api<Event> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params = kube::api::ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any()));
    let events = events.list(&params).await.map(|events| events.items).unwrap_or_default();
    archive.objects(&format!("pods/{}/pod.yaml", place(pod)), std::iter::once(value(pod)).chain(events.iter().map(value)))
}

/// Of Weir's own pods all containers, of others the proxy's alone: what an app logs is nobody's business.
async fn logs(client: &Client, pod: &Pod, is_own: bool, archive: &mut Archive) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let is_wanted = |name: &str| is_own || [proxied::INIT, proxied::PROXY].contains(&name);
    for name in containers.map(|container| &container.name).filter(|name| is_wanted(name)) {
        for (previous, suffix) in [(false, ""), (true, ".previous")] {
            let file = format!("pods/{}/{name}{suffix}.log", place(pod));
            let params = LogParams {
                container: Some(name.clone()),
                tail_lines: Some(LINES),
                limit_bytes: Some(BYTES),
                timestamps: true,
                previous,
                ..LogParams::default()
            };
            match api.logs(&pod.name_any(), &params).await {
                Ok(text) => archive.text(&file, &text)?,
                // Most have none.
                Err(_) if previous => {}
                Err(error) => archive.lacks(&file, message(&error))?,
            }
        }
    }
    Ok(())
}

fn runs(pod: &Pod, container: &str) -> bool {
    let statuses =
        pod.status.iter().flat_map(|it| it.init_container_statuses.iter().flatten().chain(it.container_statuses.iter().flatten()));
    statuses.into_iter().any(|it| it.name == container && it.state.as_ref().is_some_and(|state| state.running.is_some()))
}

async fn page(client: &Client, pod: &Pod, port: u16, path: &str, name: &str, archive: &mut Archive) -> Result<()> {
    let file = format!("pods/{}/{name}", place(pod));
    if !runs(pod, if port == DEBUG { "weir" } else { proxied::PROXY }) {
        return archive.lacks(&file, "its container does not run");
    }
    match forward::get(client, &pod.namespace().unwrap_or_default(), &pod.name_any(), port, path).await {
        Ok(body) => archive.text(&file, &String::from_utf8_lossy(&body)),
        Err(error) => archive.lacks(&file, format!("{error:#}")),
    }
}
