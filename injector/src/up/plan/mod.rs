//! What should run: the user's objects in, the pods, Services and gateways of this machine out. Pure.

pub mod container;
pub mod env;
pub mod gateway;
mod image;
mod readiness;
pub mod zone;

use container::Container;
use gateway::Gateway;
use k8s_openapi::api::core::v1::{PodSpec, Service as KubeService, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use weir_mesh::object::{Kind, Objects};
use zone::Zone;

/// Labels of a pod.
pub type Labels = BTreeMap<String, String>;

/// Settings that come from no object.
#[derive(Clone, Debug)]
pub struct Options {
    /// Over which zones replicas are spread that ask for none.
    pub zones: Vec<Zone>,
    /// The program of each image that has one.
    pub images: BTreeMap<String, String>,
}

/// What stands beside the app in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// An Envoy through which all its traffic goes.
    Sidecar,
    /// An Envoy instead of an app.
    Gateway,
    /// Nothing: label or annotation `sidecar.istio.io/inject: "false"`, or host network.
    None,
}

/// A pod that should run. Two that are equal need no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// What it is the replica of, and its number: its name, until a changed template needs a second one beside it.
    pub slot: String,
    /// The name of its Deployment, else its own.
    pub owner: String,
    /// What stands beside the app.
    pub proxy: Proxy,
    /// The named TCP ports of Envoy's own container, where a manifest has one.
    pub proxy_ports: Vec<(Option<String>, u16)>,
    /// Its labels, without those of its zone.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// Where it runs.
    pub zone: Zone,
    /// Its service account.
    pub service_account: String,
    /// The app's containers.
    pub containers: Vec<Container>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// A Service: its name resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How its name resolves.
    pub address: Address,
    /// Which pods are behind it.
    pub selector: Labels,
}

/// How a Service's name resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// To an address that Weir chooses.
    Any,
    /// To the address that the Service names.
    Fixed(Ipv4Addr),
    /// To its ready pods.
    Headless,
    /// To nothing here: ExternalName.
    Elsewhere,
}

/// All that should run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The pods, those of gateways too.
    pub pods: Vec<Pod>,
    /// The Services.
    pub services: Vec<Service>,
    /// The gateways that are reached from outside.
    pub gateways: Vec<Gateway>,
    /// What is worth telling the user.
    pub notes: Vec<String>,
}

/// Plans what `objects` ask for.
pub fn plan(objects: &Objects, options: &Options) -> Plan {
    let services: Vec<(Service, ServiceSpec)> = objects
        .iter()
        .filter_map(|object| match &object.kind {
            Kind::Service(service) => {
                Some((planned_service(&object.key.namespace, &object.key.name, service), service.spec.clone().unwrap_or_default()))
            }
            _ => None,
        })
        .collect();
    let mut notes = Vec::new();
    let mut pods = Vec::new();
    for object in objects.iter() {
        let (namespace, name) = (&object.key.namespace, &object.key.name);
        let planner = Planner { object: object.key.to_string(), namespace, services: &services, options };
        match &object.kind {
            Kind::Deployment(deployment) => {
                let spec = deployment.spec.clone().unwrap_or_default();
                let replicas = spec.replicas.unwrap_or(1);
                if replicas <= 0 {
                    notes.push(format!("{}: 0 replicas, so nothing runs", object.key));
                }
                let meta = spec.template.metadata.unwrap_or_default();
                let template = spec.template.spec.unwrap_or_default();
                let index = (0..replicas).filter_map(|replica| usize::try_from(replica).ok());
                pods.extend(index.map(|replica| planner.pod(format!("{name}-{replica}"), name, replica, &meta, &template, &mut notes)));
            }
            Kind::Pod(pod) => {
                pods.push(planner.pod(name.clone(), name, 0, &object.meta, &pod.spec.clone().unwrap_or_default(), &mut notes));
            }
            _ => {}
        }
    }
    let gateways = gateway::plan(objects, options, &services, &mut pods);
    make_slots_unique(&mut pods, &mut notes);
    notes.extend(image::unused(options, &pods));
    notes.sort();
    notes.dedup();
    Plan { pods, services: services.into_iter().map(|(service, _)| service).collect(), gateways, notes }
}

