//! A run that is killed, by an ordinary user.

use super::canary;
use crate::tools::{copy_files, envoy, modules, project, texts, wait_for, weir};
use crate::traces::Traces;
use crate::{Figure, Mesh, Up};
use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir_sample::load::{Config, Load};

/// Nothing is left after this time.
pub const END: Duration = Duration::from_secs(3);
/// An ordinary user that every system has.
const NOBODY: u32 = 65534;

/// All that a run needs, where an ordinary user may read it.
struct Home(TempDir);

impl Home {
    fn new() -> Result<Home> {
        let home = TempDir::with_prefix("weir-tests-")?;
        let dir = home.path();
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755))?;
        std::fs::copy(weir(), dir.join("weir"))?;
        std::fs::copy(envoy().context("no Envoy")?, dir.join("envoy"))?;
        copy_files(&modules("modules"), &dir.join("modules"))?;
        copy_files(&project("deploy/demos/canary"), &dir.join("canary"))?;
        std::fs::create_dir(dir.join("tmp"))?;
        if geteuid().is_root() {
            chown(dir.join("tmp"), Some(NOBODY), Some(NOBODY))?;
        }
        Ok(Home(home))
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    /// `weir` by that user, who has no environment but this.
    fn weir(&self, envoy: &str) -> Command {
        let mut command = Command::new(self.dir().join("weir"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("ENVOY", self.dir().join(envoy))
            .env("TMPDIR", self.dir().join("tmp"))
            .current_dir(self.dir());
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

/// A run under load is killed by SIGKILL: nothing of it is left, and what a killed process cannot remove the user's next run does,
/// even one that comes to nothing.
pub async fn killed() -> Result<Figure> {
    let home = Home::new()?;
    let mut command = home.weir("envoy");
    command.args(["up", "canary"]);
    let mut mesh = Up::run(command, TempDir::new()?)?;
    let share = canary::share_without_user(&mesh).await?;
    ensure!(share.kept, "{share}");
    let load = Load::start(Config { duration: Some(Duration::from_secs(60)), rate: Some(100.0), ..mesh.load(canary::URL) })?;
    let traces = Traces::of(mesh.process().id(), home.dir());
    // Envoy, app and pause of four pods, a gateway, the control plane, the runner and the two around it.
    ensure!(traces.left().len() >= 4 * 3 + 2 + 4, "too few processes: {:#?}", traces.left());
    ensure!(traces.namespaces() >= 3 * 5, "too few namespaces: {traces:?}");

    let killed = Instant::now();
    mesh.end(Signal::KILL)?;
    let ended = wait_for("nothing to be left", END, async || traces.left().is_empty().then_some(())).await;
    let after = killed.elapsed();
    load.stop().await;

    let folder = mesh.run_dir();
    ensure!(folder.is_dir(), "no folder {} of the killed run", folder.display());
    let next = home.weir("no-envoy").args(["up", "canary"]).output()?;
    ensure!(texts(&next).1.contains("no-envoy, which is no file"), "{next:?}");
    let folders = std::fs::read_dir(folder.parent().context("a parent")?)?.count();
    let measured = match (&ended, folders) {
        (Ok(()), 0) => format!("nothing left after {:.1} s", after.as_secs_f64()),
        (Ok(()), _) => format!("{folders} folders left after the next run"),
        (Err(_), _) => format!("left: {:?}", traces.left()),
    };
    Ok(Figure::new("weir up killed with SIGKILL, as an ordinary user", "nothing left after 3 s", measured, ended.is_ok() && folders == 0))
}
