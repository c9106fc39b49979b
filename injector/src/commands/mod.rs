//! The commands that talk to a running mesh from another terminal.

pub mod apply;
pub mod delete;
pub mod exec;
pub mod get;
pub mod logs;
pub mod start;
pub mod stop;

use crate::up::message::{self, Receiver};
use crate::up::protocol::{PodName, Request, Response};
use crate::up::rundir;
use anyhow::{Result, bail};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which mesh.
#[derive(Debug, Clone, clap::Args)]
pub struct Mesh {
    /// The folder of the mesh, if more than one runs
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

/// Which pod of which mesh.
#[derive(Debug, Clone, clap::Args)]
pub struct Pod {
    /// The pod: NAME, NAME.NAMESPACE, or the start of a name that fits one pod only
    #[arg(value_name = "POD")]
    name: String,
    /// The pod's namespace
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    mesh: Mesh,
}

impl Pod {
    fn name(&self) -> PodName {
        PodName { name: self.name.clone(), namespace: self.namespace.clone() }
    }
}

impl Mesh {
    /// A connection to the mesh, which lasts as long as the mesh.
    fn connect(&self) -> Result<UnixStream> {
        rundir::connect(self.run_dir.as_deref())
    }

    /// Asks the mesh; what it refuses is an error.
    fn ask(&self, request: &Request) -> Result<Response> {
        let stream = self.connect()?;
        message::send(&stream, request, &[])?;
        accepted(Receiver::new(stream).receive::<Response>()?.map(|(response, _)| response))
    }

    /// The socket of its control plane.
    pub fn control_plane(&self) -> Result<PathBuf> {
        Ok(rundir::find(self.run_dir.as_deref())?.1.serve_socket())
    }

    /// Asks, and prints what was done.
    fn tell(&self, request: &Request) -> Result<ExitCode> {
        if let Response::Done(text) = self.ask(request)? {
            print(&format!("{text}\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn accepted(response: Option<Response>) -> Result<Response> {
    match response {
        Some(Response::Failed(why)) => bail!("{why}"),
        Some(response) => Ok(response),
        None => bail!("the mesh ended"),
    }
}

/// Prints; a reader that has gone away is no error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
}

/// The text of a file, or of standard input for `-`.
fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}
