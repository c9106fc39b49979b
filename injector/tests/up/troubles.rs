//! What goes wrong in a pod, and how it is said and mended.

use super::mesh::{Mesh, Process, eventually, line};
use super::{deployment, service};
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_pod_that_cannot_start_says_so_once_and_can_be_stopped_and_removed() {
    let web = deployment("web", "v1", 1);
    let mesh = Mesh::start(&web, &[]);
    // Where the pod's folder would be.
    std::fs::write(mesh.run_dir().join("pods/bad-0.default"), "").unwrap();
    mesh.edit(&(web.clone() + &deployment("bad", "v1", 1)));
    eventually(Duration::from_secs(5), "it says so", || mesh.said().contains("bad-0: "));
    let failed = mesh.weir(&["stop", "bad-0", "-c", "app"]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("bad-0 has not started: "), "{failed:?}");
    assert_eq!(mesh.does(&["stop", "bad-0"]), "bad-0 stopped\n");
    mesh.becomes("bad-0", "Stopped");
    mesh.does(&["start", "bad-0"]);
    mesh.becomes("bad-0", "Waiting");
    mesh.edit(&web);
    eventually(Duration::from_secs(5), "it is gone", || mesh.pod("bad-0").is_null());
    assert_eq!(mesh.said().matches("bad-0: ").count(), 1, "{}", mesh.said());
}

#[test]
fn a_pod_with_a_long_name_has_a_shorter_host_name() {
    let name = "a".repeat(63);
    let mesh = Mesh::start(&deployment(&name, "v1", 1), &[]);
    assert_eq!(mesh.does(&["exec", &format!("{name}-0"), "--", "uname", "-n"]), format!("{name}\n"));
}

#[test]
fn a_stopped_container_leaves_no_process_behind() {
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {sidecar.istio.io/inject: \"false\"}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: shell, args: [-c, 'setsid sleep 1111 & exec sleep 1112']}
  - {name: other, image: shell, args: [-c, 'setsid sleep 1113 & exec sleep 1114']}
";
    let mesh = Mesh::start(manifest, &["--image", "shell=sh"]);
    let sleepers = || {
        let processes: Vec<_> = mesh.processes().iter().map(Process::command).filter(|command| command.starts_with("sleep 111")).collect();
        let numbers = processes.iter().map(|command| command.trim().trim_start_matches("sleep ").to_string());
        numbers.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let now_are = |expected: &str| eventually(Duration::from_secs(5), expected, || sleepers() == expected);
    now_are("1111 1112 1113 1114");
    mesh.does(&["stop", "web", "-c", "app"]);
    now_are("1113 1114");
    mesh.does(&["start", "web", "-c", "app"]);
    now_are("1111 1112 1113 1114");
    let mut exec = mesh.command(&["exec", "web", "--", "setsid", "sleep", "1115"]).stdout(Stdio::null()).spawn().unwrap();
    now_are("1111 1112 1113 1114 1115");
    mesh.does(&["stop", "web"]);
    now_are("");
    exec.wait().unwrap();
}

#[test]
fn a_pod_that_loses_its_namespaces_is_made_again() {
    let mesh = Mesh::start(&(deployment("web", "v1", 1) + &service("web")), &[]);
    let ip = mesh.pod("web-0")["ip"].clone();
    let before = mesh.pod("web-0")["containers"][0]["pid"].clone();
    let processes = mesh.processes();
    processes.iter().find(|process| process.command().starts_with("weir inside pause")).unwrap().kill();
    let runs_again = |pod: serde_json::Value| pod["ready"] == true && pod["containers"][0]["pid"] != before;
    eventually(Duration::from_secs(10), "it runs again", || runs_again(mesh.pod("web-0")));
    assert!(mesh.said().contains("web-0: its namespaces are lost; it is tried again"), "{}", mesh.said());
    assert_eq!(mesh.pod("web-0")["ip"], ip);
    assert_eq!(mesh.ask("web-0", "http://web:8080/")["pod"], "web-0");
}

#[test]
fn what_is_left_out_is_said_and_containers_without_ports_run() {
    let manifest = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {sidecar.istio.io/inject: \"false\"}}
spec: {containers: [{name: app, image: a}, {name: helper, image: b}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: b}
";
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mesh = Mesh::start(manifest, &["--for", "3000000000000000h", "--gateway-port", &port, "--image", "nosuch=sh"]);
    assert_eq!(mesh.pod("web")["restarts"], 0);
    for part in [
        "info: StatefulSet (apps/v1) is not a kind that Weir reads; all of them are ignored\n",
        "--image nosuch: no container uses it; the images are a, b\n",
    ] {
        assert_eq!(mesh.said().matches(part).count(), 1, "{part}: {}", mesh.said());
    }
    eventually(Duration::from_secs(5), "an unused port is told", || {
        mesh.said().contains(&format!("no Gateway uses --gateway-port {port}\n"))
    });
}

#[test]
fn a_request_that_is_not_understood_is_answered() {
    let mesh = Mesh::start(&deployment("web", "v1", 1), &[]);
    let mut stream = UnixStream::connect(mesh.run_dir().join("control.sock")).unwrap();
    stream.write_all(b"{\"files\":0,\"message\":\"Dance\"}\n").unwrap();
    let answer = line(&mut BufReader::new(stream));
    assert!(answer.contains("Failed") && answer.contains("Dance"), "{answer}");
}

#[test]
fn a_disk_that_cannot_be_written_ends_nothing() {
    let web = deployment("web", "v1", 1);
    let mesh = Mesh::start(&web, &[]);
    let (cluster, away) = (mesh.run_dir().join("cluster"), mesh.run_dir().join("away"));
    std::fs::rename(&cluster, &away).unwrap();
    mesh.edit(&(web.clone() + &deployment("more", "v1", 1) + &service("more").replace("clusterIP: None, ", "")));
    eventually(Duration::from_secs(5), "the error is told", || mesh.said().contains("addresses.yaml"));
    std::fs::rename(&away, &cluster).unwrap();
    mesh.does(&["stop", "web-0"]);
    let written = |name: &str| std::fs::read_to_string(cluster.join(name)).unwrap();
    eventually(Duration::from_secs(5), "it is tried again", || {
        written("addresses.yaml").contains("\"more\"") && written("pods.yaml").contains("more-0")
    });
    mesh.becomes("more-0", "Ready");
}

#[test]
fn following_logs_ends_with_the_mesh() {
    let mut mesh = Mesh::start(&deployment("web", "v1", 1), &[]);
    std::fs::write(mesh.run_dir().join("logs/web-0.default/app.log"), "hello\n").unwrap();
    let mut follow = mesh.command(&["logs", "-f", "web-0"]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(line(&mut BufReader::new(follow.stdout.as_mut().unwrap())), "hello\n");
    mesh.end(rustix::process::Signal::TERM);
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}
