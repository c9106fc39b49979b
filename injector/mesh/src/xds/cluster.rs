//! Clusters (CDS): one per service port and subset, and the two that pass traffic on as it came.

use super::lookup::{Target, View};
use super::{ads, any, duration, made_from, socket_address, uint};
use crate::bootstrap::PROXY_MARK;
use crate::mesh::rule::Policy;
use crate::mesh::service::Protocol;
use crate::mesh::workload::Family;
use crate::object::destination_rule::{ConsistentHash, OutlierDetection as RuleOutlierDetection, SimpleLoadBalancer};
use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::cluster::v3::load_balancing_policy::Policy as LoadBalancingChoice;
use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, Cluster, LoadBalancingPolicy, OutlierDetection};
use envoy_types::pb::envoy::config::core::v3::{
    BindConfig, ExtraSourceAddress, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonHttpOptions, SocketOption,
    TypedExtensionConfig, socket_option,
};
use envoy_types::pb::envoy::extensions::load_balancing_policies as lb;
use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3::LocalityLbConfig;
use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3::locality_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use envoy_types::pb::envoy::extensions::load_balancing_policies::subset::v3::subset::{
    LbSubsetFallbackPolicy, LbSubsetMetadataFallbackPolicy, LbSubsetSelector,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig, explicit_http_config::ProtocolConfig,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::Any;
use std::collections::HashMap;
use std::time::Duration;

/// Requests to addresses that are no service of the mesh.
pub(crate) const PASSTHROUGH: &str = "PassthroughCluster";
/// Connections to ports of the pod that no Service names.
pub(crate) const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";
/// The default of Istio's mesh configuration (`connectTimeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Istio's "no limit" for circuit breakers.
const UNLIMITED: u32 = u32::MAX;

/// The cluster of a target. A user's `perTryTimeout` limits a try as a whole, but Envoy begins to count when there is a connection
/// (`UpstreamRequest::onPoolReady`), so the longest holds for connecting too, unless a rule names another time.
pub(crate) fn outbound(view: &View, target: &Target, longest_try: Option<Duration>) -> Cluster {
    let pool = target.policy.connection_pool.clone().unwrap_or_default();
    let (tcp, http) = (pool.tcp.unwrap_or_default(), pool.http.unwrap_or_default());
    let outlier = target.policy.outlier_detection.as_ref();
    // Istio: outlierDetection switches Envoy's panic mode off unless minHealthPercent asks for it.
    let panic = outlier.map(|outlier| outlier.min_health_percent.unwrap_or_default()).or(target.locality.as_ref().map(|_| 0));
    let connect_timeout = tcp.connect_timeout.map_or(CONNECT_TIMEOUT.min(longest_try.unwrap_or(CONNECT_TIMEOUT)), |timeout| timeout.0);
    let by_address = target.is_by_address(view);
    // In Istio 0 is "not set" here; to Envoy it means that nothing passes.
    let limit = |wanted: Option<u32>| uint(wanted.filter(|limit| *limit > 0).unwrap_or(UNLIMITED));
    let discovery = if by_address { DiscoveryType::OriginalDst } else { DiscoveryType::Eds };
    Cluster {
        name: target.cluster_name(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        eds_cluster_config: (!by_address).then(|| EdsClusterConfig { eds_config: Some(ads(None)), ..Default::default() }),
        lb_policy: if by_address { LbPolicy::ClusterProvided.into() } else { LbPolicy::default().into() },
        connect_timeout: duration(connect_timeout),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![Thresholds {
                max_connections: limit(tcp.max_connections),
                max_pending_requests: limit(http.http1_max_pending_requests),
                max_requests: limit(http.http2_max_requests),
                max_retries: limit(http.max_retries),
                ..Default::default()
            }],
            ..Default::default()
        }),
        metadata: target.rule.and_then(|rule| made_from(rule.objects.first()?)),
        outlier_detection: outlier.map(outlier_detection),
        load_balancing_policy: (!by_address).then(|| balancing(view, target)),
        common_lb_config: panic
            .map(|percent| CommonLbConfig { healthy_panic_threshold: Some(Percent { value: f64::from(percent) }), ..Default::default() }),
        typed_extension_protocol_options: protocol_options(
            target.port.protocol,
            http.idle_timeout.map(|idle| idle.0),
            http.max_requests_per_connection.filter(|limit| *limit > 0),
        ),
        ..Default::default()
    }
}

