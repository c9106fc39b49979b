//! What a user types while a mesh runs.

use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use weir_tests::scenario::canary;
use weir_tests::tools::{project, wait_for, weir};
use weir_tests::{Mesh, Up, able};

const CANARY: &str = "deploy/demos/canary";
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_another_terminal_do_what_they_say() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&[CANARY]).unwrap();
    ready_object_has_addresses(&mesh);
    get_shows_what_runs(&mesh);
    logs_are_the_apps_and_envoys(&mesh);
    exec_goes_through_the_sidecar(&mesh);
    stop_and_start_move_the_traffic(&mesh).await;
    delete_and_apply_take_effect(&mesh).await;
    applied_by_hand_from_standard_input(&mesh).await;
}

fn ready_object_has_addresses(mesh: &Up) {
    let gateway = &mesh.view["gateways"][0];
    let port = mesh.gateway().port();
    assert_eq!(gateway["name"], "istio-ingressgateway");
    assert_eq!(gateway["urls"], serde_json::json!([format!("http://canary.localhost:{port}/")]));
    assert_eq!(gateway["ports"], serde_json::json!([{"port": 80, "outside": port, "hosts": ["canary.localhost"]}]));
    let pods = mesh.view["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 5);
    for pod in pods {
        assert!(pod["ip"].as_str().is_some_and(|ip| ip.starts_with("198.18.")) && pod["ready"] == true, "{pod}");
    }
    assert!(mesh.view["services"][0]["clusterIp"].is_string(), "{}", mesh.view["services"]);
}

fn get_shows_what_runs(mesh: &Up) {
    let shown = mesh.ask(&["get"]).unwrap();
    for row in [["canary", "colour-stable-0", "Ready", "stable"], ["istio-system", "istio-ingressgateway-0", "Ready", ""]] {
        assert!(shown.lines().any(|line| row.iter().all(|cell| line.contains(cell))), "{row:?} in\n{shown}");
    }
    let services = mesh.ask(&["get", "services", "-n", "canary"]).unwrap();
    assert!(services.contains("colour") && !services.contains("POD"), "{services}");
    let port = format!("127.0.0.1:{}", mesh.gateway().port());
    assert!(mesh.ask(&["get", "gateways"]).unwrap().contains(&port), "{shown}");
    let json: Value = serde_json::from_str(&mesh.ask(&["get", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(json["gateways"], mesh.view["gateways"]);
}

fn logs_are_the_apps_and_envoys(mesh: &Up) {
    let log = |name: &str| std::fs::read_to_string(mesh.run_dir().join("logs/colour-stable-0.canary").join(name)).unwrap();
    assert_eq!(mesh.ask(&["logs", "colour-stable-0"]).unwrap(), log("colour.log"));
    assert_eq!(mesh.ask(&["logs", "colour-stable-0.canary", "-c", "envoy"]).unwrap(), log("istio-proxy.log"));
    let unknown = mesh.weir(&["logs", "no-such-pod"]).unwrap();
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are colour-"), "{unknown:?}");
}

fn exec_goes_through_the_sidecar(mesh: &Up) {
    let program = weir().display().to_string();
    let answer = mesh.ask(&[
        "exec",
        "colour-canary-0",
        "--",
        &program,
        "sample",
        "load",
        "--url",
        "http://colour/colour",
        "--requests",
        "20",
        "--by",
        "/colour",
    ]);
    let report: Value = serde_json::from_str(&answer.unwrap()).unwrap();
    // Without a sidecar half of them would be green: the route's weights are 100 and 0.
    assert_eq!(report["values"], serde_json::json!({"blue": 20}), "{report}");
}

async fn stop_and_start_move_the_traffic(mesh: &Up) {
    let by_pod = async || mesh.count(canary::URL, 200, &["/pod"]).await.unwrap();
    assert_eq!(by_pod().await.values.len(), 2, "two pods serve");
    mesh.ask(&["stop", "colour-stable-1"]).unwrap();
    assert_eq!(mesh.pod("colour-stable-1.canary").unwrap()["state"], "Stopped");
    let one = by_pod().await;
    assert_eq!((one.failed, one.values), (0, [("colour-stable-0".to_string(), 200)].into()));
    mesh.ask(&["start", "colour-stable-1"]).unwrap();
    wait_for("both pods to serve", SOON * 2, async || (by_pod().await.values.len() == 2).then_some(())).await.unwrap();
}

async fn delete_and_apply_take_effect(mesh: &Up) {
    let file = project("deploy/demos/canary/steps/2-50-50.yaml").display().to_string();
    let statuses = async || mesh.count(canary::URL, 100, &["/colour"]).await.unwrap();
    let deleted = mesh.ask(&["delete", "-f", &file]).unwrap();
    assert_eq!(deleted, "VirtualService canary/colour deleted\n");
    wait_for("no route", SOON, async || (statuses().await.statuses.get("404") == Some(&100)).then_some(())).await.unwrap();
    let applied = mesh.ask(&["apply", "-f", &file]).unwrap();
    assert_eq!(applied, "VirtualService canary/colour applied\n");
    wait_for("both colours", SOON, async || (statuses().await.values.len() == 2).then_some(())).await.unwrap();
}

async fn applied_by_hand_from_standard_input(mesh: &Up) {
    let file = std::fs::File::open(project("deploy/demos/canary/steps/3-100-0.yaml")).unwrap();
    let mut command = Command::new(weir());
    command.args(["apply", "--run-dir"]).arg(mesh.run_dir()).args(["-f", "-"]).stdin(Stdio::from(file));
    assert!(command.status().unwrap().success());
    let blue = async || mesh.count(canary::URL, 100, &["/colour"]).await.unwrap().values == [("blue".to_string(), 100)].into();
    wait_for("blue alone", SOON, async || blue().await.then_some(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_line_tells_where_requests_go() {
    if !able::to_run_a_mesh() {
        return;
    }
    let dir = TempDir::with_prefix("weir-tests-").unwrap();
    let run = dir.path().join("run");
    let output = std::fs::File::create(dir.path().join("output")).unwrap();
    let mut command = Command::new(weir());
    command.arg("up").arg(project(CANARY)).arg("--run-dir").arg(&run).stdin(Stdio::null()).stdout(output);
    let mut up = Killed(command.spawn().unwrap());
    let said = || std::fs::read_to_string(dir.path().join("output")).unwrap();
    let url = wait_for("the gateway's URL", SOON * 6, async || {
        said().lines().find_map(|line| line.trim().strip_prefix("http://canary.localhost:")?.strip_suffix('/')?.parse::<u16>().ok())
    });
    let port = url.await.unwrap();
    let load = weir_sample::load::Config {
        duration: Some(SOON * 10),
        rate: Some(50.0),
        connect: Some(([127, 0, 0, 1], port).into()),
        ..weir_sample::load::Config::new(canary::URL)
    };
    let load = weir_sample::load::Load::start(load).unwrap();
    let line = wait_for("the live line", SOON * 6, async || {
        said().lines().find(|line| line.contains("requests/s: colour stable [a ")).map(String::from)
    });
    let line = line.await.unwrap_or_else(|error| panic!("{error}: {}", said()));
    assert!(!line.contains("colour canary"), "{line}");
    load.stop().await;
    assert_eq!(up.end(), Some(0));
}

/// A process that does not outlive its test.
struct Killed(std::process::Child);

impl Killed {
    fn end(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.0.wait().ok()?.code()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.end();
    }
}
