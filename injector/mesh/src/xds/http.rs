//! The HTTP connection manager: what each request passes before it is routed.

use super::{NOT_REACHED, View, ads, any, boolean, cluster, matching, millis, uint};
use crate::mesh::plugin::{Filter, Plugin};
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier as LogFilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLogFilter, AndFilter, HeaderFilter, ResponseFlagFilter};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::HeaderMutation;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::header_mutation::{Action as Mutation, RemoveOnMatch};
use envoy_types::pb::envoy::config::core::v3::{
    ExtensionConfigSource, HeaderValue, HeaderValueOption, Http1ProtocolOptions, TypedExtensionConfig,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter as NetworkFilter, filter};
use envoy_types::pb::envoy::config::route::v3::{Route, RouteAction, RouteConfiguration, VirtualHost, route, route_action};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::Config as HeaderToMetadata;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::config::{KeyValuePair, Rule, ValueType};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    RouteSpecifier, ServerHeaderTransformation, UpgradeConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, LocalReplyConfig, Rds, ResponseMapper,
};
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation as EarlyHeaderMutation;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use prost::Name;
use weir_policy::ZONE_HEADER;

/// How long a listener waits for a filter's configuration before requests pass without the filter, in milliseconds.
const FILTER_WAIT: u64 = 5_000;

/// Requests that the node makes (a sidecar), or that enter the mesh (a gateway).
pub(crate) fn outbound(view: &View, stat_prefix: &str, route_config: &str, gateway: bool) -> NetworkFilter {
    let mut filters = Vec::new();
    let (locality, before): (Vec<_>, Vec<_>) =
        view.policies.client.iter().partition(|(plugin, _)| matches!(plugin.filter, Filter::Locality(_)));
    // A filter of ours runs where a route leads to one of its hosts, and nowhere else: the route says so. One that makes passports makes
    // one for every request.
    let by_route = |plugin: &Plugin| {
        !matches!(plugin.filter, Filter::Foreign { .. }) && view.policies.passport_maker() != Some(&plugin.resource_name())
    };
    let ours = |(plugin, _): &&(Plugin, String)| HttpFilter { disabled: by_route(plugin), ..discovered(plugin) };
    filters.extend(before.iter().map(ours));
    // A native filter between the two of ours: without it the second sees the route as it was before the first changed it.
    filters.push(native("fault", any(HttpFault::default())));
    filters.extend(locality.iter().map(ours));
    if view.policies.has_any_locality() {
        filters.push(native("header_to_metadata", any(zone_to_metadata())));
    } else if view.mesh.has_passports() && (!gateway || view.mesh.leads_outside()) {
        filters.push(native("header_to_metadata", any(HeaderToMetadata::default())));
    }
    filters.push(native("router", any(Router::default())));
    let rds = Rds { config_source: Some(ads(None)), route_config_name: route_config.into() };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(rds)),
        http_filters: filters,
        use_remote_address: boolean(gateway),
        // Of a client behind proxies that are trusted, Envoy then knows the address, and says it wherever the client's is asked for.
        xff_num_trusted_hops: if gateway { view.workload.trusted_proxies } else { 0 },
        ..common(stat_prefix)
    };
    filter(manager)
}

/// Requests that reach a port of the pod.
pub(crate) fn inbound(view: &View, port: u16) -> NetworkFilter {
    let mut filters: Vec<HttpFilter> = view.policies.server.iter().map(|(plugin, _)| discovered(plugin)).collect();
    filters.push(native("router", any(Router::default())));
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster::inbound_name(port))),
        timeout: millis(0),
        ..Default::default()
    };
    let route = Route {
        name: "default".into(),
        r#match: Some(matching::route_match(None)),
        action: Some(route::Action::Route(action)),
        ..Default::default()
    };
    let host = VirtualHost { name: format!("inbound|http|{port}"), domains: vec!["*".into()], routes: vec![route], ..Default::default() };
    let routes = RouteConfiguration {
        name: cluster::inbound_name(port),
        virtual_hosts: vec![host],
        // What the app says of itself does not count; the local reply below is added after this.
        response_headers_to_remove: vec![NOT_REACHED.into()],
        ..Default::default()
    };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::RouteConfig(routes)),
        http_filters: filters,
        local_reply_config: Some(LocalReplyConfig { mappers: not_reached(), ..Default::default() }),
        use_remote_address: boolean(false),
        ..common(&format!("inbound_{port}"))
    };
    filter(manager)
}

