//! `weir inject` and `weir uninject`: what the webhook does to pods, done to the manifests in files.

use crate::commands;
use crate::files::Sources;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::inject::Values;
use weir_mesh::inject::manifest::{self, Output, Request};
use weir_mesh::object::SourceFile;

/// Add the proxy to the pods and pod templates in manifests, and print these
#[derive(Debug, clap::Args)]
pub struct InjectArgs {
    #[command(flatten)]
    files: Files,
    /// The control plane's CA (PEM): kubectl get configmap weir-ca -n weir-system -o 'jsonpath={.data.ca\.crt}' > ca.crt
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The settings of injection, as in the ConfigMap `weir` (key config.yaml); without them the defaults
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// Take the proxy out of manifests that `weir inject` printed, and print these
#[derive(Debug, clap::Args)]
pub struct UninjectArgs {
    #[command(flatten)]
    files: Files,
}

#[derive(Debug, clap::Args)]
struct Files {
    /// A manifest, or a folder of them (*.yaml, *.yml and *.json directly in it); `-` is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
}

/// Prints the manifests with the proxy; what is wrong with one is told, and then nothing is printed.
pub fn inject(args: &InjectArgs) -> Result<ExitCode> {
    let values = match &args.values {
        None => Values::default(),
        Some(path) => Values::read(&read(path)?).with_context(|| path.display().to_string())?,
    };
    let ca = args.ca_file.as_deref().map(certificate).transpose()?;
    let request = Request { namespace: &args.namespace, values: &values, ca: ca.as_deref() };
    print(&args.files, |file| manifest::inject(file, &request))
}

/// Prints the manifests without the proxy.
pub fn uninject(args: &UninjectArgs) -> Result<ExitCode> {
    print(&args.files, manifest::uninject)
}

fn print(files: &Files, edit: impl Fn(&SourceFile) -> Output) -> Result<ExitCode> {
    let mut text = String::new();
    let mut findings: Vec<Finding> = Vec::new();
    for file in files.read()? {
        let output = edit(&file);
        findings.extend(output.findings);
        separate(&mut text, &output.text);
        text.push_str(&output.text);
    }
    findings.iter().for_each(|finding| eprintln!("{finding}"));
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Ok(ExitCode::FAILURE);
    }
    commands::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// Keeps the next file's first document apart from the last one's.
fn separate(text: &mut String, next: &str) {
    if text.is_empty() || next.is_empty() {
        return;
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if !next.starts_with("---") {
        text.push_str("---\n");
    }
}

fn certificate(path: &Path) -> Result<String> {
    let text = read(path)?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        bail!("{}: no certificate in PEM form is in it", path.display());
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

impl Files {
    fn read(&self) -> Result<Vec<SourceFile>> {
        let mut files = Vec::new();
        for path in &self.files {
            if path == Path::new("-") {
                files.push(SourceFile { path: "standard input".into(), text: std::io::read_to_string(std::io::stdin())? });
                continue;
            }
            let texts = Sources(vec![path.clone()]).read_all()?;
            if let Some(finding) = texts.findings.first() {
                bail!("{finding}");
            }
            files.extend(texts.files);
        }
        Ok(files)
    }
}
