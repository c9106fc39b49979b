//! One program of a pod: started, watched, restarted with backoff when it dies, stopped on demand.

use super::inside::{Role, program};
use super::leftover::{self, Net};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A program that ran this long is healthy: its next crash starts with the first backoff again.
const HEALTHY: Duration = Duration::from_secs(10);

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct Program {
    /// How messages name it, such as `reviews-v1-0/app`.
    pub name: String,
    /// The pod to run it in; none: beside the runner.
    pub pod: Option<Place>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Where it starts.
    pub folder: PathBuf,
    /// The file to which its output is appended.
    pub log: PathBuf,
}

/// A pod, as its programs are put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its pause process.
    pub pause: i32,
    /// Its network.
    pub net: Net,
}

/// What a program is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Not started yet, or stopped on demand.
    Stopped,
    /// Running as this process.
    Running(u32),
    /// It ended by itself, or could not be started: why. It is started again after a while.
    Crashed(String),
}

/// A program's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What it is doing.
    pub activity: Activity,
    /// How often it was started again after it had ended by itself.
    pub restarts: u32,
}

enum Order {
    Start(Box<Program>),
    Stop { signal: Signal, grace: Duration, done: oneshot::Sender<()> },
}

/// A handle of a program. Dropping it ends the program.
#[derive(Debug)]
pub struct Supervised {
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<State>,
}

impl Supervised {
    /// A program that waits for [`Supervised::start`]. `say` hears about crashes.
    pub fn new(say: impl Fn(String) + Send + Sync + 'static) -> Supervised {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (sender, state) = watch::channel(State { activity: Activity::Stopped, restarts: 0 });
        tokio::spawn(supervise(inbox, sender, say));
        Supervised { orders, state }
    }

    /// Starts the program, unless it is started already.
    pub fn start(&self, program: Program) {
        let _ = self.orders.send(Order::Start(Box::new(program)));
    }

    /// Sends `signal` to the program's process group, SIGKILL after `grace`, and waits for its end. It stays stopped.
    pub async fn stop(&self, signal: Signal, grace: Duration) {
        let (done, ended) = oneshot::channel();
        if self.orders.send(Order::Stop { signal, grace, done }).is_ok() {
            let _ = ended.await;
        }
    }

    /// The state, and its changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// What it is doing now.
    pub fn activity(&self) -> Activity {
        self.state.borrow().activity.clone()
    }
}

async fn supervise(mut inbox: mpsc::UnboundedReceiver<Order>, state: watch::Sender<State>, say: impl Fn(String)) {
    let set = |activity: Activity| {
        state.send_modify(|state| state.activity = activity);
    };
    // Each round is one stretch from a start on demand to a stop on demand.
    loop {
        let program = match inbox.recv().await {
            Some(Order::Start(program)) => program,
            Some(Order::Stop { done, .. }) => {
                let _ = done.send(());
                continue;
            }
            None => return,
        };
        let mut backoff = FIRST_BACKOFF;
        loop {
            let started = Instant::now();
            let why = match spawn(&program) {
                Err(error) => format!("cannot be started: {error}"),
                Ok(mut child) => {
                    let pid = child.id().unwrap_or_default();
                    set(Activity::Running(pid));
                    tokio::select! {
                        status = child.wait() => {
                            end_rest(&program, pid);
                            status.map_or_else(|error| error.to_string(), how_it_ended)
                        }
                        order = next_stop(&mut inbox) => {
                            let Some((signal, grace, done)) = order else {
                                end_rest(&program, pid);
                                return;
                            };
                            end(&mut child, pid, signal, grace).await;
                            end_rest(&program, pid);
                            set(Activity::Stopped);
                            let _ = done.send(());
                            break;
                        }
                    }
                }
            };
            if started.elapsed() >= HEALTHY {
                backoff = FIRST_BACKOFF;
            }
            say(format!("{} {why}; it starts again in {:.1} s (log: {})", program.name, backoff.as_secs_f32(), program.log.display()));
            set(Activity::Crashed(why));
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                order = next_stop(&mut inbox) => {
                    let Some((_, _, done)) = order else { return };
                    set(Activity::Stopped);
                    let _ = done.send(());
                    break;
                }
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            state.send_modify(|state| state.restarts += 1);
        }
    }
}

/// The next order to stop; a start of what is started already is no news.
async fn next_stop(inbox: &mut mpsc::UnboundedReceiver<Order>) -> Option<(Signal, Duration, oneshot::Sender<()>)> {
    loop {
        match inbox.recv().await? {
            Order::Stop { signal, grace, done } => return Some((signal, grace, done)),
            Order::Start(_) => {}
        }
    }
}

async fn end(child: &mut Child, pid: u32, signal: Signal, grace: Duration) {
    signal_group(pid, signal);
    if signal == Signal::KILL || tokio::time::timeout(grace, child.wait()).await.is_err() {
        signal_group(pid, Signal::KILL);
        let _ = child.wait().await;
    }
}

/// Ends what a program left behind: in its process group, and in its container.
fn end_rest(program: &Program, pid: u32) {
    signal_group(pid, Signal::KILL);
    let container = program.env.get(OsStr::new(leftover::CONTAINER)).and_then(|name| name.to_str());
    if let (Some(pod), Some(container)) = (&program.pod, container) {
        leftover::end(&pod.net, pod.pause, Some(container));
    }
}

/// Signals a program and all that it started. A group that is gone is no error.
pub fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

fn spawn(program: &Program) -> std::io::Result<Child> {
    let log = open_log(&program.log)?;
    command(program).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

/// The command that runs `program` where it belongs, in a process group of its own.
pub fn command(program: &Program) -> tokio::process::Command {
    let command = match (&program.pod, program.command.split_first()) {
        (Some(pod), _) => self::program(&Role::Enter { pause: pod.pause, command: program.command.clone() }),
        (None, first) => {
            let (name, arguments) = first.map_or((OsString::new(), Vec::new()), |(name, rest)| (name.clone(), rest.to_vec()));
            let mut command = std::process::Command::new(name);
            command.args(arguments);
            command
        }
    };
    let mut command = tokio::process::Command::from(command);
    command.env_clear().envs(&program.env).current_dir(&program.folder).process_group(0).kill_on_drop(true);
    command
}

fn open_log(path: &PathBuf) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