fn common(stat_prefix: &str) -> HttpConnectionManager {
    let prefix = StringMatcher { match_pattern: Some(MatchPattern::Prefix("x-weir-".into())), ..Default::default() };
    let remove = HeaderMutation { action: Some(Mutation::RemoveOnMatch(RemoveOnMatch { key_matcher: Some(prefix) })) };
    let early = TypedExtensionConfig {
        name: "envoy.http.early_header_mutation.header_mutation".into(),
        typed_config: any(EarlyHeaderMutation { mutations: vec![remove] }),
    };
    HttpConnectionManager {
        stat_prefix: stat_prefix.into(),
        early_header_mutation_extensions: vec![early],
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".into(), ..Default::default() }],
        http_protocol_options: Some(Http1ProtocolOptions { accept_http_10: true, ..Default::default() }),
        normalize_path: boolean(true),
        // Streams and WebSockets live as long as their ends want, as in Istio.
        stream_idle_timeout: millis(0),
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        ..Default::default()
    }
}

/// The mesh's steering headers never leave the proxy, and the word of a sidecar is for the proxies alone.
pub(crate) fn route_configuration(name: &str, virtual_hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: name.into(),
        virtual_hosts,
        request_headers_to_remove: [weir_policy::BUCKET_HEADER, weir_policy::SUBSET_HEADER, ZONE_HEADER].map(String::from).into(),
        response_headers_to_remove: vec![NOT_REACHED.into()],
        validate_clusters: boolean(false),
        // Istio's limit; Envoy's own of 4 kB would refuse all routes for one long directResponse.
        max_direct_response_body_size_bytes: uint(1 << 20),
        ignore_port_in_host_matching: true,
        ..Default::default()
    }
}

/// A filter whose configuration comes by ECDS; until the first one, and where none comes, requests pass untouched.
fn discovered(plugin: &Plugin) -> HttpFilter {
    let source = ExtensionConfigSource {
        config_source: Some(ads(millis(FILTER_WAIT))),
        default_config: any(Rbac::default()),
        type_urls: vec![Wasm::type_url(), Rbac::type_url(), HttpFault::type_url()],
        ..Default::default()
    };
    HttpFilter { name: plugin.resource_name(), config_type: Some(ConfigType::ConfigDiscovery(source)), ..Default::default() }
}

fn native(name: &str, config: Option<envoy_types::pb::google::protobuf::Any>) -> HttpFilter {
    HttpFilter { name: format!("envoy.filters.http.{name}"), config_type: config.map(ConfigType::TypedConfig), ..Default::default() }
}

/// The zone that the locality filter names, as the subset balancer wants it.
pub(super) fn zone_to_metadata() -> HeaderToMetadata {
    let present =
        KeyValuePair { metadata_namespace: "envoy.lb".into(), key: "zone".into(), r#type: ValueType::String.into(), ..Default::default() };
    let rule = Rule { header: ZONE_HEADER.into(), on_header_present: Some(present), remove: true, ..Default::default() };
    HeaderToMetadata { request_rules: vec![rule], ..Default::default() }
}

/// Marks replies to requests that may be sent elsewhere: those that never reached the app (UF), and those without side
/// effects that were cut off (UC).
fn not_reached() -> Vec<ResponseMapper> {
    let flags = |flag: &str| AccessLogFilter {
        filter_specifier: Some(LogFilterSpecifier::ResponseFlagFilter(ResponseFlagFilter { flags: vec![flag.into()] })),
    };
    let by_method = AccessLogFilter {
        filter_specifier: Some(LogFilterSpecifier::HeaderFilter(HeaderFilter {
            header: Some(matching::regex_header(":method", "GET|HEAD")),
        })),
    };
    let cut_off =
        AccessLogFilter { filter_specifier: Some(LogFilterSpecifier::AndFilter(AndFilter { filters: vec![flags("UC"), by_method] })) };
    let mark = HeaderValueOption {
        header: Some(HeaderValue { key: NOT_REACHED.into(), value: "true".into(), ..Default::default() }),
        ..Default::default()
    };
    [flags("UF"), cut_off]
        .map(|filter| ResponseMapper { filter: Some(filter), headers_to_add: vec![mark.clone()], ..Default::default() })
        .into()
}

fn filter(manager: HttpConnectionManager) -> NetworkFilter {
    NetworkFilter {
        name: "envoy.filters.network.http_connection_manager".into(),
        config_type: any(manager).map(filter::ConfigType::TypedConfig),
    }
}
