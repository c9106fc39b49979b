//! The user's process of `weir up`: starts the rest, prints, opens ports outside, ends all in time.

use super::args::Args;
use super::inside::{Role, program};
use super::message::{self, Receiver};
use super::protocol::{ToOuter, ToRunner};
use super::rundir::Owned;
use super::screen::Screen;
use anyhow::{Context, Result, anyhow, bail};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The runner ends in order within this time; after it all is ended at once.
const END: Duration = Duration::from_millis(2000);
/// A run with `--for` must be ready within this time.
const READY: Duration = Duration::from_secs(180);

/// Runs until the user, `--for` or an error ends it.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.check()?;
    let port = args.gateway_port.map(listen).transpose()?;
    let owned = Owned::create(args.run_dir.as_deref())?;
    let outcome = args.config(&owned.dir).and_then(|config| {
        let (ours, theirs) = UnixStream::pair()?;
        // Started before there is a second thread, and from the thread that lives as long as the process: the kernel ends the
        // child when the thread that started it ends.
        let role = Role::Enclose { parent: i32::try_from(std::process::id())? };
        let child = program(&role).stdin(OwnedFd::from(theirs)).spawn().context("starting the runner")?;
        message::send(&ours, &ToRunner::Config(Box::new(config)), &[])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let asked = port.map(Asked::new).transpose()?;
            let mut outer = Outer { args, stream: ours, child, asked, screen: Screen::new(args.output) };
            let outcome = outer.watch().await;
            outer.end().await;
            outcome
        })
    });
    owned.remove();
    outcome
}

struct Outer<'a> {
    args: &'a Args,
    stream: UnixStream,
    child: Child,
    asked: Option<Asked>,
    screen: Screen,
}

/// The port that the user asked for. It stays open through the whole run, so that a Gateway that returns finds it.
struct Asked {
    listener: tokio::net::TcpListener,
    /// The port of a gateway that has it: the first that wants one.
    lent: Option<(String, u16)>,
}

impl Asked {
    fn new(listener: TcpListener) -> Result<Asked> {
        listener.set_nonblocking(true)?;
        Ok(Asked { listener: tokio::net::TcpListener::from_std(listener)?, lent: None })
    }

    /// Turns away who comes while no gateway has the port, instead of letting them wait.
    async fn refuse(asked: Option<&Asked>) {
        match asked {
            Some(Asked { listener, lent: None }) => drop(listener.accept().await),
            _ => std::future::pending().await,
        }
    }
}

impl Outer<'_> {
    async fn watch(&mut self) -> Result<ExitCode> {
        let (sender, mut inbox) = mpsc::unbounded_channel();
        let mut receiver = Receiver::new(self.stream.try_clone()?);
        std::thread::spawn(move || {
            while let Ok(Some((message, _))) = receiver.receive::<ToOuter>() {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let (mut interrupt, mut terminate, mut hangup) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let started = Instant::now();
        let mut deadline = self.args.duration.map(|_| started + READY);
        let mut missing: Option<Vec<String>> = Some(Vec::new());
        loop {
            let sleep = tokio::time::sleep_until(deadline.unwrap_or(started + Duration::from_secs(u64::from(u32::MAX))).into());
            tokio::select! {
                message = inbox.recv() => match message {
                    None => bail!("the runner ended"),
                    Some(ToOuter::Line(line)) => self.screen.line(&line),
                    Some(ToOuter::Live(line)) => self.screen.live(line),
                    Some(ToOuter::Bind { gateway, port }) => self.bind(gateway, port)?,
                    Some(ToOuter::Closed { gateway, port }) => self.take_back(gateway, port),
                    Some(ToOuter::Gateway(gateway)) => self.screen.gateway(&gateway),
                    Some(ToOuter::Waiting(what)) => missing = missing.map(|_| what),
                    Some(ToOuter::Ready(view)) => {
                        missing = None;
                        // A time that no clock reaches is no limit.
                        deadline = self.args.duration.and_then(|duration| Instant::now().checked_add(duration));
                        self.screen.ready(&view, started.elapsed())?;
                        if let (Some(port), Some(Asked { lent: None, .. })) = (self.args.gateway_port, &self.asked) {
                            self.screen.line(&format!("no Gateway uses --gateway-port {port}"));
                        }
                    }
                },
                () = Asked::refuse(self.asked.as_ref()) => {}
                _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
                _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
                _ = hangup.recv() => return Ok(ExitCode::SUCCESS),
                () = sleep, if deadline.is_some() => match missing {
                    None => return Ok(ExitCode::SUCCESS),
                    Some(missing) => bail!("not all is ready after {} s:\n  {}", READY.as_secs(), missing.join("\n  ")),
                },
            }
        }
    }

    fn bind(&mut self, gateway: String, port: u16) -> Result<()> {
        let free;
        let listener = match &mut self.asked {
            // The runner asks for the first gateway's first port first.
            Some(asked) if asked.lent.is_none() => {
                asked.lent = Some((gateway.clone(), port));
                asked.listener.as_fd()
            }
            _ => {
                free = listen(0)?;
                free.as_fd()
            }
        };
        Ok(message::send(&self.stream, &ToRunner::Listener { gateway, port }, &[listener])?)
    }

    fn take_back(&mut self, gateway: String, port: u16) {
        if let Some(asked) = &mut self.asked
            && asked.lent == Some((gateway, port))
        {
            asked.lent = None;
        }
    }

    /// Ends the runner in order if it can, and with it everything inside.
    async fn end(&mut self) {
        self.screen.close();
        let _ = message::send(&self.stream, &ToRunner::End, &[]);
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!("port {port} is taken{}; --gateway-port names another", super::taken::by_whom(port)),
        std::io::ErrorKind::PermissionDenied => anyhow!("port {port} needs privileges ({error}); --gateway-port names another"),
        _ => anyhow!("cannot listen on 127.0.0.1:{port}: {error}"),
    })
}
