//! The command line of `weir up`.

use super::plan::zone::Zone;
use super::protocol::Config;
use super::{envoy, rundir::RunDir};
use anyhow::{Result, bail};
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run a mesh of these manifests on this machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Manifests, or folders with manifests directly in them; of two objects with one name the later counts
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Port on 127.0.0.1 for the first gateway's first port; by default a free one
    #[arg(long, value_name = "PORT")]
    pub gateway_port: Option<u16>,
    /// Folder for this run's logs and sockets; by default one of its own, removed at the end
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// End by itself so long after all is ready, such as 90s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Zones over which replicas are spread that ask for none: ZONE or REGION/ZONE
    #[arg(long, value_name = "ZONE,...", value_delimiter = ',', default_value = "a,b,c")]
    zones: Vec<String>,
    /// The program to run for an image; others get a stand-in that answers on all their ports
    #[arg(long = "image", value_name = "NAME=PROGRAM", value_parser = image)]
    images: Vec<(String, String)>,
    /// What to print: text, or one JSON object when all is ready
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Args {
    /// What the runner needs, after checking what can be checked before anything is started.
    pub fn config(&self, dir: &RunDir) -> Result<Config> {
        Ok(Config {
            paths: self.paths.clone(),
            run_dir: dir.0.clone(),
            envoy: envoy::find()?,
            zones: self.zones.clone(),
            images: self.images.iter().cloned().collect(),
        })
    }

    /// Refuses paths that do not exist.
    pub fn check(&self) -> Result<()> {
        for path in &self.paths {
            if let Err(error) = std::fs::metadata(path) {
                bail!("{}: {error}", path.display());
            }
        }
        if self.zones.iter().any(|zone| zone.parse::<Zone>().is_ok_and(|zone| zone.zone.is_empty() || zone.region.is_empty())) {
            bail!("--zones {}: a zone has no name", self.zones.join(","));
        }
        Ok(())
    }
}

fn image(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, program)) if !name.is_empty() && !program.is_empty() => Ok((name.into(), find(program)?)),
        _ => Err("expected NAME=PROGRAM".into()),
    }
}

/// A program's file, absolute, since a container may start in another folder.
fn find(program: &str) -> Result<String, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = if program.contains('/') {
        let file = std::path::absolute(program).ok().filter(|file| file.is_file());
        if file.as_ref().is_some_and(|file| !is_program(file)) {
            return Err(format!("{program} is not executable"));
        }
        file
    } else {
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_program(file))
    };
    let found = found.ok_or_else(|| format!("there is no program {program}"))?;
    found.into_os_string().into_string().map_err(|_| format!("{program}: its path is not UTF-8"))
}

/// Whether a file can be run.
pub fn is_program(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}
