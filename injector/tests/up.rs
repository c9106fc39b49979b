//! `weir up` and its commands, with the real binary: what a user of one machine sees.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may")]

#[path = "up/gateways.rs"]
mod gateways;
mod mesh;
#[path = "up/troubles.rs"]
mod troubles;

use mesh::{Mesh, Process, eventually, line, outside, signal, weir};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::BufReader;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A Deployment whose pods are the stand-in alone, without Envoy: what these tests are about needs none.
fn deployment(name: &str, version: &str, replicas: u32) -> String {
    let labels = format!("{{app: {name}, version: {version}, sidecar.istio.io/inject: \"false\"}}");
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {labels}}}
    spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: app, image: any, ports: [{{containerPort: 8080}}]}}]}}
"
    )
}

fn service(name: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{clusterIP: None, selector: {{app: {name}}}, ports: [{{port: 8080}}]}}
"
    )
}

#[test]
fn killed_as_an_ordinary_user_it_leaves_nothing() {
    let before = outside();
    let manifest = deployment("web", "v1", 2).replace("\"false\"", "\"true\"");
    let mut mesh = Mesh::start_as_ordinary_user(&manifest);
    assert_eq!(mesh.pod("web-0")["containers"][0]["name"], "istio-proxy", "with real Envoys");
    let uid = mesh.weir(&["exec", "web-0", "--", "id", "-u"]);
    assert_eq!(String::from_utf8_lossy(&uid.stdout), "0\n", "the user is root inside: {uid:?}");
    let processes = mesh.processes();
    assert!(processes.len() > 6, "{processes:?}");
    let namespaces: BTreeSet<_> = processes.iter().flat_map(Process::namespaces).collect();
    let own = namespaces.difference(&Process::this().namespaces()).count();
    assert!(own > 3, "{namespaces:?}");

    mesh.end(Signal::KILL);
    eventually(Duration::from_secs(3), "every process has ended", || processes.iter().all(Process::has_ended));
    // A namespace lives as long as its processes, unless it is mounted somewhere.
    assert_eq!(outside(), before);
}

#[test]
fn ended_by_a_signal_or_its_time_it_ends_all_within_three_seconds() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut mesh = Mesh::start(&deployment("web", "v1", 1), &[]);
        let processes = mesh.processes();
        let (code, took) = mesh.end(signal);
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(3), "{signal:?}: {took:?}");
        assert!(processes.iter().all(Process::has_ended), "{signal:?}");
    }
    let mut mesh = Mesh::start(&deployment("web", "v1", 1), &["--for", "300ms"]);
    assert_eq!(mesh.wait(), Some(0));
}

#[test]
fn when_the_runner_dies_all_ends_and_it_says_so() {
    let mut mesh = Mesh::start(&deployment("web", "v1", 1), &[]);
    let processes = mesh.processes();
    let runner = processes.iter().find(|process| process.command().starts_with("weir inside run")).unwrap();
    runner.kill();
    assert_eq!(mesh.wait(), Some(1));
    assert!(mesh.said().contains("weir: the runner ended"), "{}", mesh.said());
    assert!(processes.iter().all(Process::has_ended));
}

#[test]
fn exec_is_in_the_pod_with_our_input_and_output_and_its_code() {
    let mesh = Mesh::start(&(deployment("web", "v7", 1) + &service("web")), &["--zones", "r/z"]);
    assert_eq!(mesh.weir(&["exec", "web", "--", "sh", "-c", "exit 3"]).status.code(), Some(3));
    assert_eq!(mesh.weir(&["exec", "web", "--", "no-such-program"]).status.code(), Some(127));
    let echoed = mesh.weir_with(&["exec", "web", "--", "sh", "-c", "cat; echo $HOSTNAME $VERSION $ZONE >&2"], "hello\n");
    assert_eq!((echoed.stdout.as_slice(), echoed.stderr.as_slice()), (b"hello\n".as_slice(), b"web-0 v7 z\n".as_slice()));

    let answer = mesh.ask("web-0", "http://web:8080/x");
    let expected = json!({"service": "web", "pod": "web-0", "namespace": "default", "version": "v7", "zone": "z", "path": "/x"});
    let named = expected.as_object().unwrap().keys().map(|key| (key.clone(), answer[key].clone())).collect();
    assert_eq!(Value::Object(named), expected);
}

