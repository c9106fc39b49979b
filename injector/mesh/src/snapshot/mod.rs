//! What one Envoy is told: resources by type, each with a version that is the hash of its bytes.

mod builder;
mod memo;

pub use builder::Builder;

use crate::mesh::Mesh;
use crate::node::Node;
use crate::xds::extension;
use builder::Known;
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
    /// Whether it is a filter whose module the proxy gets from the control plane.
    pub fetches: bool,
    /// Whether it stands in for what is missing: a proxy that has an earlier state keeps that.
    pub stands_in: bool,
}

/// Resources by type and name.
pub type Resources = BTreeMap<Type, BTreeMap<String, Arc<Resource>>>;

/// All resources of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By type; a type without resources may be absent.
    pub resources: Resources,
}

/// What `node` is told. A node that is no pod of the mesh gets an empty snapshot. For the nodes of one mesh a [`Builder`] does
/// what they share once.
pub fn build(mesh: &Mesh, node: &Node) -> Snapshot {
    builder::snapshot(mesh, &Known::default(), node)
}

impl Resource {
    fn new(name: &str, message: &impl Message, objects: impl IntoIterator<Item = String>) -> Arc<Resource> {
        Arc::new(Resource::of(name, message, objects))
    }

    fn of(name: &str, message: &impl Message, objects: impl IntoIterator<Item = String>) -> Resource {
        let body = Bytes::from(message.encode_to_vec());
        let version = format!("{:016x}", xxh3_64(&body));
        Resource { name: name.into(), version, body, objects: objects.into_iter().collect(), fetches: false, stands_in: false }
    }

    /// The same for a proxy that runs an earlier state of the filter, in bytes that each attempt makes anew: until the proxy has the module
    /// it rejects this and keeps the earlier state. Of a resource that fetches nothing it is that resource.
    pub fn update(self: &Arc<Resource>, attempt: u64) -> Arc<Resource> {
        match self.fetches.then(|| extension::update(&self.body, attempt)).flatten() {
            Some(message) => Arc::new(Resource { body: message.encode_to_vec().into(), ..(**self).clone() }),
            None => self.clone(),
        }
    }
}

fn put(resources: &mut Resources, kind: Type, resource: Arc<Resource>) {
    resources.entry(kind).or_default().insert(resource.name.clone(), resource);
}
