//! What the tests share: objects as YAML in, and what one node is told, decoded.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::core::v3::{Locality, address};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, lb_endpoint};
use envoy_types::pb::envoy::config::listener::v3::{Filter, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteAction, RouteConfiguration, VirtualHost, route};
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::google::protobuf::StringValue;
use prost::{Message, Name};
use std::collections::BTreeMap;
use weir_mesh::finding::Finding;
use weir_mesh::mesh::{self, Mesh, Module, Options};
use weir_mesh::node::{Node, Role};
use weir_mesh::object::{self, Objects, SourceFile};
use weir_mesh::snapshot::{self, Snapshot, Type};

/// Reads objects; the tests' files stand in different folders, so that later ones override earlier ones silently.
pub fn read(files: &[&str]) -> object::Read {
    let files = files.iter().enumerate().map(|(i, text)| SourceFile { path: format!("{i}/f.yaml").into(), text: text.to_string() });
    object::read(&files.collect::<Vec<_>>())
}

pub fn options() -> Options {
    let module = |name: &str| Module::File { path: format!("/modules/{name}.wasm").into(), sha256: Some("00ab".into()) };
    let modules = ["weir-canary", "weir-locality"].map(|name| (name.to_string(), module(name)));
    Options { modules: modules.into(), marked: true, ..Default::default() }
}

/// The mesh of some objects, with all findings as text.
pub fn build(files: &[&str]) -> (Mesh, Vec<Finding>) {
    let mut read = read(files);
    let mut findings = std::mem::take(&mut read.findings);
    let (mesh, more) = mesh::build(&Objects::default().update(read), &options());
    findings.extend(more);
    (mesh, findings)
}

/// The findings of some objects as a user sees them.
pub fn findings(files: &[&str]) -> Vec<String> {
    build(files).1.iter().map(ToString::to_string).collect()
}

/// An object of Istio's networking API; `at` is `NAMESPACE/NAME`.
pub fn istio(kind: &str, at: &str, spec: &str) -> String {
    let (namespace, name) = at.split_once('/').unwrap();
    let group = if kind == "WasmPlugin" { "extensions.istio.io/v1alpha1" } else { "networking.istio.io/v1" };
    let spec = spec.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!("---\napiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{spec}")
}

/// The same, created at a second of a day.
pub fn istio_since(second: u32, kind: &str, at: &str, spec: &str) -> String {
    istio(kind, at, spec).replacen("}\nspec:", &format!(", creationTimestamp: '2026-01-01T00:00:{second:02}Z'}}\nspec:"), 1)
}

pub fn virtual_service(at: &str, spec: &str) -> String {
    istio("VirtualService", at, spec)
}

pub fn rule(at: &str, spec: &str) -> String {
    istio("DestinationRule", at, spec)
}

/// A Service that selects pods by `app: NAME`; `ports` are its ports in flow style.
pub fn service(at: &str, ip: &str, ports: &str) -> String {
    let (namespace, name) = at.split_once('/').unwrap();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{clusterIP: '{ip}', selector: {{app: {name}}}, ports: {ports}}}\n"
    )
}

/// An HTTP service on port 80.
pub fn http_service(at: &str) -> String {
    service(at, "10.0.0.1", "[{name: http, port: 80, targetPort: 8080}]")
}

/// A ready pod with labels in flow style, such as `app: a, version: v1`.
pub fn pod(at: &str, ip: &str, labels: &str) -> String {
    let (namespace, name) = at.split_once('/').unwrap();
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\nspec: {{containers: [{{name: app, ports: [{{name: web, containerPort: 8080}}]}}]}}\nstatus: {{podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}\n"
    )
}

/// The labels of a pod's place.
pub fn place(region: &str, zone: &str) -> String {
    format!("topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}")
}

/// What one node is told.
pub struct Told(pub Snapshot);

/// What a sidecar is told; `at` is `NAMESPACE/POD`.
pub fn sidecar(mesh: &Mesh, at: &str) -> Told {
    node(mesh, at, Role::Sidecar)
}

/// What a gateway is told.
pub fn router(mesh: &Mesh, at: &str) -> Told {
    node(mesh, at, Role::Router)
}

