//! The mesh as Envoy's resources: one file per kind of resource.

pub(crate) mod cluster;
pub(crate) mod endpoint;
pub(crate) mod extension;
pub(crate) mod http;
pub(crate) mod inbound;
pub(crate) mod intervals;
pub(crate) mod listener;
pub(crate) mod lookup;
pub(crate) mod matching;
mod passport;
pub(crate) mod retry;
pub(crate) mod route;
pub(crate) mod virtual_host;

use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, Metadata, SocketAddress, address, config_source,
};
use envoy_types::pb::envoy::config::listener::v3::AdditionalAddress;
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, Struct, UInt32Value, Value, value};
use envoy_types::util::pack_any;
use lookup::View;
use prost::{Message, Name};

/// The response header by which a sidecar says that the request never reached its app: the caller may send it elsewhere.
pub(crate) const NOT_REACHED: &str = "x-weir-not-reached";

pub(crate) fn any<T: Name + Message>(message: T) -> Option<Any> {
    Some(pack_any(message))
}

pub(crate) fn uint(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub(crate) fn boolean(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

pub(crate) fn duration(value: std::time::Duration) -> Option<Duration> {
    let nanos = i32::try_from(value.subsec_nanos()).unwrap_or_default();
    Some(Duration { seconds: i64::try_from(value.as_secs()).unwrap_or(i64::MAX), nanos })
}

pub(crate) fn millis(value: u64) -> Option<Duration> {
    duration(std::time::Duration::from_millis(value))
}

pub(crate) fn socket_address(ip: &str, port: u16) -> Address {
    let port = Some(PortSpecifier::PortValue(port.into()));
    let socket = SocketAddress { address: ip.into(), port_specifier: port, ..Default::default() };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

/// All addresses of the node's pod at which it may be reached, as a listener has them.
pub(crate) fn all_addresses(view: &View, port: u16) -> (Option<Address>, Vec<AdditionalAddress>) {
    let mut wildcards = view.workload.families.iter().map(|family| Some(socket_address(family.wildcard(), port)));
    let first = wildcards.next().flatten();
    (first, wildcards.map(|address| AdditionalAddress { address, ..Default::default() }).collect())
}

/// "Over the same stream": how a resource asks for another by name. `wait` is how long Envoy holds back for a first answer.
pub(crate) fn ads(wait: Option<Duration>) -> ConfigSource {
    ConfigSource {
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: wait,
        ..Default::default()
    }
}

/// Which of the user's objects (`VirtualService shop/reviews`) a resource was made from, where Istio says so and its tools look: a
/// dump of Envoy's configuration then tells by itself whose route it is.
pub(crate) fn made_from(object: &str) -> Option<Metadata> {
    let (kind, name) = object.split_once(' ')?;
    let (namespace, name) = name.split_once('/')?;
    let kind = match kind {
        "VirtualService" => "virtual-service",
        "DestinationRule" => "destination-rule",
        _ => return None,
    };
    let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/{kind}/{name}");
    let config = Struct { fields: [("config".to_string(), Value { kind: Some(value::Kind::StringValue(path)) })].into() };
    Some(Metadata { filter_metadata: [("istio".to_string(), config)].into(), ..Default::default() })
}
