//! Zones that have more to do than they can, or that go: what Envoy's priorities by locality make of it alone, and with the locality
//! filter, side by side in one mesh. `--nocapture` shows the figures.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;
use std::thread::scope;
use weir_tests::tools::{wait_for, weir};
use weir_tests::{Up, able};

/// A pod of the services works 20 ms on a request, so the two of a zone do 100 requests per second.
const ZONE: f64 = 100.0;
/// Both have the same pods and outlier detection; the second one has a policy.
const SERVICES: [&str; 2] = ["native", "ours"];
const CALLERS: [(&str, u32); 3] = [("a", 3), ("b", 1), ("c", 1)];
const SECONDS: u32 = 20;

/// `workers` is how many workers each caller's Envoy has.
fn manifests(workers: u32) -> String {
    let mut text = String::from("apiVersion: v1\nkind: Namespace\nmetadata: {name: spill}\n");
    let mut deployment = |name: &str, app: &str, zone: &str, replicas: u32, args: &str| {
        write!(
            text,
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: spill}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{pod: {name}}}}}
  template:
    metadata:
      labels: {{app: {app}, pod: {name}, topology.kubernetes.io/zone: {zone}}}
      annotations: {{proxy.istio.io/config: 'concurrency: {workers}'}}
    spec: {{containers: [{{name: {app}, image: weir-sample, args: [{args}], env: [{{name: ZONE, value: {zone}}}]}}]}}
"
        )
        .expect("a string takes all");
    };
    for (zone, callers) in CALLERS {
        deployment(&format!("caller-{zone}"), "caller", zone, callers, "stand-in");
        for service in SERVICES {
            deployment(&format!("{service}-{zone}"), service, zone, 2, "order-history, --work, 20ms");
        }
    }
    for service in SERVICES {
        write!(
            text,
            "---
apiVersion: v1
kind: Service
metadata: {{name: {service}, namespace: spill}}
spec: {{selector: {{app: {service}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {service}, namespace: spill}}
spec:
  host: {service}
  trafficPolicy:
    outlierDetection: {{consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 100}}
"
        )
        .expect("a string takes all");
    }
    text + "---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: locality, namespace: spill}
spec:
  selector: {matchLabels: {app: caller}}
  url: file:///etc/weir/modules/weir-locality.wasm
  pluginConfig: {version: 1, price: {perGB: 1000}, services: [{hosts: [ours], spill: {}}]}
"
}

/// What a service's callers saw.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    requests: u64,
    failed: u64,
    crossed: u64,
    /// The mean of the callers' 99th percentiles, weighted by their requests.
    p99_ms: f64,
}

impl Seen {
    fn crossing(&self) -> f64 {
        self.crossed as f64 / (self.requests - self.failed) as f64
    }

    fn add(&mut self, zone: &str, report: &Value) -> Result<()> {
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).context("a number");
        let requests = number("/requests")?;
        self.p99_ms = (self.p99_ms * self.requests as f64 + number("/latency/p99Ms")? * requests) / (self.requests as f64 + requests);
        self.requests += requests as u64;
        self.failed += number("/failed")? as u64;
        let answers = report["values"].as_object().context("values")?;
        self.crossed += answers.iter().filter(|(by, _)| *by != zone).filter_map(|(_, count)| count.as_u64()).sum::<u64>();
        Ok(())
    }
}

/// Every caller asks both services, a zone's callers so often in all per second.
fn ask(mesh: &Up, rates: [f64; 3], during: impl FnOnce() -> Result<()> + Send) -> Result<[Seen; 2]> {
    let load = |pod: &str, service: &str, rate: f64| -> Result<Value> {
        let (program, url) = (weir().display().to_string(), format!("http://{service}/"));
        let (rate, duration) = (rate.to_string(), format!("{SECONDS}s"));
        let load = ["sample", "load", "--url", &url, "--rate", &rate, "--duration", &duration];
        let rest = ["--by", "/zone", "--concurrency", "1000", "--timeout", "60s"];
        let args = [&["exec", pod, "--", &program][..], &load, &rest].concat();
        Ok(serde_json::from_str(&mesh.ask(&args)?)?)
    };
    scope(|scope| {
        let mut loads = Vec::new();
        for ((zone, callers), rate) in CALLERS.into_iter().zip(rates) {
            for (pod, _) in mesh.pods("spill", &format!("caller-{zone}"))? {
                for (place, service) in SERVICES.into_iter().enumerate() {
                    let pod = pod.clone();
                    loads.push((place, zone, scope.spawn(move || load(&pod, service, rate / f64::from(callers)))));
                }
            }
        }
        let happened = scope.spawn(during);
        let mut seen = <[Seen; 2]>::default();
        for (place, zone, load) in loads {
            seen[place].add(zone, &load.join().expect("no panic")?)?;
        }
        happened.join().expect("no panic")?;
        Ok(seen)
    })
}

