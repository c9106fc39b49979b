//! The command line of `weir up`.

use super::plan::zone::Zone;
use super::protocol::Config;
use super::{envoy, rundir::RunDir};
use anyhow::{Result, bail};
use std::path::PathBuf;
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
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
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
        Some((name, program)) if !name.is_empty() && !program.is_empty() => Ok((name.into(), program.into())),
        _ => Err("expected NAME=PROGRAM".into()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" | "" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a number with s, m or h, such as 90s".into()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a number with s, m or h, such as 90s".to_string())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("90s", Some(90_000)),
            ("5m", Some(300_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("7", Some(7_000)),
            ("5d", None),
            ("s", None),
            ("-1s", None),
        ] {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }
}
