//! The state-of-the-world variant of the protocol, on the wire: every request names all that the node wants.

use super::status::version_of;
use super::stream::{Push, Request};
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::protobuf::Any;
use std::collections::{BTreeMap, BTreeSet};
use weir_mesh::snapshot::Type;

/// What the node named last, by type: the core wants the differences.
#[derive(Debug, Default)]
pub struct Named(BTreeMap<Type, BTreeSet<String>>);

impl Named {
    /// A request as the core takes it; none for a type that Weir does not serve.
    pub fn read(&mut self, request: DiscoveryRequest) -> Option<Request> {
        let kind = Type::of_url(&request.type_url)?;
        let names: BTreeSet<_> = request.resource_names.into_iter().collect();
        let before = self.0.insert(kind, names.clone()).unwrap_or_default();
        Some(Request {
            kind,
            subscribe: names.difference(&before).cloned().collect(),
            unsubscribe: before.difference(&names).cloned().collect(),
            known: BTreeMap::new(),
            nonce: request.response_nonce.parse().ok(),
            error: request.error_detail.map(|status| status.message),
        })
    }
}

/// A response as the node takes it. This variant cannot say that a name is no more, but by listing the others.
pub fn write(push: Push) -> DiscoveryResponse {
    let url = push.kind.url();
    DiscoveryResponse {
        version_info: version_of(push.add.iter().map(|resource| (resource.name.as_str(), resource.version.as_str()))),
        resources: push.add.iter().map(|resource| Any { type_url: url.to_string(), value: resource.body.to_vec() }).collect(),
        type_url: url.to_string(),
        nonce: push.nonce.to_string(),
        ..DiscoveryResponse::default()
    }
}
