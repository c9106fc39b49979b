//! Makes a module ready for Envoy.
//!
//! The SDK exports every callback of the ABI, and Envoy calls each one that is exported, for nothing where the filter has no
//! use for it; a crossing into Wasm is the larger part of what a filter costs. So callbacks of requests that the filter does
//! not have are left out of its exports; wasm-opt then drops their code.

mod module;

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::path::PathBuf;
use std::process::Command;

/// The callbacks that Envoy calls for each request or connection, or would if they were exported.
const CALLBACKS: &str = "proxy_on_";
/// Those of them that every module needs, to be configured and to keep a context per request.
const NEEDED: [&str; 4] = ["proxy_on_memory_allocate", "proxy_on_context_create", "proxy_on_configure", "proxy_on_delete"];

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// The module as cargo built it.
    input: PathBuf,
    /// Where to put it.
    output: PathBuf,
    /// A callback that the filter has, such as `request_headers`; without any, all stay.
    #[arg(long, value_name = "CALLBACK")]
    callback: Vec<String>,
    /// Fail if the optimised module is larger, in bytes.
    #[arg(long)]
    limit: usize,
    /// The command that optimises a module, with its options; it is given the files.
    #[arg(last = true)]
    optimise: Vec<String>,
}

fn main() -> Result<()> {
    let Arguments { input, output, callback, limit, optimise } = Arguments::parse();
    let module = std::fs::read(&input).with_context(|| format!("cannot read {}", input.display()))?;
    let is_kept = |name: &str| {
        callback.is_empty()
            || NEEDED.contains(&name)
            || name.strip_prefix(CALLBACKS).is_none_or(|name| callback.iter().any(|kept| kept == name))
    };
    let module = module::without_exports(&module, is_kept).with_context(|| input.display().to_string())?;
    std::fs::write(&output, module).with_context(|| format!("cannot write {}", output.display()))?;
    if let Some((program, options)) = optimise.split_first() {
        let status = Command::new(program).args(options).arg(&output).arg("-o").arg(&output).status();
        let status = status.with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            bail!("{program} failed on {}: {status}", output.display());
        }
    }
    let module = std::fs::read(&output)?;
    let mut sections = module::sections(&module)?;
    sections.sort_by_key(|section| std::cmp::Reverse(section.size()));
    let shown: Vec<_> = sections.iter().take(4).map(|section| format!("{} {}", section.name(), section.size())).collect();
    println!("{}: {} bytes ({})", output.display(), module.len(), shown.join(", "));
    if module.len() > limit {
        let problem = format!("{} has {} bytes, more than {limit}", output.display(), module.len());
        if !optimise.is_empty() {
            bail!(problem);
        }
        eprintln!("{problem}: it works, but wasm-opt makes it a fifth smaller; to get it: npm install --prefix .tools binaryen");
    }
    Ok(())
}
