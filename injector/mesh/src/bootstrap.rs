//! The configuration that a sidecar or gateway Envoy starts with; all else comes over ADS.

use crate::mesh::workload::Family;
use crate::node::Node;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What differs from proxy to proxy in its bootstrap.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// Who the proxy is.
    pub node: Node,
    /// Region and zone where the proxy runs, where they are known before it starts.
    pub locality: Option<(String, String)>,
    /// The control plane.
    pub control_plane: ControlPlane,
}

/// How a proxy reaches the control plane.
#[derive(Clone, Debug)]
pub enum ControlPlane {
    /// On one machine, where nobody else is: as is. The proxy shares its uid with the app, so it marks its own connections.
    Local(SocketAddr),
    /// In a cluster: by TLS, and each side says who it is.
    Cluster {
        /// Full name of the control plane's Service.
        host: String,
        /// Its port.
        port: u16,
        /// The authority of its certificate, as PEM.
        authority: String,
        /// The file of the Secret that shows the token ([`token_secret`]).
        secret: PathBuf,
    },
}

/// Where a proxy in a cluster finds its own files: the bootstrap, modules.
pub const FOLDER: &str = "/etc/weir/proxy";

/// Where a proxy in a cluster finds a module that it has.
pub fn module(sha256: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("modules/{sha256}.wasm"))
}

/// The cluster of the control plane.
pub const CLUSTER: &str = "weir";
/// Of the node's metadata: the sha256 of the modules that the proxy has in files.
pub const MODULES: &str = "WEIR_MODULES";

/// The Secret of the pod's token.
const TOKEN: &str = "token";

/// Envoy's own administration, on loopback alone.
pub const ADMIN_PORT: u16 = 15000;
/// `/healthz/ready`: 200 once the proxy has its configuration.
pub const HEALTH_PORT: u16 = 15021;
/// `/stats/prometheus`.
pub const STATS_PORT: u16 = 15090;

/// What marks a connection as the proxy's own, so that it is not redirected (SO_MARK).
pub const PROXY_MARK: u32 = 1337;

/// The bootstrap as Envoy reads it from a JSON file.
pub fn build(bootstrap: &Bootstrap) -> Value {
    let Bootstrap { node, locality, control_plane } = bootstrap;
    let locality = locality.as_ref().map(|(region, zone)| json!({"region": region, "zone": zone}));
    let wildcard = Family::of(node.ip).wildcard();
    let metadata = (!node.modules.is_empty()).then(|| json!({MODULES: node.modules}));
    let bind = matches!(control_plane, ControlPlane::Local(_)).then(|| {
        json!({
            "source_address": {"address": "0.0.0.0", "port_value": 0},
            "socket_options": [{"level": 1, "name": 36, "int_value": PROXY_MARK, "state": "STATE_PREBIND", "description": "SO_MARK"}],
        })
    });
    json!({
        "node": {"id": node.to_string(), "cluster": format!("{}.{}", node.pod, node.namespace), "locality": locality, "metadata": metadata},
        "admin": {"address": address("127.0.0.1", ADMIN_PORT)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{
                    // The default adds up to 20 s to an outage of the control plane. google_grpc, which can send a token itself, has no such setting.
                    "envoy_grpc": {"cluster_name": CLUSTER, "retry_policy": {"retry_back_off": {"base_interval": "0.2s", "max_interval": "1s"}}},
                }],
                "set_node_on_first_message_only": true,
            },
            // No timeout: a proxy without configuration is not ready.
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [cluster(control_plane), local("admin", ADMIN_PORT)],
            "listeners": [to_admin(wildcard, "health", HEALTH_PORT, "/healthz/ready", "/ready"), to_admin(wildcard, "stats", STATS_PORT, "/stats/prometheus", "/stats/prometheus")],
        },
        // An Envoy pays for what it calls, not for what there is.
        "cluster_manager": {"enable_deferred_cluster_creation": true, "upstream_bind_config": bind},
        // Envoy's default limit of 100 refuses ordinary regular expressions, and with one of them all routes of the port.
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 32_768}}]},
        "deferred_stat_options": {"enable_deferred_creation_stats": true},
        "stats_config": {"use_all_default_tags": false, "stats_tags": tags(&node.domain)},
    })
}

