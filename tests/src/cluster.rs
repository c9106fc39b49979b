//! A Kubernetes cluster with Weir in it, shared by the tests of one program.

use crate::tools::{Process, envoy, processes, processes_with, project, texts, wait_for, weir};
use crate::{Mesh, able};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use weir_cluster::dir::Dir;
use weir_cluster::{network, node, programs, relay};

/// The namespace of the control plane.
pub const SYSTEM: &str = "weir-system";
/// Pods are ready, or gone, within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many clusters this program has started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// The cluster.
pub struct Cluster {
    kubeconfig: OsString,
    programs: PathBuf,
    own: Option<Own>,
    ingress: OnceLock<SocketAddr>,
}

/// A cluster that these tests started. It ends when the program does: then its standard input ends.
struct Own {
    dir: Dir,
    process: Child,
    input: Option<ChildStdin>,
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// The cluster with Weir installed, started when the first test asks; none where it cannot run, which was then said.
pub fn shared() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    able::to_run_a_cluster().then(|| {
        CLUSTER.get_or_init(|| {
            let cluster = Cluster::start().expect("a cluster");
            cluster.install().expect("weir install");
            cluster
        })
    })
}

/// The cluster that the user names, if any.
pub fn named() -> Option<OsString> {
    ["WEIR_TEST_KUBECONFIG", "KUBECONFIG"].into_iter().find_map(std::env::var_os).filter(|path| !path.is_empty())
}