/// Pods are told apart by their slots; a Pod `web-0` beside a Deployment `web` is called otherwise here.
fn make_slots_unique(pods: &mut [Pod], notes: &mut Vec<String>) {
    let mut taken: BTreeSet<(String, String)> = pods.iter().map(|pod| (pod.namespace.clone(), pod.slot.clone())).collect();
    let mut seen = BTreeSet::new();
    for pod in pods {
        if seen.insert((pod.namespace.clone(), pod.slot.clone())) {
            continue;
        }
        let names = (2..).map(|number: u32| format!("{}-{number}", pod.slot));
        let free = names.map(|name| (pod.namespace.clone(), name)).find(|name| !taken.contains(name));
        if let Some((namespace, name)) = free {
            notes.push(format!("two pods of namespace {namespace} have the name {}: one is {name} here", pod.slot));
            taken.insert((namespace.clone(), name.clone()));
            seen.insert((namespace, name.clone()));
            pod.slot = name;
        }
    }
}

struct Planner<'a> {
    object: String,
    namespace: &'a str,
    services: &'a [(Service, ServiceSpec)],
    options: &'a Options,
}

impl Planner<'_> {
    fn pod(&self, slot: String, owner: &str, replica: usize, meta: &ObjectMeta, spec: &PodSpec, notes: &mut Vec<String>) -> Pod {
        let labels = meta.labels.clone().unwrap_or_default();
        let annotations = meta.annotations.clone().unwrap_or_default();
        let zone = zone::of(&labels, replica, &self.options.zones);
        let selecting: Vec<_> = self
            .services
            .iter()
            .filter(|(service, _)| service.namespace == self.namespace && selects(&service.selector, &labels))
            .collect();
        // The one that is named like the app, so that another Service beside it does not make this another pod.
        let own = selecting.iter().find(|(service, _)| labels.get("app") == Some(&service.name)).or(selecting.first());
        let context = container::Context {
            object: &self.object,
            service: own.map(|(service, _)| service.name.as_str()),
            version: labels.get("version").map(String::as_str),
            zone: &zone,
            target_ports: selecting.iter().flat_map(|(_, spec)| container::target_ports(spec)).collect(),
            images: &self.options.images,
        };
        let containers = container::plan(&context, spec, notes);
        let refuses = |of: &Labels| of.get("sidecar.istio.io/inject").is_some_and(|value| value == "false");
        let proxy = if container::is_gateway(&annotations, spec) {
            Proxy::Gateway
        } else if refuses(&labels) || refuses(&annotations) || spec.host_network == Some(true) {
            Proxy::None
        } else {
            Proxy::Sidecar
        };
        Pod {
            namespace: self.namespace.into(),
            slot,
            owner: owner.into(),
            proxy,
            proxy_ports: container::proxy_ports(spec),
            labels,
            annotations,
            zone,
            service_account: spec.service_account_name.clone().unwrap_or_else(|| "default".into()),
            containers,
            grace: Duration::from_secs(spec.termination_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30)),
        }
    }
}

fn planned_service(namespace: &str, name: &str, service: &KubeService) -> Service {
    let spec = service.spec.as_ref();
    let address = match spec.and_then(|spec| spec.cluster_ip.as_deref()) {
        _ if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") => Address::Elsewhere,
        Some("None") => Address::Headless,
        Some(ip) => ip.parse().map_or(Address::Any, Address::Fixed),
        None => Address::Any,
    };
    let selector = spec.and_then(|spec| spec.selector.clone()).unwrap_or_default();
    Service { namespace: namespace.into(), name: name.into(), address, selector }
}

/// Whether a selector matches labels. An empty one matches nothing, as in a Service.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    !selector.is_empty() && selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Whether a port is TCP's, as one without a protocol is.
fn is_tcp(protocol: &Option<String>) -> bool {
    protocol.as_ref().is_none_or(|protocol| protocol == "TCP")
}

#[cfg(test)]
mod tests;
