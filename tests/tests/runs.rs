//! Whole runs of `weir up`: as an ordinary user, ended in every way, two at once, by themselves.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir_sample::load::{Config, Load};
use weir_tests::scenario::ends::{self, END};
use weir_tests::scenario::{canary, protocols};
use weir_tests::tools::{project, texts, wait_for, weir};
use weir_tests::traces::Traces;
use weir_tests::{Mesh, Up, able};

const CANARY: &str = "deploy/demos/canary";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_as_an_ordinary_user_it_leaves_nothing() {
    if !able::to_run_a_mesh() {
        return;
    }
    ends::killed().await.unwrap().check();
}

#[tokio::test]
async fn ended_by_its_user_it_leaves_nothing() {
    if !able::to_run_a_mesh() {
        return;
    }
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut mesh = Up::start(&[protocols::MANIFEST]).unwrap();
        let traces = Traces::of(mesh.process().id(), mesh.dir());
        let started = Instant::now();
        let (status, _) = mesh.end(signal).unwrap();
        assert_eq!(status.code(), Some(0), "{signal:?}");
        let ended =
            wait_for("nothing to be left", END.saturating_sub(started.elapsed()), async || traces.left().is_empty().then_some(())).await;
        assert!(ended.is_ok(), "{signal:?}, after {:?}: {:#?}", started.elapsed(), traces.left());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_once_do_not_disturb_each_other() {
    if !able::to_run_a_mesh() {
        return;
    }
    let runs = TempDir::with_prefix("weir-tests-").unwrap();
    let start = || {
        let mut command = Command::new(weir());
        command.arg("up").arg(project(CANARY)).env("XDG_RUNTIME_DIR", runs.path());
        Up::run(command, TempDir::new().unwrap()).unwrap()
    };
    let (mut one, two) = (start(), start());
    let colours = async |mesh: &Up| mesh.count(canary::URL, 200, &["/colour"]).await.unwrap().values;
    one.ask(&["delete", "-f", &project("deploy/demos/canary/steps/3-100-0.yaml").display().to_string()]).unwrap();
    wait_for("one without its VirtualService", END, async || {
        one.count(canary::URL, 1, &[]).await.is_ok_and(|report| report.failed == 1).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(colours(&two).await, [("blue".to_string(), 200)].into());

    let get = |more: &[&str]| Command::new(weir()).arg("get").args(more).env("XDG_RUNTIME_DIR", runs.path()).output().unwrap();
    let (_, which) = texts(&get(&[]));
    for run in [&one, &two] {
        assert!(which.contains("several meshes") && which.contains(&format!("--run-dir {}", run.run_dir().display())), "{which}");
    }
    let load = Load::start(Config { duration: Some(Duration::from_secs(60)), rate: Some(100.0), ..two.load(canary::URL) }).unwrap();
    let answers = async |more: u64| {
        let now = load.report().requests;
        wait_for("the load to go on", END, async || (load.report().requests >= now + more).then_some(())).await.unwrap();
    };
    answers(100).await;
    one.end(Signal::TERM).unwrap();
    answers(100).await;
    let report = load.stop().await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    assert!(get(&["pods"]).status.success(), "the only run needs no name");
}

#[tokio::test]
async fn it_ends_by_itself_after_the_time_it_was_given() {
    if !able::to_run_a_mesh() {
        return;
    }
    let dir = TempDir::with_prefix("weir-tests-").unwrap();
    let mut command = Command::new(weir());
    command.arg("up").arg(project(CANARY)).args(["--for", "5s", "--run-dir"]).arg(dir.path().join("run"));
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let traces = Traces::of(child.id(), dir.path());
    let output = child.wait_with_output().unwrap();
    let (said, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{errors}");
    assert!(started.elapsed() >= Duration::from_secs(5), "{:?}", started.elapsed());
    for part in [
        "ready  colour-stable-0.canary",
        "ready after ",
        "5 pods",
        "gateway istio-ingressgateway\n  http://canary.localhost:",
        "no requests\n",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let ended = wait_for("nothing to be left", END, async || traces.left().is_empty().then_some(())).await;
    assert!(ended.is_ok(), "{:#?}", traces.left());
}

#[tokio::test]
async fn the_demo_takes_its_mesh_along() {
    if !able::to_run_a_mesh() {
        return;
    }
    for signal in [Signal::TERM, Signal::KILL] {
        let runs = TempDir::with_prefix("weir-tests-").unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
        demo.env("XDG_RUNTIME_DIR", runs.path()).env("TMPDIR", runs.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut demo = demo.spawn().unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("Ready after ")));
        let traces = Traces::of(demo.id(), runs.path());
        assert!(traces.namespaces() >= 3 * 20, "{traces:?}");
        kill_process(Pid::from_child(&demo), signal).unwrap();
        let ended = wait_for("nothing to be left", END * 2, async || traces.left().is_empty().then_some(())).await;
        demo.wait().unwrap();
        assert!(ended.is_ok(), "{signal:?}: {:#?}", traces.left());
    }
}
