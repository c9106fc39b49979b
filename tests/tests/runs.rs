//! Whole runs of `weir up`: as an ordinary user, ended in every way, two at once, by themselves.

use rustix::process::{Signal, geteuid};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir_sample::load::{Config, Load};
use weir_tests::scenario::{canary, protocols};
use weir_tests::tools::{copy_files, envoy, modules, project, texts, wait_for, weir};
use weir_tests::traces::Traces;
use weir_tests::{Up, able};

const CANARY: &str = "deploy/demos/canary";
/// An ordinary user that every system has.
const NOBODY: u32 = 65534;
/// Nothing is left after this time.
const END: Duration = Duration::from_secs(3);

/// All that a run needs, where an ordinary user may read it.
struct Home(PathBuf);

impl Home {
    fn new(dir: &Path) -> Home {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(weir(), dir.join("weir")).unwrap();
        std::fs::copy(envoy().unwrap(), dir.join("envoy")).unwrap();
        copy_files(&modules("modules"), &dir.join("modules")).unwrap();
        copy_files(&project(CANARY), &dir.join("canary")).unwrap();
        std::fs::create_dir(dir.join("tmp")).unwrap();
        if geteuid().is_root() {
            chown(dir.join("tmp"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Home(dir.into())
    }

    /// `weir` by that user, who has no environment but this.
    fn weir(&self, envoy: &str) -> Command {
        let mut command = Command::new(self.0.join("weir"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("ENVOY", self.0.join(envoy))
            .env("TMPDIR", self.0.join("tmp"))
            .current_dir(&self.0);
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_as_an_ordinary_user_it_leaves_nothing() {
    if !able::to_run_a_mesh() {
        return;
    }
    let dir = TempDir::with_prefix("weir-tests-").unwrap();
    let home = Home::new(dir.path());
    let mut command = home.weir("envoy");
    command.args(["up", "canary"]);
    let mut mesh = Up::run(command, TempDir::new().unwrap()).unwrap();
    canary::share_without_user(&mesh).await.unwrap().check();
    let load = Load::start(Config { duration: Some(Duration::from_secs(60)), rate: Some(100.0), ..mesh.load(canary::URL) }).unwrap();
    let traces = Traces::of(mesh.process().id(), &home.0);
    // Envoy, app and pause of four pods, a gateway, the control plane, the runner and the two around it.
    assert!(traces.left().len() >= 4 * 3 + 2 + 4, "{:#?}", traces.left());
    assert!(traces.namespaces() >= 3 * 5, "{traces:?}");

    mesh.end(Signal::KILL).unwrap();
    let ended = wait_for("nothing to be left", END, async || traces.left().is_empty().then_some(())).await;
    assert!(ended.is_ok(), "left after {END:?}: {:#?}", traces.left());
    load.stop().await;

    // What a killed process cannot remove, the user's next run does, even one that comes to nothing.
    let folder = mesh.run_dir();
    assert!(folder.is_dir(), "{}", folder.display());
    let next = home.weir("no-envoy").args(["up", "canary"]).output().unwrap();
    assert!(texts(&next).1.contains("no-envoy, which is no file"), "{next:?}");
    let left: Vec<_> = std::fs::read_dir(folder.parent().unwrap()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
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