fn node(mesh: &Mesh, at: &str, role: Role) -> Told {
    let (namespace, pod) = at.split_once('/').unwrap();
    let ip = mesh.workload(namespace, pod).expect("the pod").address;
    let node = Node { role, ip, pod: pod.into(), namespace: namespace.into(), domain: "cluster.local".into(), modules: Default::default() };
    Told(snapshot::build(mesh, &node))
}

/// The pod `shop/caller`, which most tests ask as, added to the objects.
pub fn caller(objects: &[String]) -> Told {
    let own = pod("shop/caller", "10.1.0.1", "app: caller");
    let all = format!("{own}{}", objects.concat());
    sidecar(&build(&[&all]).0, "shop/caller")
}

impl Told {
    pub fn names(&self, kind: Type) -> Vec<String> {
        self.0.resources.get(&kind).map(|resources| resources.keys().cloned().collect()).unwrap_or_default()
    }

    fn get<T: Message + Default>(&self, kind: Type, name: &str) -> Option<T> {
        let resource = self.0.resources.get(&kind)?.get(name)?;
        Some(T::decode(resource.body.clone()).unwrap())
    }

    pub fn cluster(&self, name: &str) -> Option<Cluster> {
        self.get(Type::Cluster, name)
    }

    pub fn listener(&self, name: &str) -> Option<Listener> {
        self.get(Type::Listener, name)
    }

    /// The JSON that a plugin's filter is sent.
    pub fn plugin_config(&self, name: &str) -> serde_json::Value {
        let wasm = Wasm::decode(self.extension(name).unwrap().typed_config.unwrap().value.as_slice()).unwrap();
        let text = StringValue::decode(wasm.config.unwrap().configuration.unwrap().value.as_slice()).unwrap();
        serde_json::from_str(&text.value).unwrap()
    }

    pub fn extension(&self, name: &str) -> Option<TypedExtensionConfig> {
        self.get(Type::ExtensionConfig, name)
    }

    pub fn route_configuration(&self, name: &str) -> Option<RouteConfiguration> {
        self.get(Type::RouteConfiguration, name)
    }

    /// The virtual hosts of a route configuration.
    pub fn virtual_hosts(&self, name: &str) -> Vec<VirtualHost> {
        self.route_configuration(name).map(|routes| routes.virtual_hosts).unwrap_or_default()
    }

    /// The domains of a virtual host.
    pub fn domains(&self, routes: &str, host: &str) -> Vec<String> {
        self.virtual_hosts(routes).into_iter().find(|found| found.name == host).map(|found| found.domains).unwrap_or_default()
    }

    /// The routes of a virtual host.
    pub fn routes(&self, routes: &str, host: &str) -> Vec<Route> {
        self.virtual_hosts(routes).into_iter().find(|found| found.name == host).map(|found| found.routes).unwrap_or_default()
    }

    /// The addresses of a cluster by priority, each `ZONE:ADDRESS`.
    pub fn endpoints(&self, cluster: &str) -> BTreeMap<u32, Vec<String>> {
        let mut by_priority: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for group in self.assignment(cluster).endpoints {
            let zone = group.locality.unwrap_or_default().zone;
            let entry = by_priority.entry(group.priority).or_default();
            entry.extend(group.lb_endpoints.iter().map(|endpoint| format!("{zone}:{}", address_of(endpoint))));
        }
        by_priority
    }

    /// The localities of a cluster with their weights.
    pub fn weights(&self, cluster: &str) -> Vec<(String, u32)> {
        let name = |locality: Option<Locality>| locality.map(|locality| format!("{}/{}", locality.region, locality.zone));
        let groups = self.assignment(cluster).endpoints.into_iter();
        groups.map(|group| (name(group.locality).unwrap_or_default(), group.load_balancing_weight.map_or(0, |w| w.value))).collect()
    }

    pub fn assignment(&self, cluster: &str) -> ClusterLoadAssignment {
        self.get(Type::ClusterLoadAssignment, cluster).unwrap_or_else(|| panic!("no endpoints of {cluster}"))
    }

    /// The HTTP connection manager of a listener's first chain that has one.
    pub fn http(&self, listener: &str) -> HttpConnectionManager {
        let listener = self.listener(listener).expect("the listener");
        let filters = listener.filter_chains.iter().flat_map(|chain| &chain.filters);
        filters.filter_map(unpack::<HttpConnectionManager>).next().expect("an HTTP connection manager")
    }
}

