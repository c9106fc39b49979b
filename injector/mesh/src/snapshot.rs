//! What one Envoy is told: resources by type, each with a version that is the hash of its bytes.

use crate::mesh::Mesh;
use crate::node::{Node, Role};
use crate::xds::lookup::View;
use crate::xds::{cluster, endpoint, extension, http, inbound, listener, virtual_host};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The xDS types in the order in which they must reach an Envoy: what is named comes before what names it
/// (make before break, <https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations>).
/// What is no longer used is removed in the opposite order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// CDS.
    Cluster,
    /// EDS.
    ClusterLoadAssignment,
    /// LDS.
    Listener,
    /// RDS.
    RouteConfiguration,
    /// ECDS.
    ExtensionConfig,
}

impl Type {
    /// All types in the order of sending.
    pub const ALL: [Type; 5] =
        [Type::Cluster, Type::ClusterLoadAssignment, Type::Listener, Type::RouteConfiguration, Type::ExtensionConfig];

    /// The type's URL, as discovery requests carry it.
    pub fn url(self) -> &'static str {
        match self {
            Type::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Type::ClusterLoadAssignment => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Type::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Type::RouteConfiguration => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Type::ExtensionConfig => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The type of an URL, or none for one that Weir does not serve.
    pub fn of_url(url: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|kind| kind.url() == url)
    }
}

/// One encoded resource, shared by all nodes that get the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The resource's name.
    pub name: String,
    /// Hash of `body` in hex: same input, same version.
    pub version: String,
    /// The protobuf message, as the `value` of an `Any` of the type's URL.
    pub body: Bytes,
    /// The user's objects that the resource was made from, such as `VirtualService shop/reviews`: for the message of a NACK.
    pub objects: Vec<String>,
}

/// All resources of one node, by type and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By type; a type without resources may be absent.
    pub resources: BTreeMap<Type, BTreeMap<String, Arc<Resource>>>,
}

/// What `node` is told. A node that is no pod of the mesh gets an empty snapshot.
pub fn build(mesh: &Mesh, node: &Node) -> Snapshot {
    let Some(workload) = mesh.workload(&node.namespace, &node.pod) else {
        return Snapshot::default();
    };
    let view = View::new(mesh, workload, node.role);
    let mut snapshot = Snapshot::default();
    snapshot.clusters(&view);
    match node.role {
        Role::Sidecar => snapshot.sidecar(&view),
        Role::Router => snapshot.gateway(&view),
    }
    for (plugin, config) in view.policies.client.iter().chain(&view.policies.server) {
        let name = plugin.resource_name();
        snapshot.add(Type::ExtensionConfig, &name, &extension::build(plugin, config), [plugin.object.clone()]);
    }
    snapshot
}

impl Snapshot {
    fn add(&mut self, kind: Type, name: &str, message: &impl Message, objects: impl IntoIterator<Item = String>) {
        let body = Bytes::from(message.encode_to_vec());
        let version = format!("{:016x}", xxh3_64(&body));
        let resource = Resource { name: name.into(), version, body, objects: objects.into_iter().collect() };
        self.resources.entry(kind).or_default().insert(name.into(), Arc::new(resource));
    }

    fn clusters(&mut self, view: &View) {
        for service in view.mesh.services.values() {
            for port in &service.ports {
                for target in view.targets(service, port) {
                    let name = target.cluster_name();
                    self.add(Type::Cluster, &name, &cluster::outbound(view, &target), target.objects());
                    if !target.is_by_address(view) {
                        self.add(Type::ClusterLoadAssignment, &name, &endpoint::build(view, &target), target.objects());
                    }
                }
            }
        }
        self.add(Type::Cluster, listener::BLACK_HOLE, &cluster::black_hole(), []);
        self.add(Type::Cluster, cluster::PASSTHROUGH, &cluster::passthrough(cluster::PASSTHROUGH), []);
    }

    fn sidecar(&mut self, view: &View) {
        self.add(Type::Cluster, cluster::INBOUND_PASSTHROUGH, &cluster::passthrough(cluster::INBOUND_PASSTHROUGH), []);
        for (port, protocol) in inbound::ports(view) {
            self.add(Type::Cluster, &cluster::inbound_name(port), &cluster::inbound(port, protocol), []);
        }
        self.add(Type::Listener, "virtualInbound", &inbound::listener(view), []);
        let (listeners, ports) = listener::outbound(view);
        for (listener, objects) in listeners {
            self.add(Type::Listener, &listener.name, &listener, objects);
        }
        for port in ports {
            let (hosts, objects) = virtual_host::of_sidecar(view, port);
            let name = port.to_string();
            self.add(Type::RouteConfiguration, &name, &http::route_configuration(&name, hosts), objects);
        }
    }

    fn gateway(&mut self, view: &View) {
        for ((listener, objects), bind, servers) in listener::gateway(view) {
            self.add(Type::Listener, &listener.name, &listener, objects);
            if !servers.is_empty() {
                let (hosts, objects) = virtual_host::of_gateway(view, &servers, bind);
                let name = listener::gateway_routes(bind);
                self.add(Type::RouteConfiguration, &name, &http::route_configuration(&name, hosts), objects);
            }
        }
    }
}