fn show(what: &str, least: f64, [native, ours]: &[Seen; 2]) {
    println!("{what} (at least {:.1} % must cross)", 100.0 * least);
    for (name, seen) in SERVICES.iter().zip([native, ours]) {
        let (p99, crossing) = (seen.p99_ms, 100.0 * seen.crossing());
        println!("  {name:<8} p99 {p99:>7.0} ms, {crossing:>5.1} % across zones, {} of {} failed", seen.failed, seen.requests);
    }
}

/// What must cross so that a zone that is asked for so much gives the others what it cannot do at 80 %.
fn least(rates: [f64; 3]) -> f64 {
    rates.iter().map(|rate| (rate - 0.8 * ZONE).max(0.0)).sum::<f64>() / rates.iter().sum::<f64>()
}

fn start(workers: u32) -> (Up, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spill.yaml");
    std::fs::write(&file, manifests(workers)).unwrap();
    (Up::start(&[file.to_str().unwrap()]).unwrap(), dir)
}

fn stays_when_balanced(mesh: &Up) {
    let rates = [0.3, 0.3, 0.3].map(|load| load * ZONE);
    let seen = ask(mesh, rates, || Ok(())).unwrap();
    show("balanced, at 30 %", least(rates), &seen);
    assert_eq!((seen[0].failed, seen[1].failed), (0, 0));
    assert!(seen[1].crossing() < 0.02, "{seen:?}");
}

/// Callers 3:1:1 on equal zones, then five times the load in one.
fn spills(mesh: &Up, workers: u32) {
    for (what, loads) in [("callers 3:1:1, at 65 % in all", [1.17, 0.39, 0.39]), ("five times the load in one zone", [1.5, 0.3, 0.3])] {
        let rates = loads.map(|load| load * ZONE);
        let seen = ask(mesh, rates, || Ok(())).unwrap();
        show(&format!("{what}, {workers} workers"), least(rates), &seen);
        assert_spilled(&seen, rates);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_spill_as_one_does() {
    if !able::to_run_a_mesh() {
        return;
    }
    let (mesh, _dir) = start(4);
    let caller = mesh.pods("spill", "caller-a").unwrap().remove(0).0;
    let stats = mesh.admin(&caller, "/stats?filter=server.concurrency", false).unwrap();
    assert_eq!(stats.trim(), "server.concurrency: 4");
    stays_when_balanced(&mesh);
    spills(&mesh, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_with_too_much_to_do_spills_before_it_falls() {
    if !able::to_run_a_mesh() {
        return;
    }
    let (mesh, _dir) = start(1);
    stays_when_balanced(&mesh);
    spills(&mesh, 1);
    let caller = mesh.pods("spill", "caller-a").unwrap().remove(0).0;
    let counted = async |names: &str| mesh.counted(&caller, names).ok().filter(|count| *count > 0);
    for what in ["requests", "bytes", "cost"] {
        let names = format!("weir_zone_{what}.local/a.local/.*spill");
        wait_for(&names, std::time::Duration::from_secs(10), async || counted(&names).await).await.unwrap();
    }

    let rates = [0.3, 0.3, 0.3].map(|load| load * ZONE);
    let goes = || {
        for service in SERVICES {
            for (pod, _) in mesh.pods("spill", &format!("{service}-a"))? {
                mesh.ask(&["stop", &pod, "--signal", "KILL"])?;
            }
        }
        Ok(())
    };
    let seen = ask(&mesh, rates, goes).unwrap();
    show("a zone gone at the start", 1.0 / 3.0, &seen);
    assert!(seen[1].crossing() < 1.2 / 3.0 && seen[1].crossing() > 0.3, "{seen:?}");
    assert!(seen[1].failed <= seen[0].failed + 5, "{seen:?}");
}

/// Far sooner answered than natively, with little more across zones than must be.
fn assert_spilled(seen: &[Seen; 2], rates: [f64; 3]) {
    let [native, ours] = seen;
    assert_eq!((native.failed, ours.failed), (0, 0), "{seen:?}");
    assert!(native.crossing() < 0.01 && ours.crossing() > least(rates) / 2.0 && ours.crossing() < 1.4 * least(rates), "{seen:?}");
    assert!(ours.p99_ms < native.p99_ms / 3.0, "{seen:?}");
}
