//! Makes a module ready for Envoy: optimises it, says where its bytes are, and keeps it below a limit.

mod module;

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::path::PathBuf;
use std::process::Command;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// The module as cargo built it.
    input: PathBuf,
    /// Where to put it.
    output: PathBuf,
    /// Fail if the optimised module is larger, in bytes.
    #[arg(long)]
    limit: usize,
    /// The command that optimises a module, with its options; it is given the files.
    #[arg(last = true)]
    optimise: Vec<String>,
}

fn main() -> Result<()> {
    let Arguments { input, output, limit, optimise } = Arguments::parse();
    std::fs::copy(&input, &output).with_context(|| format!("cannot copy {} to {}", input.display(), output.display()))?;
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
