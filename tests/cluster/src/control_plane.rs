//! etcd, API server, controllers and scheduler.

use crate::command;
use crate::dir::Dir;
use crate::network::{self, CONTROL_PLANE};
use crate::supervise::keep;
use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The API server's port.
pub const PORT: u16 = 6443;

/// Starts all four, and returns when the API server is ready.
pub fn start(programs: &Path, dir: &Dir) -> Result<()> {
    let file = |name: &str| dir.pki(name).display().to_string();
    let part = |name: &str, arguments: &[(&str, &str)]| {
        let mut command = Command::new(programs.join(name));
        command.args(arguments.iter().map(|(option, value)| format!("--{option}={value}")));
        keep(command, &dir.log(name))
    };
    let etcd = "http://127.0.0.1:2379";
    part(
        "etcd",
        &[
            ("data-dir", &dir.at("etcd").display().to_string()),
            ("unsafe-no-fsync", "true"),
            ("listen-client-urls", etcd),
            ("advertise-client-urls", etcd),
            ("listen-peer-urls", "http://127.0.0.1:2380"),
        ],
    )?;
    part(
        "kube-apiserver",
        &[
            ("etcd-servers", etcd),
            ("advertise-address", &CONTROL_PLANE.to_string()),
            ("secure-port", &PORT.to_string()),
            ("tls-cert-file", &file("apiserver.crt")),
            ("tls-private-key-file", &file("apiserver.key")),
            ("client-ca-file", &file("ca.crt")),
            ("service-account-key-file", &file("tokens.pub")),
            ("service-account-signing-key-file", &file("tokens.key")),
            ("service-account-issuer", "https://kubernetes.default.svc"),
            ("service-cluster-ip-range", &network::services()),
            ("authorization-mode", "RBAC"),
            ("allow-privileged", "true"),
            // Nodes' names resolve nowhere.
            ("kubelet-preferred-address-types", "InternalIP"),
            ("kubelet-client-certificate", &file("admin.crt")),
            ("kubelet-client-key", &file("admin.key")),
            // The API server is no node: it reaches a webhook at its endpoint, not through a Service.
            ("enable-aggregator-routing", "true"),
        ],
    )?;
    write_json(&dir.kubeconfig_inside(), &kubeconfig(dir, &format!("https://{CONTROL_PLANE}:{PORT}"))?)?;
    let kubeconfig = dir.kubeconfig_inside().display().to_string();
    wait("the API server is ready", || kubectl(programs, dir, &["get", "--raw", "/readyz"]))?;
    part(
        "kube-controller-manager",
        &[
            ("kubeconfig", &kubeconfig),
            ("service-account-private-key-file", &file("tokens.key")),
            ("root-ca-file", &file("ca.crt")),
            ("use-service-account-credentials", "true"),
            ("leader-elect", "false"),
            // A node that is cut off is noticed in tests' time; but not every node is given up while etcd pauses for 10 s.
            ("node-monitor-period", "1s"),
            ("node-monitor-grace-period", "20s"),
        ],
    )?;
    part("kube-scheduler", &[("kubeconfig", &kubeconfig), ("leader-elect", "false")])
}

/// Runs kubectl inside the cluster's network.
pub fn kubectl(programs: &Path, dir: &Dir, arguments: &[&str]) -> Result<String> {
    command::output(Command::new(programs.join("kubectl")).arg("--kubeconfig").arg(dir.kubeconfig_inside()).args(arguments))
}

/// Tries until it succeeds, for a minute.
pub fn wait(what: &str, mut attempt: impl FnMut() -> Result<String>) -> Result<()> {
    let started = std::time::Instant::now();
    loop {
        match attempt() {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() > Duration::from_secs(60) => return Err(error.context(format!("not within a minute: {what}"))),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// The administrator's access to the API server at an address.
pub fn kubeconfig(dir: &Dir, server: &str) -> Result<Value> {
    let text = |name: &str| std::fs::read(dir.pki(name)).map(|bytes| BASE64_STANDARD.encode(bytes));
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "weir-test", "cluster": {"server": server, "certificate-authority-data": text("ca.crt")?}}],
        "users": [{"name": "admin", "user": {"client-certificate-data": text("admin.crt")?, "client-key-data": text("admin.key")?}}],
        "contexts": [{"name": "weir-test", "context": {"cluster": "weir-test", "user": "admin"}}],
        "current-context": "weir-test",
    }))
}

/// Writes a file that appears whole.
pub fn write_json(file: &Path, value: &Value) -> Result<()> {
    let aside = file.with_extension("new");
    std::fs::write(&aside, serde_json::to_vec_pretty(value)?)?;
    Ok(std::fs::rename(&aside, file)?)
}