/// The address of an endpoint, `IP:PORT`.
pub fn address_of(endpoint: &envoy_types::pb::envoy::config::endpoint::v3::LbEndpoint) -> String {
    use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
    let Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { return String::new() };
    match endpoint.address.as_ref().and_then(|address| address.address.as_ref()) {
        Some(address::Address::SocketAddress(socket)) => match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
            _ => socket.address.clone(),
        },
        _ => String::new(),
    }
}

/// A network filter's configuration, if it is of that type.
pub fn unpack<T: Message + Name + Default>(filter: &Filter) -> Option<T> {
    match &filter.config_type {
        Some(filter::ConfigType::TypedConfig(any)) if any.type_url == T::type_url() => Some(T::decode(any.value.as_slice()).unwrap()),
        _ => None,
    }
}

/// A route's action.
pub fn action(route: &Route) -> RouteAction {
    match &route.action {
        Some(route::Action::Route(action)) => action.clone(),
        other => panic!("{} is not sent on: {other:?}", route.name),
    }
}

/// Where a route leads: a cluster, or clusters with weights.
pub fn clusters(route: &Route) -> Vec<(String, u32)> {
    match action(route).cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => vec![(name, 0)],
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            weighted.clusters.into_iter().map(|cluster| (cluster.name, cluster.weight.map_or(0, |weight| weight.value))).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A route in a line: `NAME PATH [HEADERS] -> CLUSTERS`. Routes for GET and HEAD alone are left out: [`lines`] is about where
/// requests go, which is the same for all methods.
pub fn lines(routes: &[Route]) -> Vec<String> {
    routes.iter().filter(|route| !is_repeatable(route)).map(line).collect()
}

/// Whether the route is the variant for requests that may be repeated.
pub fn is_repeatable(route: &Route) -> bool {
    let headers = &route.r#match.as_ref().unwrap().headers;
    headers.last().is_some_and(|header| header.name == ":method" && format!("{header:?}").contains("GET|HEAD"))
}

fn line(route: &Route) -> String {
    let matched = route.r#match.as_ref().unwrap();
    let path = match matched.path_specifier.as_ref().unwrap() {
        PathSpecifier::Prefix(path) => format!("{path}*"),
        PathSpecifier::Path(path) => path.clone(),
        PathSpecifier::SafeRegex(regex) => format!("~{}", regex.regex),
        other => format!("{other:?}"),
    };
    let headers: String = matched.headers.iter().map(|header| format!(" {}", header_line(header))).collect();
    let query: String = matched.query_parameters.iter().map(|parameter| format!(" ?{}", parameter.name)).collect();
    let to = match &route.action {
        Some(route::Action::Route(_)) => {
            let short = |name: &str| name.replace("outbound|", "").replace(".svc.cluster.local", "");
            let each = |(name, weight): (String, u32)| if weight == 0 { short(&name) } else { format!("{}={weight}", short(&name)) };
            clusters(route).into_iter().map(each).collect::<Vec<_>>().join(" ")
        }
        Some(route::Action::Redirect(_)) => "redirect".into(),
        Some(route::Action::DirectResponse(_)) => "response".into(),
        other => format!("{other:?}"),
    };
    let name = if route.name.is_empty() { String::new() } else { format!("{} ", route.name) };
    format!("{name}{path}{headers}{query} -> {to}")
}

/// A header match in a word: `!` inverted, `?` presence, `=`, `^`, `~` for exact, prefix, regex, `e` where missing counts as empty.
pub fn header_line(header: &envoy_types::pb::envoy::config::route::v3::HeaderMatcher) -> String {
    use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    let test = match header.header_match_specifier.as_ref().unwrap() {
        HeaderMatchSpecifier::PresentMatch(true) => "?".to_string(),
        HeaderMatchSpecifier::StringMatch(text) => match text.match_pattern.as_ref().unwrap() {
            MatchPattern::Exact(text) => format!("={text}"),
            MatchPattern::Prefix(text) => format!("^{text}"),
            MatchPattern::SafeRegex(regex) => format!("~{}", regex.regex),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    };
    let (not, empty) = (if header.invert_match { "!" } else { "" }, if header.treat_missing_header_as_empty { "e" } else { "" });
    format!("{not}{}{test}{empty}", header.name)
}
