//! Builds the snapshots of many nodes: what they share is computed and encoded once.
//!
//! Nearly all that a node is told depends on its namespace and on the plugins that select it, not on the node: that is a
//! [`Common`]. What depends on the node's place, the endpoints of clusters with localities, is made once per place; and the
//! clusters and endpoints that namespaces have in common once for all.

use super::memo::Memo;
use super::{Resource, Resources, Snapshot, Type, put};
use crate::mesh::plugin::Plugin;
use crate::mesh::policy::Policies;
use crate::mesh::workload::{Locality, Workload};
use crate::mesh::{Mesh, Module};
use crate::node::{Node, Role};
use crate::xds::lookup::{Target, View};
use crate::xds::{cluster, endpoint, extension, http, inbound, listener, virtual_host};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Builds the snapshots of one mesh.
#[derive(Debug)]
pub struct Builder {
    mesh: Arc<Mesh>,
    known: Known,
}

/// What was made for earlier nodes of the same mesh.
#[derive(Debug, Default)]
pub(super) struct Known {
    source_labels: OnceLock<BTreeSet<String>>,
    policies: Memo<PolicyKey, Arc<Selected>>,
    commons: Memo<ViewKey, Arc<Common>>,
    places: Memo<PlaceKey, Arc<Vec<Arc<Resource>>>>,
    targets: Memo<TargetKey, (Arc<Resource>, Option<Arc<Resource>>)>,
}

/// All on which routes, clusters and listeners depend; two nodes with the same key are told the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ViewKey {
    role: Role,
    namespace: String,
    /// The plugins that select the node, by their place in the mesh.
    plugins: Vec<usize>,
    /// Of a sidecar the labels that some route asks for (`sourceLabels`); of a gateway, which is selected by them, all.
    labels: BTreeMap<String, String>,
    /// A gateway's ports may be named by a Service.
    named_ports: BTreeMap<String, u16>,
}

#[derive(PartialEq, Eq, Hash)]
struct PolicyKey {
    role: Role,
    namespace: String,
    plugins: Vec<usize>,
    locality: Locality,
    /// The workload's owner, where rules tell callers apart.
    caller: Option<String>,
}

#[derive(PartialEq, Eq, Hash)]
struct PlaceKey {
    view: ViewKey,
    locality: Locality,
    /// The node's labels that a `failoverPriority` names.
    labels: Vec<Option<String>>,
}

/// A target's cluster depends on nothing else.
#[derive(PartialEq, Eq, Hash)]
struct TargetKey {
    cluster: String,
    /// The rule that holds, told by its objects.
    rule: Vec<String>,
    by_address: bool,
    has_zones: bool,
    longest_try: Option<Duration>,
}

/// The policies of a workload, and their filters' resources.
#[derive(Debug)]
struct Selected {
    policies: Arc<Policies>,
    filters: Vec<Filter>,
}

/// A filter's resource.
#[derive(Debug)]
struct Filter {
    /// Its module, if proxies may lack that: then the resource is another for those.
    sha256: Option<String>,
    /// For a proxy that has the module.
    near: Arc<Resource>,
    /// For one that lacks it.
    far: Arc<Resource>,
}

/// What nodes of one [`ViewKey`] are told alike.
#[derive(Debug, Default)]
struct Common {
    resources: Resources,
    /// The targets whose endpoints depend on the node's place: host, port and subset.
    local: Vec<(String, u16, Option<String>)>,
    /// The labels of the node on which they depend besides.
    labels: BTreeSet<String>,
}

impl Builder {
    /// For the nodes of a mesh.
    pub fn new(mesh: Arc<Mesh>) -> Builder {
        Builder { mesh, known: Known::default() }
    }

    /// What `node` is told. A node that is no pod of the mesh gets an empty snapshot.
    pub fn snapshot(&self, node: &Node) -> Snapshot {
        snapshot(&self.mesh, &self.known, node)
    }
}