#[test]
fn a_signal_for_exec_reaches_its_program() {
    let mesh = Mesh::start(&deployment("web", "v1", 1), &[]);
    let script = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = mesh.command(&["exec", "web", "--", "sh", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(line(&mut output), "ready\n");
    signal(&child, Signal::TERM);
    assert_eq!(line(&mut output), "bye\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_stopped_container_and_a_stopped_pod_stay_stopped_until_they_are_started() {
    let mesh = Mesh::start(&(deployment("web", "v1", 1) + &service("web") + &deployment("client", "v1", 1)), &[]);
    let ip = mesh.pod("web-0")["ip"].clone();
    let url = format!("http://{}:8080/", ip.as_str().unwrap());
    for (stop, state) in [
        (&["stop", "web-0", "-c", "app", "--signal", "KILL"][..], "Waiting"),
        (&["stop", "web-0", "-c", "app"], "Waiting"),
        (&["stop", "web-0", "--signal", "KILL"], "Stopped"),
        (&["stop", "web-0", "--grace", "1"], "Stopped"),
    ] {
        mesh.does(stop);
        assert_eq!(mesh.pod("web-0")["state"], state, "{stop:?}");
        // Its network stays, so that callers are refused and need not wait.
        let refused = mesh.weir(&["exec", "client", "--", weir(), "sample", "ask", "http2", &url]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("refused"), "{refused:?}");
        mesh.does(&["start", "web-0"]);
        mesh.becomes("web-0", "Ready");
        assert_eq!((&mesh.pod("web-0")["ip"], &mesh.pod("web-0")["restarts"]), (&ip, &json!(0)), "{stop:?}");
        assert_eq!(mesh.ask("client", "http://web:8080/")["pod"], "web-0");
    }
}

#[test]
fn a_program_that_dies_is_started_again_and_said_so() {
    let mesh = Mesh::start(&deployment("web", "v1", 1), &[]);
    let pid = mesh.pod("web-0")["containers"][0]["pid"].clone();
    mesh.does(&["exec", "web-0", "--", "kill", "-9", &pid.to_string()]);
    eventually(Duration::from_secs(5), "it runs again", || mesh.pod("web-0")["restarts"] == 1 && mesh.pod("web-0")["ready"] == true);
    assert_ne!(mesh.pod("web-0")["containers"][0]["pid"], pid);
    assert!(mesh.said().contains("web-0/app was ended by signal 9; it starts again in 0.5 s"), "{}", mesh.said());
}

#[test]
fn edits_of_the_files_take_effect_while_it_runs() {
    let mesh = Mesh::start(&deployment("web", "v1", 2), &["--zones", "a,b"]);
    let shown = |pod: &Value| format!("{} {} {}", pod["name"], pod["zone"], pod["version"]).replace('"', "");
    let pods = || mesh.look()["pods"].as_array().unwrap().iter().map(|pod| (shown(pod), pod["ready"] == true)).collect::<Vec<_>>();
    let now_are = |expected: &[&str]| {
        let expected: Vec<_> = expected.iter().map(|pod| (pod.to_string(), true)).collect();
        eventually(Duration::from_secs(10), &format!("{expected:?}"), || pods() == expected);
    };
    now_are(&["web-0 local/a v1", "web-1 local/b v1"]);
    mesh.edit(&deployment("web", "v1", 3));
    now_are(&["web-0 local/a v1", "web-1 local/b v1", "web-2 local/a v1"]);
    mesh.edit(&deployment("web", "v1", 1));
    now_are(&["web-0 local/a v1"]);
    mesh.edit(&deployment("web", "v2", 1));
    now_are(&["web-0-2 local/a v2"]);

    mesh.edit("a: [");
    eventually(Duration::from_secs(5), "the error is told", || mesh.said().contains("mesh.yaml:1:"));
    now_are(&["web-0-2 local/a v2"]);
    mesh.edit(&(deployment("web", "v2", 1) + &deployment("more", "v1", 1)));
    now_are(&["more-0 local/a v1", "web-0-2 local/a v2"]);
}

#[test]
fn what_is_applied_and_deleted_takes_effect_while_it_runs() {
    let mesh = Mesh::start(&(deployment("web", "v1", 1) + &service("web")), &[]);
    let services = || mesh.look()["services"].as_array().unwrap().iter().map(|service| service["name"].clone()).collect::<Vec<_>>();
    let now_are = |expected: &[&str]| eventually(Duration::from_secs(5), &format!("{expected:?}"), || services() == expected);
    assert_eq!(mesh.does_with(&["apply", "-f", "-"], &service("extra")), "Service default/extra applied\n");
    now_are(&["extra", "web"]);
    let both = service("extra") + &service("web");
    assert_eq!(mesh.does_with(&["delete", "-f", "-"], &both), "Service default/extra deleted\nService default/web deleted\n");
    now_are(&[]);
    mesh.does_with(&["apply", "-f", "-"], &service("web"));
    now_are(&["web"]);
    assert!(!mesh.weir_with(&["apply", "-f", "-"], "a: [").status.success());
}

#[test]
fn two_meshes_of_one_user_do_not_disturb_each_other() {
    let meshes = ["one", "two"].map(|version| Mesh::start(&(deployment("web", version, 1) + &service("web")), &[]));
    for (mesh, version) in meshes.iter().zip(["one", "two"]) {
        assert_eq!(mesh.ask("web-0", "http://web:8080/")["version"], version);
    }
    assert_eq!(meshes[0].pod("web-0")["ip"], meshes[1].pod("web-0")["ip"]);
}

#[test]
fn a_readiness_probe_decides_when_a_pod_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready");
    let manifest = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{sidecar.istio.io/inject: \"false\"}}}}
spec:
  containers:
  - name: app
    image: weir-sample
    args: [stand-in, --port, \"80\"]
    readinessProbe: {{periodSeconds: 1, failureThreshold: 1, exec: {{command: [test, -e, {}]}}}}
",
        file.display()
    );
    let mesh = Mesh::start_without_waiting(&manifest, &[]);
    eventually(Duration::from_secs(10), "it waits for its probe", || {
        let view = mesh.try_look().unwrap_or_default();
        view["pods"][0]["reason"].as_str().is_some_and(|reason| reason.contains("readiness probe: test -e"))
    });
    std::fs::write(&file, "").unwrap();
    mesh.becomes("web", "Ready");
    std::fs::remove_file(&file).unwrap();
    mesh.becomes("web", "Waiting");
}

#[test]
fn says_what_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let (good, empty) = (folder.path().join("good.yaml"), folder.path().join("empty.yaml"));
    std::fs::write(&good, deployment("web", "v1", 1)).unwrap();
    std::fs::write(&empty, "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n").unwrap();
    let (good, empty) = (good.to_str().unwrap(), empty.to_str().unwrap());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let taken_by = format!("port {port} is taken by ");
    for (args, envoy, expected) in [
        (&["up", good, "--gateway-port", &port][..], None, taken_by.as_str()),
        (&["up", "/no/such/path"], None, "/no/such/path: No such file or directory"),
        (&["up", empty], None, "nothing to run: no Deployment, Pod or Gateway in"),
        (&["up", good, "--zones", "a,,b"], None, "a zone has no name"),
        (&["up", good, "--image", "app=no-such-program"], None, "there is no program no-such-program"),
        (&["up", good, "--image", "app=/etc/passwd"], None, "/etc/passwd is not executable"),
        (&["up", good], Some("/etc/passwd"), "ENVOY names /etc/passwd, which is not executable"),
        (&["up", good], Some("/no/envoy"), "ENVOY names /no/envoy, which is no file"),
        (&["get", "--run-dir", "/no/run"], None, "no mesh runs in /no/run"),
    ] {
        let mut command = Command::new(weir());
        command.args(args);
        if let Some(envoy) = envoy {
            command.env("ENVOY", envoy);
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}: {errors}");
        assert!(errors.contains(expected), "{args:?}: {errors}");
    }
}
