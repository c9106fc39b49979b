//! `weir analyze`: what is wrong with the objects in files, without serving them.

use crate::files::Sources;
use crate::files::follow;
use crate::modules;
use crate::serve::DOMAIN;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::mesh::Options;
use weir_mesh::object::Objects;

/// Check objects in files: findings with file and line, exit code 1 if one is an error.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with objects (of a folder *.yaml, *.yml and *.json directly in it); later ones override earlier ones
    #[arg(required = true, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// One line for each finding
    Text,
    /// A JSON array
    Json,
}

/// Prints the findings, sorted by file and line.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let texts = Sources(args.files).read_all()?;
    let files = texts.files.len();
    let world = follow::world(&Objects::default(), &texts, &Options { domain: DOMAIN.to_string(), modules: modules::all(), marked: true });
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Text => {
            for finding in &world.findings {
                writeln!(out, "{finding}")?;
            }
        }
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&world.findings)?)?,
    }
    eprintln!("{}", summary(&world.findings, world.objects.iter().count(), files));
    let failed = world.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn summary(findings: &[Finding], objects: usize, files: usize) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let some = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!(
        "{}, {} in {} of {}",
        some(count(Severity::Error), "error"),
        some(count(Severity::Warning), "warning"),
        some(objects, "object"),
        some(files, "file")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_manifests_is_an_error_also_beside_one_with_some() {
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
        std::fs::create_dir_all(empty.join("inside")).unwrap();
        std::fs::create_dir(&full).unwrap();
        for path in [full.join("a.yaml"), empty.join("inside/a.yaml"), empty.join("notes.txt")] {
            std::fs::write(path, "").unwrap();
        }
        let analyze = |files: &[&PathBuf]| run(Args { files: files.iter().copied().cloned().collect(), output: Output::Text });
        assert!(analyze(&[&full]).is_ok());
        let expected = format!("{}: no *.yaml, *.yml or *.json in this folder", empty.display());
        assert_eq!(analyze(&[&full, &empty]).unwrap_err().to_string(), expected);
    }
}
