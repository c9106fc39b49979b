//! The commands that talk to a running mesh from another terminal, and what all commands share.

pub mod apply;
pub mod completion;
pub mod delete;
pub mod envoy;
pub mod exec;
pub mod get;
pub mod logs;
pub mod output;
pub mod start;
pub mod stop;
pub mod target;

use crate::files::Sources;
use crate::up::message::{self, Receiver};
use crate::up::protocol::{Manifest, PodName, Request, Response};
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

    /// Asks, and prints what was done.
    fn tell(&self, request: &Request) -> Result<ExitCode> {
        let done = |text: &str| if text.is_empty() { String::new() } else { format!("{text}\n") };
        match self.ask(request)? {
            Response::Done(text) => print(&done(&text)),
            Response::Partly { done: text, failed } => {
                print(&done(&text));
                bail!("{failed}");
            }
            _ => bail!("the mesh gave another answer than was asked for"),
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

/// The manifests of files, of folders as `weir up` reads them, and of standard input for `-`.
pub fn manifests(paths: &[PathBuf]) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            manifests.push(Manifest { file: "standard input".into(), text: std::io::read_to_string(std::io::stdin())? });
            continue;
        }
        let texts = Sources(vec![path.clone()]).read_all()?;
        if let Some(finding) = texts.findings.first() {
            bail!("{finding}");
        }
        manifests.extend(texts.files.into_iter().map(|file| Manifest { file: file.path.display().to_string(), text: file.text }));
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_question_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(rundir::RunDir(folder.path().into()).control()).unwrap();
        let mesh = Mesh { run_dir: Some(folder.path().into()) };
        std::thread::spawn(move || {
            let stream = listener.accept().unwrap().0;
            message::send(&stream, &Response::Exit(0), &[]).unwrap();
            // Gone before it was asked, it would break the question and not the answer.
            Receiver::new(stream).receive::<Request>().unwrap()
        });
        let error = mesh.tell(&Request::Apply(vec![])).unwrap_err().to_string();
        assert_eq!(error, "the mesh gave another answer than was asked for");
    }

    #[test]
    fn a_folder_is_read_as_weir_up_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let error = |path: PathBuf| manifests(&[path]).unwrap_err().to_string();
        assert!(error(folder.path().into()).ends_with(": no *.yaml, *.yml or *.json in this folder"));
        assert!(error(at("none")).ends_with("none: there is no such file or folder"));
        for name in ["b.yaml", "a.json", "notes.txt"] {
            std::fs::write(at(name), name).unwrap();
        }
        let read = manifests(&[folder.path().into(), at("notes.txt")]).unwrap();
        assert_eq!(read.iter().map(|manifest| manifest.text.as_str()).collect::<Vec<_>>(), ["a.json", "b.yaml", "notes.txt"]);
        assert_eq!(read.first().map(|manifest| manifest.file.clone()), Some(at("a.json").display().to_string()));
    }
}
