//! The host's side of a cluster: starts it, lets the API server be reached, and leaves nothing behind.

use crate::control_plane::{PORT, kubeconfig, write_json};
use crate::dir::Dir;
use crate::image::Image;
use crate::network::CONTROL_PLANE;
use crate::node::PAUSE_IMAGE;
use crate::{needs, pki, programs, relay};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// CoreDNS as the manifest names it.
const DNS_IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.14.3";

/// Argo Rollouts' controller as its manifest names it.
const ROLLOUTS_IMAGE: &str = "quay.io/argoproj/argo-rollouts:latest";

/// Runs a cluster in the folder until `ended` returns; then nothing of it is left. Its nodes have the images of the files and `own`.
pub fn run(dir: &Dir, images: &[PathBuf], own: &[Image], ended: impl FnOnce() + Send + 'static) -> Result<()> {
    if let Some(missing) = needs::missing() {
        bail!("{missing}");
    }
    if dir.owner().exists() {
        bail!("a cluster runs in {}, or one was killed there: `cluster down` ends it", dir.0.display());
    }
    let programs = programs::build()?;
    let created = create(dir, &programs, images, own);
    let result = created.and_then(|()| serve(dir, &programs, ended));
    remove(dir).context("removing what is left")?;
    result
}

/// Ends the cluster that runs in the folder, if one does, and removes what it left.
pub fn down(dir: &Dir) -> Result<()> {
    if let Ok(owner) = std::fs::read_to_string(dir.owner()) {
        let pid = Pid::from_raw(owner.trim().parse()?).context("a process id")?;
        let command = std::fs::read(format!("/proc/{}/cmdline", owner.trim())).unwrap_or_default();
        // Its id may be another process's by now.
        if String::from_utf8_lossy(&command).contains(&dir.0.display().to_string()) {
            kill_process(pid, Signal::TERM)?;
            for _ in 0..300 {
                if !dir.owner().exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    remove(dir)
}

fn create(dir: &Dir, programs: &Path, images: &[PathBuf], own: &[Image]) -> Result<()> {
    std::fs::create_dir_all(dir.images())?;
    std::fs::write(dir.owner(), std::process::id().to_string())?;
    pki::write(dir)?;
    let of = |name: &str, program: &str, user: &str| Image {
        names: vec![name.into()],
        files: [(format!("/{program}").into(), programs.join(program))].into(),
        entrypoint: vec![format!("/{program}")],
        user: user.into(),
    };
    of(PAUSE_IMAGE, "pause", "65535:65535").write(&dir.images().join("pause.tar"))?;
    of(DNS_IMAGE, "coredns", "0:0").write(&dir.images().join("coredns.tar"))?;
    of(ROLLOUTS_IMAGE, "rollouts-controller", "999:999").write(&dir.images().join("rollouts.tar"))?;
    for (number, image) in own.iter().enumerate() {
        image.write(&dir.images().join(format!("own-{number}.tar")))?;
    }
    for (number, image) in images.iter().enumerate() {
        let there = dir.images().join(format!("{number}.tar"));
        std::fs::copy(image, there).with_context(|| image.display().to_string())?;
    }
    Ok(())
}

fn serve(dir: &Dir, programs: &Path, ended: impl FnOnce() + Send + 'static) -> Result<()> {
    let port = relay::forward(dir, (CONTROL_PLANE, PORT).into())?;
    let mut machine = start(dir, programs)?;
    let outcome = machine_ready(dir, &mut machine).and_then(|()| {
        write_json(&dir.kubeconfig(), &kubeconfig(dir, &format!("https://127.0.0.1:{port}"))?)?;
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            ended();
            let _ = send.send(());
        });
        while receive.recv_timeout(Duration::from_millis(200)).is_err() {
            if let Some(status) = machine.try_wait()? {
                bail!("the cluster ended: {status}, see {}", dir.log("machine").display());
            }
        }
        Ok(())
    });
    end(&mut machine)?;
    outcome
}

/// Ends the first process inside, and with it all others. `unshare` waits for it, and so for them: killed itself, it would not.
fn end(machine: &mut Child) -> Result<()> {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", machine.id())).unwrap_or_default();
    match children.split_whitespace().next().and_then(|child| child.parse().ok()).and_then(Pid::from_raw) {
        Some(first) => kill_process(first, Signal::KILL)?,
        None => machine.kill()?,
    }
    machine.wait()?;
    Ok(())
}

/// Everything inside ends when this process does, however it ends.
fn start(dir: &Dir, programs: &Path) -> Result<Child> {
    std::fs::create_dir_all(dir.at("log"))?;
    let log = std::fs::File::create(dir.log("machine"))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc"]);
    command.arg(std::env::current_exe()?).arg("init").arg(programs).arg(&dir.0);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("setpriv and unshare")
}

fn machine_ready(dir: &Dir, machine: &mut Child) -> Result<()> {
    while !dir.ready().exists() {
        if let Some(status) = machine.try_wait()? {
            let log = std::fs::read_to_string(dir.log("machine")).unwrap_or_default();
            bail!("the cluster did not start: {status}\n{log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn remove(dir: &Dir) -> Result<()> {
    // Where containerd puts what it runs; a runtime that was ended with its container did not come to tidy up.
    let root = PathBuf::from("/sys/fs/cgroup");
    for controller in folders(&root).into_iter().chain([root]) {
        remove_cgroup(&controller.join("k8s.io"));
    }
    match std::fs::remove_dir_all(&dir.0) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(dir.0.display().to_string()),
        _ => Ok(()),
    }
}

/// A cgroup goes if nothing runs in it (of another cluster something may); the files in it are none.
fn remove_cgroup(folder: &Path) {
    folders(folder).iter().for_each(|inner| remove_cgroup(inner));
    let _ = std::fs::remove_dir(folder);
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}
