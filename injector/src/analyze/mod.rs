//! `weir analyze`: what is wrong with the objects in files, of a mesh, or of a cluster as it would be with the files.

mod cluster;
mod injection;

use crate::ads::status::FindingStatus;
use crate::commands::output::Output;
use crate::commands::target::{Chosen, Target};
use crate::files::{Sources, Texts, follow};
use crate::modules;
use crate::plugin;
use crate::proxy_status;
use crate::serve::DOMAIN;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;
use weir_mesh::mesh::{Options, Pulls};
use weir_mesh::object::Objects;

/// What is analysed, for the help.
const WHAT: &str = "\
FILE alone is analysed by itself, without a mesh. With --use-kube, --context or --kubeconfig it is laid over what the cluster has: would \
this change be right? Without FILE a mesh is analysed: --run-dir names one of this machine, --context or --kubeconfig a cluster. Without \
them it is the mesh that `weir up` runs here, if one runs, else the cluster of the current context. As `kubectl weir` the cluster is \
always meant, unless --use-kube=false or --run-dir says otherwise.";

/// Check objects of files, of a mesh or of a cluster: findings with object and field, exit code 1 if one is an error
#[derive(Debug, clap::Args)]
#[command(after_help = WHAT)]
pub struct Args {
    /// File or folder with objects (of a folder *.yaml, *.yml and *.json directly in it); later ones override earlier ones
    #[arg(value_name = "FILE", conflicts_with = "run_dir")]
    files: Vec<PathBuf>,
    /// Whether the cluster counts, beside files
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_kube: Option<bool>,
    #[command(flatten)]
    target: Target,
    /// All namespaces, as without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How to print the findings
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What was found.
struct Found {
    findings: Vec<FindingStatus>,
    /// Where that was looked for, such as `in 3 objects of 1 file`.
    place: String,
}

/// Prints the findings, sorted by file and line.
pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Found { mut findings, place } = runtime.block_on(find(&args))?;
    if let Some(namespace) = &args.target.access.namespace {
        findings.retain(|finding| finding.is_of(namespace));
    }
    args.output.print(&findings, |_| findings.iter().map(|finding| format!("{}\n", finding.text)).collect())?;
    eprintln!("{} {place}", summary(&findings));
    let failed = findings.iter().any(|finding| finding.severity == "error");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn find(args: &Args) -> Result<Found> {
    let with_cluster = args.use_kube.unwrap_or(args.target.names_cluster() || plugin::is_one());
    if !args.files.is_empty() {
        let texts = Sources(args.files.clone()).read_all()?;
        return if with_cluster { of_cluster(args, &texts).await } else { Ok(of_files(&texts)) };
    }
    match args.use_kube {
        Some(true) => of_cluster(args, &Texts::default()).await,
        Some(false) => bail!("without a cluster there is nothing to analyse but files: name some"),
        None => match args.target.choose().await? {
            Chosen::Cluster(_) => of_cluster(args, &Texts::default()).await,
            Chosen::Here(dir) => {
                let findings = proxy_status::ask(&dir.serve_socket()).await.context("no answer from the control plane")?.findings;
                Ok(Found { findings, place: format!("in the mesh of {}", dir.0.display()) })
            }
        },
    }
}

fn of_files(texts: &Texts) -> Found {
    let world = follow::world(&Objects::default(), texts, &options());
    let place = format!("in {} of {}", some(world.objects.iter().count(), "object"), some(texts.files.len(), "file"));
    Found { findings: world.findings.iter().map(FindingStatus::from).collect(), place }
}

async fn of_cluster(args: &Args, texts: &Texts) -> Result<Found> {
    let client = args.target.cluster().await?.client;
    let cluster = cluster::read(&client).await?;
    let options = Options { domain: cluster.domain.clone(), ..options() };
    let world = cluster.with(texts).world(&options);
    let files = if texts.files.is_empty() { String::new() } else { format!(" with {}", some(texts.files.len(), "file")) };
    let place = format!("in {} of the cluster{files}", some(world.objects.iter().count(), "object"));
    Ok(Found { findings: world.findings.iter().map(FindingStatus::from).collect(), place })
}

fn options() -> Options {
    Options { domain: DOMAIN.into(), modules: modules::all(), marked: true, pulls: Pulls::Assumed, ..Default::default() }
}

fn summary(findings: &[FindingStatus]) -> String {
    let count = |severity: &str| findings.iter().filter(|finding| finding.severity == severity).count();
    format!("{}, {}", some(count("error"), "error"), some(count("warning"), "warning"))
}

fn some(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &[&str]) -> Args {
        <Line as clap::Parser>::try_parse_from([&["analyze"], line].concat()).unwrap().args
    }

    #[test]
    fn a_folder_without_manifests_is_an_error_also_beside_one_with_some() {
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
        std::fs::create_dir_all(empty.join("inside")).unwrap();
        std::fs::create_dir(&full).unwrap();
        for path in [full.join("a.yaml"), empty.join("inside/a.yaml"), empty.join("notes.txt")] {
            std::fs::write(path, "").unwrap();
        }
        let analyze = |files: &[&PathBuf]| run(Args { files: files.iter().copied().cloned().collect(), ..args(&[]) });
        assert!(analyze(&[&full]).is_ok());
        let expected = format!("{}: no *.yaml, *.yml or *.json in this folder", empty.display());
        assert_eq!(analyze(&[&full, &empty]).unwrap_err().to_string(), expected);
    }

    #[test]
    fn use_kube_is_a_switch_that_takes_a_value_too() {
        assert_eq!(args(&["f"]).use_kube, None);
        assert_eq!((args(&["--use-kube", "f"]).use_kube, args(&["--use-kube", "f"]).files.len()), (Some(true), 1));
        assert_eq!(args(&["--use-kube=false", "f"]).use_kube, Some(false));
        let error = run(args(&["--use-kube=false"])).unwrap_err().to_string();
        assert_eq!(error, "without a cluster there is nothing to analyse but files: name some");
    }
}
