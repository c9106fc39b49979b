//! What commands of other terminals ask of a run, over a unix socket that only its user can open.

use super::applied::{Answer, Applied};
use super::message::{self, Receiver};
use super::pod::{Handle, Order, Shared};
use super::process::{self, Program};
use super::programs::{app_program, base_env};
use super::protocol::{Manifest, PodName, Request, Response};
use super::view::{Seen, pod_view};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{oneshot, watch};
use weir_mesh::object::SourceFile;

/// What answering needs.
pub struct Control {
    /// What all pods share.
    pub shared: Arc<Shared>,
    /// What runs.
    pub seen: watch::Receiver<Seen>,
    /// What was applied.
    pub applied: Arc<Mutex<Applied>>,
    /// Where programs are started.
    pub runtime: Runtime,
}

/// Listens. Each connection has a thread of its own, since files are received by blocking calls.
pub fn listen(control: Control) -> Result<()> {
    let path = control.shared.dir.control();
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let control = Arc::new(control);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let control = control.clone();
            std::thread::spawn(move || {
                // A command that goes away needs no answer.
                let _ = control.answer(stream);
            });
        }
    });
    Ok(())
}

fn sources(manifests: Vec<Manifest>) -> Vec<SourceFile> {
    manifests.into_iter().map(|Manifest { file, text }| SourceFile { path: file.into(), text }).collect()
}

impl Control {
    fn answer(&self, stream: UnixStream) -> Result<()> {
        let mut receiver = Receiver::new(stream);
        let (request, files) = match receiver.receive::<Request>() {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(()),
            Err(error) => {
                let why = format!("the mesh does not understand what is asked, perhaps by another version of weir: {error}");
                return Ok(message::send(receiver.stream(), &Response::Failed(why), &[])?);
            }
        };
        let response = match request {
            Request::Get => Response::View(Box::new(self.seen.borrow().view(&self.shared.dir))),
            Request::Find(name) => self.find(&name).map_or_else(Response::Failed, |pod| Response::Found(pod_view(&pod, &self.shared.dir))),
            Request::Stop { pod, container, kill, grace } => {
                self.order(&pod, |done| Order::Stop { container, kill, grace: grace.map(Duration::from_secs), done })
            }
            Request::Start { pod, container } => self.order(&pod, |done| Order::Start { container, done }),
            Request::Apply(manifests) => self.apply(|applied| applied.apply(&sources(manifests))),
            Request::Delete(manifests) => self.apply(|applied| applied.delete(&sources(manifests))),
            Request::Exec { pod, container, command, folder, terminal } => {
                let program = self.program(&pod, container.as_deref(), command, folder, terminal);
                return self.exec(receiver, program, files);
            }
            Request::Signal(_) => Response::Failed("no program runs on this connection".into()),
        };
        Ok(message::send(receiver.stream(), &response, &[])?)
    }

    fn find(&self, name: &PodName) -> Result<Arc<Handle>, String> {
        self.seen.borrow().find(name)
    }

    fn order(&self, name: &PodName, order: impl FnOnce(oneshot::Sender<Result<String, String>>) -> Order) -> Response {
        let pod = match self.find(name) {
            Ok(pod) => pod,
            Err(error) => return Response::Failed(error),
        };
        let (done, answer) = oneshot::channel();
        let _ = pod.orders.send(order(done));
        match answer.blocking_recv() {
            Ok(Ok(text)) => Response::Done(text),
            Ok(Err(text)) => Response::Failed(text),
            Err(_) => Response::Failed(format!("{} is gone", pod.identity.name)),
        }
    }

    fn apply(&self, change: impl FnOnce(&mut Applied) -> Result<Answer>) -> Response {
        let mut applied = self.applied.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match change(&mut applied) {
            Ok(Answer { done, failed }) if failed.is_empty() => Response::Done(done.join("\n")),
            Ok(Answer { done, failed }) => Response::Partly { done: done.join("\n"), failed: failed.join("\n") },
            Err(error) => Response::Failed(format!("{error:#}")),
        }
    }

    /// A program in a pod, with the environment of one of its containers.
    fn program(
        &self,
        name: &PodName,
        container: Option<&str>,
        command: Vec<String>,
        folder: PathBuf,
        terminal: Option<String>,
    ) -> Result<Program, String> {
        let pod = self.find(name)?;
        let identity = &pod.identity;
        let place = pod.status.borrow().place.clone().ok_or_else(|| format!("{} has not started yet", identity.name))?;
        let containers = &identity.plan.containers;
        let chosen = match container {
            // Envoy's container is none of the app's.
            Some(asked) => {
                let name = identity.container(asked)?;
                containers.iter().find(|known| known.name == name)
            }
            None => containers.first(),
        };
        let command: Vec<OsString> = command.into_iter().map(OsString::from).collect();
        let mut program = match chosen {
            Some(container) => Program { command, folder, ..app_program(&self.shared, identity, container, &place) },
            None => Program { name: identity.name.clone(), pod: Some(place), command, env: base_env(), folder, log: PathBuf::new() },
        };
        program.env.extend(terminal.map(|terminal| ("TERM".into(), terminal.into())));
        Ok(program)
    }

    /// Runs a program on the asker's own files; it ends when the asker goes away.
    fn exec(&self, mut receiver: Receiver, program: Result<Program, String>, files: Vec<OwnedFd>) -> Result<()> {
        let answer = receiver.stream().try_clone()?;
        let fail = |error: String| Ok(message::send(&answer, &Response::Failed(error), &[])?);
        let program = match program {
            Ok(program) => program,
            Err(error) => return fail(error),
        };
        let Ok([input, output, errors]) = <[OwnedFd; 3]>::try_from(files) else { return fail("expected three files".into()) };
        let mut command = process::command(&program);
        command.stdin(input).stdout(output).stderr(errors);
        let inside = self.runtime.enter();
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return fail(error.to_string()),
        };
        // The command holds the files too, and the asker's reader waits for their end.
        drop((command, inside));
        let pid = child.id().unwrap_or_default();
        std::thread::spawn(move || {
            while let Ok(Some((Request::Signal(number), _))) = receiver.receive() {
                if let Some(signal) = Signal::from_named_raw(number) {
                    process::signal_group(pid, signal);
                }
            }
            process::signal_group(pid, Signal::KILL);
        });
        let status = self.runtime.block_on(child.wait())?;
        let code = status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok());
        Ok(message::send(&answer, &Response::Exit(code.unwrap_or(1)), &[])?)
    }
}
