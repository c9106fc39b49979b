//! `weir canary`: how canaries stand, and a hand on them.

mod ask;
mod find;
mod show;
mod watch;

use super::page::Page;
use crate::commands::output::Output;
use crate::commands::print;
use crate::commands::target::{Target, WHICH_MESH};
use anyhow::Result;
use ask::Mesh;
use std::process::ExitCode;
use std::time::Duration;

/// Show how canaries stand, and hold them back or let them in by hand
#[derive(Debug, clap::Args)]
#[command(after_help = WHICH_MESH)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the weight, what is in force of it, successes, latency and verdict of every canary
    List {
        #[command(flatten)]
        target: Target,
        /// All namespaces, as without -n
        #[arg(short = 'A', long, conflicts_with = "namespace")]
        all_namespaces: bool,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Follow a canary: a line every second, and whatever changes
    Watch {
        #[command(flatten)]
        which: Which,
        /// End by itself after so long, such as 60s
        #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "DURATION")]
        duration: Option<Duration>,
    },
    /// Give a canary nobody until it is resumed, in the whole mesh
    Hold {
        #[command(flatten)]
        which: Which,
    },
    /// Give a canary all that its weights say, however it was held back; it is judged anew
    Resume {
        #[command(flatten)]
        which: Which,
    },
}

/// A canary of a mesh.
#[derive(Debug, clap::Args)]
struct Which {
    /// SERVICE/SUBSET, or SUBSET where only one canary is called so
    name: String,
    #[command(flatten)]
    target: Target,
}

/// Does what is asked.
pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.verb {
            Verb::List { target, output, .. } => {
                let Page { leads, canaries } = in_namespace(Mesh::of(&target).await?.page().await?, &target);
                if !leads {
                    eprintln!("weir: no replica of the control plane leads at the moment: this is what was known last");
                }
                if canaries.is_empty() {
                    eprintln!(
                        "weir: there are no canaries: a route with several destinations, and a policy (WasmPlugin) for their service"
                    );
                }
                output.print(&canaries, |wide| show::table(&canaries, wide))?;
            }
            Verb::Watch { which, duration } => watch::watch(&which, duration).await?,
            Verb::Hold { which } => {
                let (mesh, canary) = which.find().await?;
                mesh.steer("hold", &canary.service, &canary.canary).await?;
                print(&format!("{} is held back: nobody gets it until `weir canary resume` lets it in\n", find::name(&canary)));
            }
            Verb::Resume { which } => {
                let (mesh, canary) = which.find().await?;
                mesh.steer("resume", &canary.service, &canary.canary).await?;
                print(&format!("{} has what its weights give it, and is judged anew\n", find::name(&canary)));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn in_namespace(mut page: Page, target: &Target) -> Page {
    page.canaries.retain(|canary| target.access.namespace.as_ref().is_none_or(|wanted| *wanted == canary.namespace));
    page
}

impl Which {
    async fn find(&self) -> Result<(Mesh, super::page::CanaryStatus)> {
        let mesh = Mesh::of(&self.target).await?;
        let canary = self.among(mesh.page().await?)?;
        Ok((mesh, canary))
    }

    fn among(&self, page: Page) -> Result<super::page::CanaryStatus> {
        find::find(in_namespace(page, &self.target).canaries, &self.name)
    }
}