/// The cluster that connects to the address that the caller asked for.
pub(crate) fn passthrough(name: &str) -> Cluster {
    original_destination(name, Protocol::Sniffed, None)
}

/// The cluster of a pod's own port: the app, at the address that the caller asked for.
pub(crate) fn inbound(view: &View, port: u16, protocol: Protocol) -> Cluster {
    let option = view.mesh.marked.then(|| SocketOption {
        level: 1,
        name: 36,
        value: Some(socket_option::Value::IntValue(PROXY_MARK.into())),
        description: "SO_MARK: the proxy's own connections are not redirected".into(),
        ..Default::default()
    });
    let from = |ip| match socket_address(ip, 0).address {
        Some(envoy_types::pb::envoy::config::core::v3::address::Address::SocketAddress(address)) => Some(address),
        _ => None,
    };
    // Where the kernel has no IPv6, Envoy takes no such address.
    let by_v6 = view.workload.families.contains(&Family::V6);
    let bind = BindConfig {
        source_address: from("127.0.0.6"),
        extra_source_addresses: by_v6.then(|| ExtraSourceAddress { address: from("::1"), ..Default::default() }).into_iter().collect(),
        socket_options: option.into_iter().collect(),
        ..Default::default()
    };
    original_destination(&inbound_name(port), if protocol == Protocol::Tcp { Protocol::Tcp } else { Protocol::Sniffed }, Some(bind))
}

/// Istio's name of the cluster of a pod's own port.
pub(crate) fn inbound_name(port: u16) -> String {
    format!("inbound|{port}||")
}

/// A cluster without endpoints, for what must not go on.
pub(crate) fn black_hole() -> Cluster {
    Cluster {
        name: super::listener::BLACK_HOLE.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        connect_timeout: duration(CONNECT_TIMEOUT),
        ..Default::default()
    }
}

fn original_destination(name: &str, protocol: Protocol, bind: Option<BindConfig>) -> Cluster {
    Cluster {
        name: name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        connect_timeout: duration(CONNECT_TIMEOUT),
        upstream_bind_config: bind,
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![Thresholds {
                max_connections: uint(UNLIMITED),
                max_pending_requests: uint(UNLIMITED),
                max_requests: uint(UNLIMITED),
                max_retries: uint(UNLIMITED),
                ..Default::default()
            }],
            ..Default::default()
        }),
        typed_extension_protocol_options: protocol_options(protocol, None, None),
        ..Default::default()
    }
}

