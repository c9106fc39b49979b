//! The incremental variant of the protocol, on the wire.

use super::status::version_of;
use super::stream::{Push, Request};
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Carried};
use envoy_types::pb::google::protobuf::Any;
use weir_mesh::snapshot::Type;

/// A request as the core takes it; none for a type that Weir does not serve.
pub fn read(request: DeltaDiscoveryRequest) -> Option<Request> {
    Some(Request {
        kind: Type::of_url(&request.type_url)?,
        subscribe: request.resource_names_subscribe,
        unsubscribe: request.resource_names_unsubscribe,
        known: request.initial_resource_versions.into_iter().collect(),
        nonce: request.response_nonce.parse().ok(),
        error: request.error_detail.map(|status| status.message),
    })
}

/// A response as the node takes it.
pub fn write(push: Push) -> DeltaDiscoveryResponse {
    let url = push.kind.url();
    let version = version_of(push.add.iter().map(|resource| (resource.name.as_str(), resource.version.as_str())));
    let carried = push.add.iter().map(|resource| Carried {
        name: resource.name.clone(),
        version: resource.version.clone(),
        resource: Some(Any { type_url: url.to_string(), value: resource.body.to_vec() }),
        ..Carried::default()
    });
    DeltaDiscoveryResponse {
        system_version_info: version,
        resources: carried.collect(),
        type_url: url.to_string(),
        removed_resources: push.remove,
        nonce: push.nonce.to_string(),
        ..DeltaDiscoveryResponse::default()
    }
}