/// The Secret that Envoy reads a pod's token from, anew whenever Kubernetes puts another one into its folder.
pub fn token_secret(folder: &Path) -> Value {
    let token = json!({"filename": folder.join("token"), "watched_directory": {"path": folder}});
    json!({"resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": TOKEN,
        "generic_secret": {"secret": token},
    }]})
}

/// The labels of statistics. A cluster's name holds a host's dots, at which Envoy's own rule for the name would end.
fn tags(domain: &str) -> Value {
    let domain = domain.replace('.', "\\.");
    let cluster = format!("^cluster\\.((.+?(\\..+?\\.svc\\.{domain})?)\\.)");
    let own = ["http_conn_manager_prefix", "listener_address", "response_code", "response_code_class"];
    let own = own.map(|name| json!({"tag_name": format!("envoy.{name}")}));
    let mut tags = vec![json!({"tag_name": "envoy.cluster_name", "regex": cluster})];
    tags.extend(own);
    Value::Array(tags)
}

fn address(ip: &str, port: u16) -> Value {
    json!({"socket_address": {"address": ip, "port_value": port}})
}

fn cluster(control_plane: &ControlPlane) -> Value {
    // A connection that died in silence is noticed after 10 s.
    let http2 = json!({"http2_protocol_options": {"connection_keepalive": {"interval": "5s", "timeout": "5s"}}});
    let options = |filters: Value| {
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": http2,
            "http_filters": filters,
        }})
    };
    match control_plane {
        ControlPlane::Local(ads) => json!({
            "name": CLUSTER,
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": options(json!([])),
            "load_assignment": endpoints(CLUSTER, &ads.ip().to_string(), ads.port()),
        }),
        ControlPlane::Cluster { host, port, authority, secret } => json!({
            "name": CLUSTER,
            "cluster_type": {
                "name": "envoy.cluster.dns",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                    "dns_lookup_family": "V4_PREFERRED",
                    "dns_refresh_rate": "5s",
                    "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "2s"},
                },
            },
            "connect_timeout": "1s",
            "typed_extension_protocol_options": options(json!([shows_token(secret), {
                "name": "envoy.filters.http.upstream_codec",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
            }])),
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                    "sni": host,
                    "common_tls_context": {
                        "alpn_protocols": ["h2"],
                        "validation_context": {
                            "trusted_ca": {"inline_string": authority},
                            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
                        },
                    },
                },
            },
            "load_assignment": endpoints(CLUSTER, host, *port),
        }),
    }
}

/// The filter that adds the pod's token to all that goes to the control plane.
fn shows_token(secret: &Path) -> Value {
    let generic = json!({
        "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
        "credential": {"name": TOKEN, "sds_config": {"path_config_source": {"path": secret}}},
        "header": "authorization",
        "header_value_prefix": "Bearer ",
    });
    json!({
        "name": "envoy.filters.http.credential_injector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": true,
            "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
        },
    })
}

fn local(name: &str, port: u16) -> Value {
    json!({"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": endpoints(name, "127.0.0.1", port)})
}

fn endpoints(cluster: &str, ip: &str, port: u16) -> Value {
    json!({"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(ip, port)}}]}]})
}

/// A listener that shows one page of the administration to the outside.
fn to_admin(wildcard: &str, name: &str, port: u16, path: &str, admin_path: &str) -> Value {
    json!({
        "name": name,
        "address": address(wildcard, port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
                "route_config": {"virtual_hosts": [{
                    "name": name,
                    "domains": ["*"],
                    "routes": [{"match": {"path": path}, "route": {"cluster": "admin", "prefix_rewrite": admin_path}}],
                }]},
            },
        }]}],
    })
}
