//! `weir`: traffic management for Envoy.

mod ads;
mod analyze;
mod ask;
mod bug_report;
mod canary;
mod certificates;
mod check;
mod commands;
mod crds;
mod files;
mod inject;
mod install;
mod kubernetes;
mod listen;
mod modules;
mod passports;
mod plugin;
mod probe;
mod programmed;
mod proxy_config;
mod proxy_init;
mod proxy_status;
mod redact;
mod redirect;
mod serve;
mod telemetry;
mod up;
mod validation;
mod version;
mod webhook;
mod world;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Traffic management for Envoy: zones, canaries, and a mesh from Istio's manifests.
#[derive(Parser)]
#[command(name = "weir", version, about, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Args),
    Get(commands::get::Args),
    Logs(commands::logs::Args),
    Exec(commands::exec::Args),
    Stop(commands::stop::Args),
    Start(commands::start::Args),
    Apply(commands::apply::Args),
    Delete(commands::delete::Args),
    Analyze(analyze::Args),
    Inject(inject::InjectArgs),
    Uninject(inject::UninjectArgs),
    #[command(visible_alias = "ps")]
    ProxyStatus(proxy_status::Args),
    #[command(visible_alias = "pc")]
    ProxyConfig(proxy_config::Args),
    Canary(canary::command::Args),
    Serve(serve::Args),
    Redirect(redirect::Args),
    #[command(hide = true)]
    ProxyInit(proxy_init::Args),
    Install(install::Args),
    Upgrade(install::upgrade::Args),
    Uninstall(install::uninstall::Args),
    Check(check::Args),
    Version(version::Args),
    BugReport(bug_report::Args),
    #[command(hide = true)]
    Probe(probe::Args),
    /// Print the CustomResourceDefinitions of the Istio kinds that Weir reads
    Crds,
    Completion(commands::completion::Args),
    /// The sample application of the demos
    #[command(hide = true, disable_help_flag = true)]
    Sample {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// A process of a run
    #[command(hide = true, subcommand)]
    Inside(up::inside::Role),
}

fn main() -> ExitCode {
    if plugin::completes() {
        let words: Vec<_> = std::env::args().skip(1).collect();
        commands::print(&plugin::completions(&mut Cli::command(), &words));
        return ExitCode::SUCCESS;
    }
    let mut line = plugin::named(Cli::command());
    let parsed = Cli::from_arg_matches(&line.get_matches_mut());
    let outcome = match parsed.unwrap_or_else(|error| error.format(&mut line).exit()).command {
        Command::Up(args) => up::run(&args),
        Command::Get(args) => commands::get::run(&args),
        Command::Logs(args) => commands::logs::run(&args),
        Command::Exec(args) => commands::exec::run(&args),
        Command::Stop(args) => commands::stop::run(&args),
        Command::Start(args) => commands::start::run(&args),
        Command::Apply(args) => commands::apply::run(&args),
        Command::Delete(args) => commands::delete::run(&args),
        Command::Analyze(args) => analyze::run(args),
        Command::Inject(args) => inject::inject(&args),
        Command::Uninject(args) => inject::uninject(&args),
        Command::ProxyStatus(args) => proxy_status::run(args),
        Command::Canary(args) => canary::command::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Redirect(args) => redirect::run(args),
        Command::ProxyInit(args) => proxy_init::run(args),
        Command::Install(args) => install::run(&args),
        Command::Upgrade(args) => install::upgrade::run(&args),
        Command::Uninstall(args) => install::uninstall::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Version(args) => version::run(&args),
        Command::BugReport(args) => bug_report::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::ProxyConfig(args) => proxy_config::run(args),
        Command::Completion(args) => commands::completion::run(&args, Cli::command()),
        Command::Crds => crds::run(),
        Command::Sample { args } => return weir_sample::run(args.into_iter()),
        Command::Inside(role) => up::inside::run(role),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("weir: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }
}