fn protocol_options(protocol: Protocol, idle: Option<Duration>, per_connection: Option<u32>) -> HashMap<String, Any> {
    let http1 = Http1ProtocolOptions::default;
    let explicit = |config| UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) });
    let upstream = match protocol {
        Protocol::Tcp => return HashMap::new(),
        Protocol::Http => explicit(ProtocolConfig::HttpProtocolOptions(http1())),
        Protocol::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())),
        Protocol::Sniffed => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
            http_protocol_options: Some(http1()),
            http2_protocol_options: Some(Http2ProtocolOptions::default()),
            ..Default::default()
        }),
    };
    let common = (idle.is_some() || per_connection.is_some()).then(|| CommonHttpOptions {
        idle_timeout: idle.and_then(duration),
        max_requests_per_connection: per_connection.and_then(uint),
        ..Default::default()
    });
    let options =
        HttpProtocolOptions { upstream_protocol_options: Some(upstream), common_http_protocol_options: common, ..Default::default() };
    any(options).map(|options| ("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_string(), options)).into_iter().collect()
}

fn outlier_detection(rule: &RuleOutlierDetection) -> OutlierDetection {
    let five_xx = rule.consecutive_5xx_errors.or(rule.consecutive_errors);
    let enforced = |count: Option<u32>| if count.is_some_and(|count| count > 0) { uint(100) } else { uint(0) };
    let local = rule.split_external_local_origin_errors;
    let local_failures = rule.consecutive_local_origin_failures.filter(|count| local && *count > 0);
    OutlierDetection {
        consecutive_5xx: five_xx.filter(|count| *count > 0).and_then(uint),
        // Istio's default of 5 consecutive 5xx holds where nothing is said.
        enforcing_consecutive_5xx: if five_xx.is_some() { enforced(five_xx) } else { None },
        consecutive_gateway_failure: rule.consecutive_gateway_errors.filter(|count| *count > 0).and_then(uint),
        enforcing_consecutive_gateway_failure: enforced(rule.consecutive_gateway_errors),
        split_external_local_origin_errors: local,
        consecutive_local_origin_failure: local_failures.and_then(uint),
        enforcing_consecutive_local_origin_failure: local_failures.and_then(|_| uint(100)),
        enforcing_success_rate: uint(0),
        enforcing_local_origin_success_rate: if local { uint(0) } else { None },
        interval: rule.interval.and_then(|interval| duration(interval.0)),
        base_ejection_time: rule.base_ejection_time.and_then(|time| duration(time.0)),
        max_ejection_percent: rule.max_ejection_percent.filter(|percent| *percent > 0).and_then(uint),
        ..Default::default()
    }
}

/// The load balancer; under a locality policy inside a subset balancer that obeys a named zone and falls back to all.
fn balancing(view: &View, target: &Target) -> LoadBalancingPolicy {
    let distributes = target.has_shares();
    let inner = endpoint_picker(&target.policy, distributes.then(LocalityWeightedLbConfig::default));
    if !view.policies.has_locality(&target.service.host) {
        return inner;
    }
    let selector = LbSubsetSelector { keys: vec!["zone".into()], ..Default::default() };
    let subset = lb::subset::v3::Subset {
        fallback_policy: LbSubsetFallbackPolicy::AnyEndpoint.into(),
        metadata_fallback_policy: LbSubsetMetadataFallbackPolicy::FallbackList.into(),
        subset_selectors: vec![selector],
        locality_weight_aware: distributes,
        subset_lb_policy: Some(inner),
        ..Default::default()
    };
    policy("subset", any(subset))
}

fn endpoint_picker(rule: &Policy, weighted: Option<LocalityWeightedLbConfig>) -> LoadBalancingPolicy {
    let balancer = rule.load_balancer.clone().unwrap_or_default();
    if let Some(hash) = &balancer.consistent_hash {
        return policy("ring_hash", any(ring_hash(hash, weighted)));
    }
    let weighted = weighted.map(LocalityConfigSpecifier::LocalityWeightedLbConfig);
    let locality_lb_config = weighted.map(|weighted| LocalityLbConfig { locality_config_specifier: Some(weighted) });
    match balancer.simple {
        Some(SimpleLoadBalancer::RoundRobin) => {
            policy("round_robin", any(lb::round_robin::v3::RoundRobin { locality_lb_config, ..Default::default() }))
        }
        Some(SimpleLoadBalancer::Random) => policy("random", any(lb::random::v3::Random { locality_lb_config })),
        _ => policy("least_request", any(lb::least_request::v3::LeastRequest { locality_lb_config, ..Default::default() })),
    }
}

fn ring_hash(hash: &ConsistentHash, locality_weighted_lb_config: Option<LocalityWeightedLbConfig>) -> lb::ring_hash::v3::RingHash {
    use envoy_types::pb::google::protobuf::UInt64Value;
    let minimum_ring_size = hash.minimum_ring_size.map(|value| UInt64Value { value });
    lb::ring_hash::v3::RingHash { minimum_ring_size, locality_weighted_lb_config, ..Default::default() }
}

fn policy(name: &str, typed_config: Option<Any>) -> LoadBalancingPolicy {
    let extension = TypedExtensionConfig { name: format!("envoy.load_balancing_policies.{name}"), typed_config };
    LoadBalancingPolicy { policies: vec![LoadBalancingChoice { typed_extension_config: Some(extension) }] }
}
