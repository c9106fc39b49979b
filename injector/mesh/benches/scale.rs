//! What a mesh of 1,000 services of three endpoints costs the control plane: reading, building, and 100 nodes' snapshots.
//!
//! `cargo bench -p weir-mesh`; `valgrind --tool=callgrind` on the bench's binary with the argument `once` runs each step once.
//! Ten namespaces, three zones; every tenth service has a canary's VirtualService and DestinationRule, and one in a hundred a
//! rule with outlierDetection, so that its endpoints differ from zone to zone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that cannot begin has nothing to say")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_mesh::mesh::{self, Mesh, Options};
use weir_mesh::node::{Node, Role};
use weir_mesh::object::{self, Objects, SourceFile};
use weir_mesh::snapshot::{Builder, Snapshot};

const SERVICES: usize = 1000;
const ENDPOINTS: usize = 3;
const NODES: usize = 100;

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "once") { 1 } else { 5 };
    let text = objects();
    let files = [SourceFile { path: "mesh.yaml".into(), text }];
    let options = Options { marked: true, ..Default::default() };
    let (read, reading) = best(rounds, || object::read(&files));
    println!("{SERVICES} services x {ENDPOINTS} endpoints, {} objects, {} kB of YAML", read.objects.len(), files[0].text.len() / 1000);
    assert!(read.findings.is_empty(), "{}", read.findings[0]);
    let objects = Objects::default().update(read);
    let ((mesh, findings), building) = best(rounds, || mesh::build(&objects, &options));
    assert!(findings.is_empty(), "{}", findings[0]);
    let nodes = nodes(&mesh);
    let mesh = Arc::new(mesh);
    let (_, one) = best(rounds, || snapshots(&mesh, &nodes[..1]));
    let (all, every) = best(rounds, || snapshots(&mesh, &nodes));
    print("read", reading);
    print("build", building);
    print("snapshot of the first node", one);
    print(&format!("snapshots of {NODES} nodes"), every);
    sizes(&all);
}

fn snapshots(mesh: &Arc<Mesh>, nodes: &[Node]) -> Vec<Snapshot> {
    let builder = Builder::new(mesh.clone());
    nodes.iter().map(|node| builder.snapshot(node)).collect()
}

fn objects() -> String {
    let mut text = String::new();
    for i in 0..SERVICES {
        let (namespace, name) = (format!("ns{}", i % 10), format!("service-{i}"));
        let meta = |name: &str| format!("metadata: {{name: {name}, namespace: {namespace}}}");
        let ip = format!("10.96.{}.{}", i / 250, i % 250 + 1);
        let ports = "[{name: http, port: 80, targetPort: 8080}]";
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Service\n{}\nspec: {{clusterIP: {ip}, selector: {{app: {name}}}, ports: {ports}}}\n",
            meta(&name)
        );
        for endpoint in 0..ENDPOINTS {
            let number = i * ENDPOINTS + endpoint;
            let ip = format!("10.{}.{}.{}", 1 + number / 62_500, number / 250 % 250, number % 250 + 1);
            let zone = ["a", "b", "c"][endpoint % 3];
            let labels = format!(
                "labels: {{app: {name}, version: v{endpoint}, topology.kubernetes.io/region: r, topology.kubernetes.io/zone: {zone}}}"
            );
            let meta = format!("metadata: {{name: {name}-{endpoint}, namespace: {namespace}, {labels}}}");
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Pod\n{meta}\nspec: {{containers: [{{name: app}}]}}\nstatus: {{podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}\n"
            );
        }
        if i % 10 == 0 {
            let outlier = if i % 100 == 0 { "trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}, " } else { "" };
            let subsets = "subsets: [{name: stable, labels: {version: v0}}, {name: canary, labels: {version: v1}}]";
            let _ = write!(
                text,
                "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n{}\nspec: {{host: {name}, {outlier}{subsets}}}\n",
                meta(&name)
            );
            let to = |subset: &str, weight: u32| format!("{{destination: {{host: {name}, subset: {subset}}}, weight: {weight}}}");
            let route = format!("[{{route: [{}, {}]}}]", to("stable", 90), to("canary", 10));
            let _ = write!(
                text,
                "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n{}\nspec: {{hosts: [{name}], http: {route}}}\n",
                meta(&name)
            );
        }
    }
    text
}

/// Pods of all namespaces and zones.
fn nodes(mesh: &Mesh) -> Vec<Node> {
    let pods = mesh.workloads.iter().step_by(mesh.workloads.len() / NODES).take(NODES);
    let node = |pod: &mesh::workload::Workload| Node {
        role: Role::Sidecar,
        ip: pod.address,
        pod: pod.name.clone(),
        namespace: pod.namespace.clone(),
        domain: "cluster.local".into(),
        modules: Default::default(),
    };
    pods.map(node).collect()
}

/// The result and the shortest time of several runs.
fn best<T>(rounds: usize, run: impl Fn() -> T) -> (T, Duration) {
    let timed = || {
        let start = Instant::now();
        let result = run();
        (result, start.elapsed())
    };
    (1..rounds).fold(timed(), |best, _| {
        let next = timed();
        if next.1 < best.1 { next } else { best }
    })
}

fn print(what: &str, time: Duration) {
    println!("{what:<28} {:>10.1} ms", time.as_secs_f64() * 1000.0);
}

fn sizes(snapshots: &[Snapshot]) {
    let mut distinct: BTreeMap<*const u8, usize> = BTreeMap::new();
    let mut of_nodes = 0;
    for resource in snapshots.iter().flat_map(|snapshot| snapshot.resources.values()).flat_map(BTreeMap::values) {
        of_nodes += resource.body.len();
        distinct.insert(resource.body.as_ptr(), resource.body.len());
    }
    let resources: usize = snapshots[0].resources.values().map(BTreeMap::len).sum();
    println!("{:<28} {:>10} of {} kB", "resources of a node", resources, of_nodes / snapshots.len() / 1000);
    println!("{:<28} {:>10} kB", "encoded for all nodes", distinct.values().sum::<usize>() / 1000);
}