pub(super) fn snapshot(mesh: &Mesh, known: &Known, node: &Node) -> Snapshot {
    let Some(workload) = mesh.workload(&node.namespace, &node.pod) else {
        return Snapshot::default();
    };
    let key = view_key(mesh, known, workload, node.role);
    let selected = known.policies.get(policy_key(mesh, &key, workload), || Arc::new(selected(mesh, workload, node.role)));
    let view = View { mesh, workload, role: node.role, policies: selected.policies.clone() };
    let common = known.commons.get(key.clone(), || Arc::new(common(&view, known)));
    let mut resources = common.resources.clone();
    let labels = common.labels.iter().map(|name| workload.labels.get(name).cloned()).collect();
    let place = PlaceKey { view: key, locality: workload.locality.clone(), labels };
    for resource in known.places.get(place, || Arc::new(local(&view, &common))).iter() {
        put(&mut resources, Type::ClusterLoadAssignment, resource.clone());
    }
    for Filter { sha256, near, far } in &selected.filters {
        let has = sha256.as_ref().is_none_or(|sha256| node.modules.contains(sha256));
        put(&mut resources, Type::ExtensionConfig, if has { near.clone() } else { far.clone() });
    }
    if node.role == Role::Sidecar {
        own(&view, &mut resources);
    }
    Snapshot { resources }
}

fn view_key(mesh: &Mesh, known: &Known, workload: &Workload, role: Role) -> ViewKey {
    let source_labels = known.source_labels.get_or_init(|| {
        let routes = mesh.virtual_services.iter().flat_map(|owner| &owner.http);
        routes.flat_map(|route| &route.matches).flat_map(|matched| matched.source_labels.keys().cloned()).collect()
    });
    let mut labels = workload.labels.clone();
    let mut named_ports = workload.named_ports.clone();
    if role == Role::Sidecar {
        labels.retain(|name, _| source_labels.contains(name));
        named_ports.clear();
    }
    let plugins = mesh.plugins.iter().enumerate().filter(|(_, plugin)| plugin.selects(workload)).map(|(index, _)| index).collect();
    ViewKey { role, namespace: workload.namespace.clone(), plugins, labels, named_ports }
}

fn policy_key(mesh: &Mesh, view: &ViewKey, workload: &Workload) -> PolicyKey {
    let by_caller = view.plugins.iter().any(|plugin| mesh.plugins.get(*plugin).is_some_and(Plugin::tells_callers_apart));
    PolicyKey {
        role: view.role,
        namespace: view.namespace.clone(),
        plugins: view.plugins.clone(),
        locality: workload.locality.clone(),
        caller: by_caller.then(|| workload.owner.clone()),
    }
}

fn selected(mesh: &Mesh, workload: &Workload, role: Role) -> Selected {
    let policies = Policies::of(mesh, workload, role);
    let filters = policies.client.iter().chain(&policies.server);
    let filters = filters.map(|(plugin, config)| filter(plugin, config)).collect();
    Selected { policies: Arc::new(policies), filters }
}

fn filter(plugin: &Plugin, config: &str) -> Filter {
    let resource = |has| Resource::of(&plugin.resource_name(), &extension::build(plugin, config, has), [plugin.object.clone()]);
    let near = Arc::new(resource(true));
    match &plugin.module {
        Module::File { .. } => Filter { sha256: None, far: near.clone(), near },
        Module::Missing => {
            let stand_in = Arc::new(Resource { stands_in: true, ..resource(true) });
            Filter { sha256: None, near: stand_in.clone(), far: stand_in }
        }
        Module::Served { sha256 } => {
            Filter { sha256: Some(sha256.clone()), near, far: Arc::new(Resource { fetches: true, ..resource(false) }) }
        }
    }
}

/// What is told alike: clusters, outbound listeners, routes, and the endpoints that are the same from everywhere.
fn common(view: &View, known: &Known) -> Common {
    let mut common = Common::default();
    let tries = view.longest_tries();
    for service in view.mesh.services.values() {
        let longest_try = tries.get(service.host.as_str()).copied();
        for port in &service.ports {
            for target in view.targets(service, port) {
                clusters(view, known, &target, longest_try, &mut common);
            }
        }
    }
    let resources = &mut common.resources;
    let mut cluster = |name: &str, message| put(resources, Type::Cluster, Resource::new(name, &message, []));
    cluster(listener::BLACK_HOLE, cluster::black_hole());
    cluster(cluster::PASSTHROUGH, cluster::passthrough(cluster::PASSTHROUGH));
    match view.role {
        Role::Sidecar => sidecar(view, resources),
        Role::Router => gateway(view, resources),
    }
    common
}

