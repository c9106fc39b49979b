//! The processes of the bench: the control plane, and an Envoy per row. They end with the bench, however that ends.

use super::manifests::{GATEWAYS, ZONE, gateway, gateway_address};
use crate::tools::{wait_for, weir};
use anyhow::{Context, Result};
use rustix::process::{Signal, getpid, set_parent_process_death_signal};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_mesh::bootstrap::{Bootstrap, ControlPlane, build};
use weir_mesh::node::{Node, Role};

const START: Duration = Duration::from_secs(30);

/// A process that is killed when this is dropped.
pub struct Process(Child);

impl Process {
    fn start(command: &mut Command, log: &Path) -> Result<Process> {
        let parent = getpid();
        let end_with_parent = move || -> io::Result<()> {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have died before.
            if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::Error::other("the bench ended")) }
        };
        // SAFETY: two system calls, which are safe to make between fork and exec.
        unsafe { command.pre_exec(end_with_parent) };
        let output = std::fs::File::create(log)?;
        let started = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
        Ok(Process(started.with_context(|| format!("starting {}", command.get_program().display()))?))
    }

    /// Nanoseconds on a CPU so far, of all threads.
    pub fn cpu(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let time = text.split_whitespace().next().and_then(|time| time.parse::<u64>().ok());
            sum += time.with_context(|| format!("schedstat says {text:?}"))?;
        }
        Ok(sum)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `weir serve` and waits until it listens; `ads` is a free port.
pub async fn serve(folder: &Path, objects: &Path, modules: &Path, ads: SocketAddr) -> Result<Process> {
    let log = folder.join("serve.log");
    let mut command = Command::new(weir());
    command.arg("serve").arg("--files").arg(objects).args(["--ads", &ads.to_string()]).arg("--modules").arg(modules);
    let process = Process::start(&mut command, &log)?;
    let listens = async || tokio::net::TcpStream::connect(ads).await.ok();
    wait_for("weir serve listens", START, listens).await.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    Ok(process)
}

/// The Envoy of a row.
pub struct Envoy {
    /// Its process.
    pub process: Process,
    admin: SocketAddr,
    log: PathBuf,
}

impl Envoy {
    /// Starts the Envoy of a row.
    pub fn start(program: &Path, folder: &Path, row: usize, ads: SocketAddr, admin: SocketAddr) -> Result<Envoy> {
        let node = Node {
            role: Role::Router,
            ip: gateway_address(row),
            pod: gateway(row),
            namespace: GATEWAYS.into(),
            domain: "cluster.local".into(),
            modules: Default::default(),
        };
        let locality = Some((ZONE.0.into(), ZONE.1.into()));
        let mut bootstrap = build(&Bootstrap { node, locality, control_plane: ControlPlane::Local(ads) });
        // Several Envoys in one network namespace: ports that are free, and no mark, which needs a privilege.
        bootstrap["admin"]["address"]["socket_address"]["port_value"] = admin.port().into();
        bootstrap["static_resources"]["listeners"] = json!([]);
        bootstrap["cluster_manager"]["upstream_bind_config"] = json!(null);
        let (file, log) = (folder.join(format!("envoy-{row}.json")), folder.join(format!("envoy-{row}.log")));
        std::fs::write(&file, bootstrap.to_string())?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).args(["--log-level", "warning", "--disable-hot-restart", "--concurrency", "1"]);
        Ok(Envoy { process: Process::start(&mut command, &log)?, admin, log })
    }

    /// Waits until it has its configuration, with its filters.
    pub async fn ready(&self) -> Result<()> {
        let is_ready = async || self.admin("/ready").await.ok().filter(|answer| answer.contains("LIVE"));
        let ready = wait_for("an Envoy is ready", START, is_ready).await;
        ready.map(drop).with_context(|| std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// The value of a counter.
    pub async fn counter(&self, name: &str) -> Result<u64> {
        let answer = self.admin(&format!("/stats?filter=^{}$", name.replace('.', "\\."))).await?;
        Ok(answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok()).unwrap_or(0))
    }

    async fn admin(&self, path: &str) -> Result<String> {
        let mut stream = tokio::net::TcpStream::connect(self.admin).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// So many ports that were free just now.
pub fn free_ports(count: usize) -> Result<Vec<SocketAddr>> {
    let listeners: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    Ok(listeners.iter().map(std::net::TcpListener::local_addr).collect::<io::Result<_>>()?)
}

/// Envoy's program: `$ENVOY`, else the PATH's, else the project's own.
pub fn envoy() -> Result<PathBuf> {
    let named = std::env::var_os("ENVOY").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        || std::env::split_paths(&path).chain([crate::tools::project(".tools")]).map(|folder| folder.join("envoy")).find(|it| it.is_file());
    named.or_else(found).context("no Envoy: `make envoy` fetches it, $ENVOY names one")
}