impl Cluster {
    /// The cluster that the user names, else a new one.
    pub fn start() -> Result<Cluster> {
        let programs = programs::build()?;
        if let Some(kubeconfig) = named() {
            return Ok(Cluster { kubeconfig, programs, own: None, ingress: OnceLock::new() });
        }
        let dir =
            Dir(std::env::temp_dir().join(format!("weir-cluster-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed))));
        let mut command = Command::new(weir().with_file_name("cluster"));
        command.arg("run").arg(&dir.0).arg("--envoy").arg(envoy().context("an Envoy")?.canonicalize()?);
        let mut process = command.stdin(Stdio::piped()).spawn().context("starting the cluster")?;
        let input = process.stdin.take().context("stdin is piped")?;
        while !dir.kubeconfig().exists() {
            if let Some(status) = process.try_wait()? {
                bail!("the cluster did not start: {status}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let kubeconfig = dir.kubeconfig().into();
        Ok(Cluster { kubeconfig, programs, own: Some(Own { dir, process, input: Some(input) }), ingress: OnceLock::new() })
    }

    /// Installs Weir as a user would, and gives the gateway ports on every node.
    fn install(&self) -> Result<()> {
        let args =
            ["install", "--wait", "--set", "ingressGateway.service.type=NodePort", "--set", "ingressGateway.autoscaling.enabled=false"];
        let output = self.weir(&args)?;
        let (out, errors) = texts(&output);
        if !output.status.success() {
            let seen = self.kubectl(&["get", "pods,events", "-A", "-o", "wide"]).unwrap_or_default();
            bail!("weir install: {out}{errors}\n{seen}");
        }
        Ok(())
    }

    /// The file by which programs find it.
    pub fn kubeconfig(&self) -> &Path {
        Path::new(&self.kubeconfig)
    }

    /// Runs a command of `weir` on this cluster, as a user would type it in the project's folder.
    pub fn weir(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(weir());
        command.args(args).env("KUBECONFIG", &self.kubeconfig).current_dir(project(""));
        command.stdin(Stdio::null()).output().context("running weir")
    }

    /// The same, which must succeed; gives what it printed.
    pub fn ask(&self, args: &[&str]) -> Result<String> {
        let output = self.weir(args)?;
        let (out, errors) = texts(&output);
        ensure!(output.status.success(), "weir {args:?}: {out}{errors}");
        Ok(out)
    }

    /// A program of the cluster's that talks to its API server: kubectl, helm, kubectl-argo-rollouts.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env("KUBECONFIG", &self.kubeconfig).current_dir(project("")).stdin(Stdio::null());
        command
    }

    /// Runs kubectl, which must succeed; gives what it printed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let output = self.program("kubectl").args(args).output()?;
        let (out, errors) = texts(&output);
        ensure!(output.status.success(), "kubectl {args:?}: {out}{errors}");
        Ok(out)
    }

    /// The same for JSON.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&[&["get", "-o", "json"], args].concat())?)?)
    }

    /// Applies a manifest.
    pub fn apply_text(&self, text: &str) -> Result<()> {
        self.kubectl_with(&["apply", "-f", "-"], text).map(drop)
    }

    /// Asks the API server whether it would take a manifest: what it then says, in any case.
    pub fn try_text(&self, text: &str) -> Result<Result<String, String>> {
        let output = self.kubectl_output(&["apply", "--dry-run=server", "-f", "-"], text)?;
        let (out, errors) = texts(&output);
        Ok(if output.status.success() { Ok(out + &errors) } else { Err(errors) })
    }

    /// Runs kubectl, which must succeed, on a text; gives what it printed.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.kubectl_output(args, input)?;
        let (out, errors) = texts(&output);
        ensure!(output.status.success(), "kubectl {args:?}: {errors}");
        Ok(out)
    }

    fn kubectl_output(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut kubectl = self.program("kubectl");
        let mut child = kubectl.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("stdin is piped")?.write_all(input.as_bytes())?;
        Ok(child.wait_with_output()?)
    }

    /// A namespace whose pods get sidecars; it goes with the result.
    pub fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        self.kubectl(&["create", "namespace", name])?;
        self.kubectl(&["label", "namespace", name, "istio-injection=enabled"])?;
        Ok(Namespace { cluster: self, name: name.into() })
    }

    /// How many requests a pod's Envoy has passed to its app's port 8080.
    pub fn arrived(&self, namespace: &str, pod: &str) -> Result<u64> {
        self.counter(namespace, pod, "envoy_cluster_upstream_rq_total", "inbound|8080||")
    }

    /// A counter of a pod's Envoy, by its name for Prometheus and a part of its labels.
    pub fn counter(&self, namespace: &str, pod: &str, name: &str, labels: &str) -> Result<u64> {
        let stats = self.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{namespace}/pods/{pod}:15090/proxy/stats/prometheus")])?;
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') && rest.contains(labels));
        let value = stats.lines().find(is_it).and_then(|line| line.split_whitespace().next_back());
        Ok(value.with_context(|| format!("no {name} of {pod}:\n{stats}"))?.parse()?)
    }

    /// Sends a signal to a process that the cluster consists of, such as kube-apiserver.
    pub fn signal(&self, program: &str, signal: Signal) -> Result<()> {
        let is_it = |process: &Process| process.arguments.first().is_some_and(|own| own.ends_with(&format!("/{program}")));
        let found = self.processes()?.into_iter().find(is_it).with_context(|| format!("the process of {program}"))?;
        Ok(kill_process(found.pid, signal)?)
    }

    /// Kills a pod's Envoy.
    pub fn kill_envoy(&self, namespace: &str, pod: &str) -> Result<()> {
        let pod = self.get(&["pod", pod, "-n", namespace])?;
        let mut containers = pod["status"]["initContainerStatuses"].as_array().into_iter().flatten();
        let proxy = containers.find(|container| container["name"] == "istio-proxy").context("a proxy")?;
        let id = proxy["containerID"].as_str().and_then(|id| id.strip_prefix("containerd://")).context("its container's id")?;
        let is_it = |process: &Process| {
            process.arguments.first().is_some_and(|program| program.ends_with("envoy")) && process.read("cgroup").contains(id)
        };
        let found = processes().into_iter().find(is_it).context("the process of Envoy")?;
        Ok(kill_process(found.pid, Signal::KILL)?)
    }

    /// Pulls a node's network plug, or puts it in again.
    pub fn plug(&self, node: &str, into: bool) -> Result<()> {
        let is_it = |process: &Process| process.arguments.get(1).is_some_and(|role| role == "machine");
        let machine = self.processes()?.into_iter().find(is_it).context("the process whose network the nodes are plugged into")?;
        let state = if into { "up" } else { "down" };
        let pid = machine.pid.as_raw_nonzero();
        weir_cluster::command::line(&format!("nsenter --target {pid} --net ip link set {node} {state}")).map(drop)
    }

    fn processes(&self) -> Result<Vec<Process>> {
        let own = self.own.as_ref().context("only a cluster of the tests' own has processes here")?;
        Ok(processes_with(&own.dir.0.display().to_string()))
    }

    /// Brings Argo Rollouts' controller, by the manifest of its release.
    pub fn argo_rollouts(&self) -> Result<()> {
        let manifest = std::fs::read_to_string(self.programs.join("argo-rollouts.yaml"))?;
        self.kubectl(&["create", "namespace", "argo-rollouts"])?;
        // The image is there, and a test's node does not say how large its disk is.
        let present =
            manifest.replace("imagePullPolicy: Always", "imagePullPolicy: IfNotPresent").replace("ephemeral-storage: 1Gi", "cpu: 1");
        self.kubectl_with(&["apply", "--server-side", "-n", "argo-rollouts", "-f", "-"], &present)?;
        self.kubectl(&["rollout", "status", "deployment/argo-rollouts", "-n", "argo-rollouts", "--timeout=90s"]).map(drop)
    }

    /// Tries until it holds.
    pub fn wait<T>(&self, what: &str, mut check: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = check()? {
                return Ok(found);
            }
            if started.elapsed() > PATIENCE {
                let seen = self.kubectl(&["get", "pods", "-A", "-o", "wide"]).unwrap_or_default();
                bail!("{what}: not seen within {PATIENCE:?}\n{seen}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a URL of the ingress gateway answers.
    pub async fn answers(&self, url: &str) -> Result<()> {
        wait_for(&format!("an answer of {url}"), PATIENCE, async || {
            let report = self.count(url, 10, &[]).await.ok()?;
            (report.failed == 0).then_some(())
        })
        .await
    }

    /// An address of this machine that leads to an address in the cluster.
    pub fn forward(&self, to: SocketAddr) -> Result<SocketAddr> {
        let own = self.own.as_ref().context("only in a cluster of the tests' own is every address reached")?;
        Ok((Ipv4Addr::LOCALHOST, relay::forward(&own.dir, to)?).into())
    }

    fn ingress(&self) -> Result<SocketAddr> {
        let service = self.get(&["service", "weir-ingressgateway", "-n", SYSTEM])?;
        let port = service["spec"]["ports"].as_array().into_iter().flatten().find(|port| port["port"] == 80);
        let port = port.and_then(|port| port["nodePort"].as_u64()).context("a port of the nodes for port 80")?;
        let node = node::all().first().map(|node| network::node(node.index)).context("a node")?;
        self.forward((node, u16::try_from(port)?).into())
    }
}

impl Mesh for Cluster {
    fn gateway(&self) -> SocketAddr {
        *self.ingress.get_or_init(|| self.ingress().expect("the ingress gateway"))
    }

    fn apply(&self, path: &str) -> Result<()> {
        self.kubectl(&["apply", "-f", path]).map(drop)
    }
}

/// A namespace that goes when it is dropped, with all that is in it.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    /// Its name.
    pub name: String,
}

impl Namespace<'_> {
    /// Applies files of the project.
    pub fn apply(&self, files: &[&str]) -> Result<()> {
        let files = files.iter().flat_map(|file| ["-f", *file]);
        self.cluster.kubectl(&["apply", "-n", &self.name].into_iter().chain(files).collect::<Vec<_>>()).map(drop)
    }

    /// Waits until there are pods and all of them are ready with all containers; gives them.
    pub fn ready(&self) -> Result<Vec<Value>> {
        self.cluster.wait(&format!("all pods of {} are ready", self.name), || {
            let pods = self.pods()?;
            let wanted: u64 = self.deployments()?.iter().map(|deployment| deployment["spec"]["replicas"].as_u64().unwrap_or(0)).sum();
            let all = pods.len() as u64 >= wanted && !pods.is_empty() && pods.iter().all(is_ready);
            Ok(all.then_some(pods))
        })
    }

    /// Its pods that are not about to end.
    pub fn pods(&self) -> Result<Vec<Value>> {
        let mut pods = self.items("pods")?;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(pods)
    }

    fn deployments(&self) -> Result<Vec<Value>> {
        self.items("deployments")
    }

    fn items(&self, kind: &str) -> Result<Vec<Value>> {
        let list = self.cluster.get(&[kind, "-n", &self.name])?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [["get", "pods,events"], ["describe", "pods"]] {
                eprintln!("{}", self.cluster.kubectl(&[&args[..], &["-n", &self.name]].concat()).unwrap_or_default());
            }
        }
        let _ = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// Whether a pod has the condition Ready.
pub fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