/// A target's cluster, and its endpoints unless they depend on the node.
fn clusters(view: &View, known: &Known, target: &Target, longest_try: Option<Duration>, common: &mut Common) {
    let by_address = target.is_by_address(view);
    let key = TargetKey {
        cluster: target.cluster_name(),
        rule: target.rule.map(|rule| rule.objects.clone()).unwrap_or_default(),
        by_address,
        has_zones: view.policies.has_locality(&target.service.host),
        longest_try,
    };
    let (cluster, endpoints) = known.targets.get(key, || {
        let resource = Resource::new(&target.cluster_name(), &cluster::outbound(view, target, longest_try), target.objects());
        let alike = !by_address && target.locality.is_none();
        (resource, alike.then(|| endpoints(view, target)))
    });
    put(&mut common.resources, Type::Cluster, cluster);
    if let Some(endpoints) = endpoints {
        put(&mut common.resources, Type::ClusterLoadAssignment, endpoints);
    } else if let Some(setting) = target.locality.as_ref().filter(|_| !by_address) {
        let subset = target.subset.map(|subset| subset.name.clone());
        common.local.push((target.service.host.clone(), target.port.number, subset));
        common.labels.extend(setting.failover_priority.iter().filter(|label| !label.contains('=')).cloned());
    }
}

fn endpoints(view: &View, target: &Target) -> Arc<Resource> {
    Resource::new(&target.cluster_name(), &endpoint::build(view, target), target.objects())
}

/// The endpoints that depend on the node's place.
fn local(view: &View, common: &Common) -> Vec<Arc<Resource>> {
    let target = |(host, port, subset): &(String, u16, Option<String>)| {
        let service = view.mesh.services.get(host)?;
        let targets = view.targets(service, service.port(*port)?);
        targets.into_iter().find(|target| target.subset.map(|subset| &subset.name) == subset.as_ref())
    };
    common.local.iter().filter_map(target).map(|target| endpoints(view, &target)).collect()
}

fn sidecar(view: &View, resources: &mut Resources) {
    let listener::Outbound { listeners, ports, services } = listener::outbound(view);
    for (listener, objects) in listeners {
        put(resources, Type::Listener, Resource::new(&listener.name, &listener, objects));
    }
    let mut routes = |name: &str, (hosts, objects)| {
        put(resources, Type::RouteConfiguration, Resource::new(name, &http::route_configuration(name, hosts), objects));
    };
    for port in ports {
        routes(&port.to_string(), virtual_host::of_sidecar(view, port));
    }
    for (service, port) in services {
        routes(&listener::address_routes(service, port), virtual_host::of_address(view, service, port));
    }
}

fn gateway(view: &View, resources: &mut Resources) {
    for ((listener, objects), bind, servers) in listener::gateway(view) {
        put(resources, Type::Listener, Resource::new(&listener.name, &listener, objects));
        if !servers.is_empty() {
            let (hosts, objects) = virtual_host::of_gateway(view, &servers, bind);
            let name = listener::gateway_routes(bind);
            put(resources, Type::RouteConfiguration, Resource::new(&name, &http::route_configuration(&name, hosts), objects));
        }
    }
}

/// What a sidecar is told of its own pod.
fn own(view: &View, resources: &mut Resources) {
    let mut cluster = |name: &str, message| put(resources, Type::Cluster, Resource::new(name, &message, []));
    cluster(cluster::INBOUND_PASSTHROUGH, cluster::passthrough(cluster::INBOUND_PASSTHROUGH));
    for (port, protocol) in inbound::ports(view) {
        cluster(&cluster::inbound_name(port), cluster::inbound(view, port, protocol));
    }
    put(resources, Type::Listener, Resource::new("virtualInbound", &inbound::listener(view), inbound::objects(view)));
    // A pod that calls its own address, as one of a headless Service may, calls itself.
    let prefix = format!("{}_", view.workload.address);
    if let Some(listeners) = resources.get_mut(&Type::Listener) {
        listeners.retain(|name, _| !name.starts_with(&prefix));
    }
}
