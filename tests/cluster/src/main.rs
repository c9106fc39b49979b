//! `cluster`: starts and ends a cluster.

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use weir_cluster::dir::Dir;
use weir_cluster::{images, machine, needs, programs, run};

/// A real Kubernetes cluster of three zones on this machine, for tests.
#[derive(Parser)]
#[command(name = "cluster", max_term_width = 120)]
enum Cli {
    /// Start a cluster and leave it running
    Up {
        /// Where everything of it lies
        dir: PathBuf,
        /// Image that its nodes shall have, as `docker save` writes it
        #[arg(long)]
        image: Vec<PathBuf>,
        /// Envoy: then the project's own images are there too, from what is built beside this program
        #[arg(long)]
        envoy: Option<PathBuf>,
    },
    /// End it, without a trace
    Down {
        /// Where everything of it lies
        dir: PathBuf,
    },
    /// Run a cluster until standard input ends
    Run {
        /// Where everything of it lies
        dir: PathBuf,
        /// Image that its nodes shall have
        #[arg(long)]
        image: Vec<PathBuf>,
        /// Envoy, for the project's own images
        #[arg(long)]
        envoy: Option<PathBuf>,
        /// Until SIGTERM instead
        #[arg(long)]
        stay: bool,
    },
    /// Build the programs, and print their folder
    Programs,
    #[command(hide = true)]
    Init { programs: PathBuf, dir: PathBuf },
    #[command(hide = true)]
    Machine { programs: PathBuf, dir: PathBuf },
}

fn main() -> Result<ExitCode> {
    match Cli::parse() {
        Cli::Up { dir, image, envoy } => up(&absolute(dir)?, &image, envoy.as_deref())?,
        Cli::Down { dir } => run::down(&absolute(dir)?)?,
        Cli::Run { dir, image, envoy, stay } => {
            let built = std::env::current_exe()?;
            let own = envoy.map(|envoy| images::all(built.parent().context("a folder")?, &envoy)).transpose()?.unwrap_or_default();
            let (send, terminated) = std::sync::mpsc::channel();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let mut signal = runtime.block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) })?;
            let input = send.clone();
            std::thread::spawn(move || {
                runtime.block_on(signal.recv());
                let _ = send.send(());
            });
            std::thread::spawn(move || {
                if !stay {
                    let _ = std::io::stdin().read_to_end(&mut Vec::new());
                    let _ = input.send(());
                }
                // The channel stays open.
                loop {
                    std::thread::park();
                }
            });
            run::run(&absolute(dir)?, &image, &own, move || {
                let _ = terminated.recv();
            })?;
        }
        Cli::Programs => println!("{}", programs::build()?.display()),
        Cli::Init { programs, dir } => return machine::init(&programs, &Dir(dir)),
        Cli::Machine { programs, dir } => machine::run(&programs, &Dir(dir))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn absolute(dir: PathBuf) -> Result<Dir> {
    Ok(Dir(std::path::absolute(dir)?))
}

fn up(dir: &Dir, images: &[PathBuf], envoy: Option<&Path>) -> Result<()> {
    std::fs::create_dir_all(dir.0.parent().context("a folder above it")?)?;
    if let Some(missing) = needs::missing() {
        bail!("{missing}");
    }
    if dir.kubeconfig().exists() {
        println!("export KUBECONFIG={}", dir.kubeconfig().display());
        return Ok(());
    }
    // Here, where its progress is seen.
    programs::build()?;
    // A file, and no pipe: it outlives this process.
    let mut errors = tempfile::tempfile()?;
    let mut command = Command::new("setsid");
    command.arg(std::env::current_exe()?).arg("run").arg("--stay").arg(&dir.0);
    command.args(images.iter().flat_map(|image| [PathBuf::from("--image"), image.clone()]));
    command.args(envoy.into_iter().flat_map(|envoy| [Path::new("--envoy"), envoy]));
    let mut running = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.try_clone()?).spawn()?;
    while !dir.kubeconfig().exists() {
        if running.try_wait()?.is_some() {
            let mut text = String::new();
            errors.rewind()?;
            errors.read_to_string(&mut text)?;
            bail!("{}", text.trim_end());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("export KUBECONFIG={}", dir.kubeconfig().display());
    Ok(())
}
