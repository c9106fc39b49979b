//! The mesh of the bench: one gateway per row, all in front of the same service.

use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// What a gateway of the bench runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// The filter that does nothing.
    Noop,
    /// Users by cookie, testers by header, as in the demo.
    Canary,
    /// Zones are watched.
    Locality,
    /// Zones are watched, and each response tells who served.
    LocalityTells,
}

/// A row of the table: its name, and the plugins of its gateway.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As printed.
    pub name: &'static str,
    /// In the order of the chain.
    pub plugins: &'static [Plugin],
}

/// The rows. Those after `both` are for comparison.
pub const ROWS: [Row; 6] = [
    Row { name: "none", plugins: &[] },
    Row { name: "no-op", plugins: &[Plugin::Noop] },
    Row { name: "canary", plugins: &[Plugin::Canary] },
    Row { name: "locality", plugins: &[Plugin::Locality] },
    Row { name: "both", plugins: &[Plugin::Canary, Plugin::Locality] },
    Row { name: "locality, servedBy", plugins: &[Plugin::LocalityTells] },
];

/// The host that requests ask for.
pub const HOST: &str = "shop.test";
/// Where the gateways' pods are.
pub const GATEWAYS: &str = "istio-system";
/// Where the gateways run, as region and zone.
pub const ZONE: (&str, &str) = ("r", "a");

const SERVICE: &str = "shop.bench.svc.cluster.local";
/// Version, zone and address of each pod of the service.
const PODS: [(&str, &str, u8); 4] = [("v1", "a", 2), ("v2", "a", 3), ("v1", "b", 4), ("v2", "b", 5)];

/// The name of a row's gateway and of its pod.
pub fn gateway(row: usize) -> String {
    format!("bench-{row}")
}

/// The address of a row's pod. The gateway listens on all addresses; this one names it to the control plane.
pub fn gateway_address(row: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 1, row as u8 + 1).into()
}

/// Where the service's pods listen.
pub fn upstreams(port: u16) -> [SocketAddr; PODS.len()] {
    PODS.map(|(_, _, last)| SocketAddr::from(([127, 0, 0, last], port)))
}

/// All objects, as YAML. `ports` has the gateways' ports, by row.
pub fn objects(ports: &[u16], upstream: u16, modules: &Path) -> String {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAYS}}),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "shop", "namespace": "bench"},
            "spec": {"selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80, "targetPort": upstream}]},
        }),
        destination_rule(),
        virtual_service(ports.len()),
    ];
    for (version, zone, last) in PODS {
        let labels = json!({"app": "shop", "version": version});
        objects.push(pod(&format!("shop-{version}-{zone}"), "bench", labels, zone, Ipv4Addr::new(127, 0, 0, last).into()));
    }
    for (row, (port, Row { plugins, .. })) in ports.iter().zip(ROWS).enumerate() {
        let name = gateway(row);
        let selector = json!({"bench": name});
        objects.push(pod(&name, GATEWAYS, selector.clone(), ZONE.1, gateway_address(row)));
        let server = json!({"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
        objects.push(istio("Gateway", &name, "bench", &json!({"selector": selector, "servers": [server]})));
        objects.extend(plugins.iter().map(|which| plugin(&name, *which, modules)));
    }
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}

/// Two versions by weight, as a release has them.
fn virtual_service(gateways: usize) -> Value {
    let to = |subset: &str, weight: u32| json!({"destination": {"host": SERVICE, "subset": subset}, "weight": weight});
    let gateways: Vec<_> = (0..gateways).map(gateway).collect();
    istio(
        "VirtualService",
        "shop",
        "bench",
        &json!({"hosts": [HOST], "gateways": gateways, "http": [{"route": [to("v1", 90), to("v2", 10)]}]}),
    )
}

/// Versions, and what priorities by locality need. So the row without a plugin has Istio's own locality too.
fn destination_rule() -> Value {
    let subset = |version: &str| json!({"name": version, "labels": {"version": version}});
    let policy = json!({
        "loadBalancer": {"localityLbSetting": {"enabled": true}},
        "outlierDetection": {"consecutive5xxErrors": 5, "interval": "1s", "baseEjectionTime": "5s", "maxEjectionPercent": 100},
    });
    istio("DestinationRule", "shop", "bench", &json!({"host": SERVICE, "trafficPolicy": policy, "subsets": [subset("v1"), subset("v2")]}))
}

fn plugin(gateway: &str, which: Plugin, modules: &Path) -> Value {
    let tester = json!({"header": {"name": "x-tester", "exact": "yes"}, "subset": "v2"});
    let services = |served_by: bool| json!({"version": 1, "services": [{"hosts": [SERVICE], "servedBy": served_by, "spill": {}}]});
    let (name, config) = match which {
        Plugin::Noop => ("noop", json!({})),
        Plugin::Canary => {
            ("canary", json!({"version": 1, "canaries": [{"hosts": [SERVICE], "key": [{"cookie": "user"}], "override": [tester]}]}))
        }
        Plugin::Locality => ("locality", services(false)),
        Plugin::LocalityTells => ("locality", services(true)),
    };
    let url = format!("file://{}", modules.join(format!("weir-{name}.wasm")).display());
    let spec = json!({"selector": {"matchLabels": {"bench": gateway}}, "url": url, "failStrategy": "FAIL_OPEN", "pluginConfig": config});
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": format!("{gateway}-{name}"), "namespace": GATEWAYS},
        "spec": spec,
    })
}

fn istio(kind: &str, name: &str, namespace: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn pod(name: &str, namespace: &str, mut labels: Value, zone: &str, address: IpAddr) -> Value {
    labels["topology.kubernetes.io/region"] = ZONE.0.into();
    labels["topology.kubernetes.io/zone"] = zone.into();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
        "status": {"podIP": address, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}
