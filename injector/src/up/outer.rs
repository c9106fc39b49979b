//! The user's process of `weir up`: starts the rest, prints, opens ports outside, ends all in time.

use super::args::{Args, Output};
use super::inside::{Role, program};
use super::message::{self, Receiver};
use super::protocol::{ToOuter, ToRunner, View};
use super::rundir::Owned;
use anyhow::{Context, Result, anyhow, bail};
use std::io::{IsTerminal, Write};
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
/// The live line is printed at most so often where it cannot replace the last one.
const LIVE: Duration = Duration::from_secs(10);

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
        let mut outer = Outer { args, stream: ours, child, port, screen: Screen::new(args.output) };
        let outcome = runtime.block_on(outer.watch());
        runtime.block_on(outer.end());
        outcome
    });
    owned.remove();
    outcome
}

struct Outer<'a> {
    args: &'a Args,
    stream: UnixStream,
    child: Child,
    port: Option<TcpListener>,
    screen: Screen,
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
                    Some(ToOuter::Waiting(what)) => missing = missing.map(|_| what),
                    Some(ToOuter::Ready(view)) => {
                        missing = None;
                        deadline = self.args.duration.map(|duration| Instant::now() + duration);
                        self.screen.ready(&view, started.elapsed())?;
                    }
                },
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
        // The port that the user asked for belongs to the first gateway's first port, which the runner asks for first.
        let listener = match self.port.take() {
            Some(listener) => listener,
            None => listen(0)?,
        };
        Ok(message::send(&self.stream, &ToRunner::Listener { gateway, port }, &[listener.as_fd()])?)
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

/// Where the user reads.
struct Screen {
    output: Output,
    terminal: bool,
    live: Option<String>,
    printed: Option<Instant>,
}

impl Screen {
    fn new(output: Output) -> Screen {
        Screen { output, terminal: output == Output::Text && std::io::stdout().is_terminal(), live: None, printed: None }
    }

    /// Prints a line; a reader that has gone away does not end the run.
    fn line(&mut self, line: &str) {
        match self.output {
            Output::Json => drop(writeln!(std::io::stderr(), "{line}")),
            Output::Text => {
                self.close();
                let _ = writeln!(std::io::stdout(), "{line}");
                let _ = std::io::stdout().flush();
            }
        }
    }

    fn live(&mut self, line: String) {
        if self.terminal {
            let _ = write!(std::io::stdout(), "\r\x1b[K{line}");
            let _ = std::io::stdout().flush();
            self.live = Some(line);
        } else if self.output == Output::Text
            && self.live.as_ref() != Some(&line)
            && self.printed.is_none_or(|printed| printed.elapsed() >= LIVE)
        {
            let _ = writeln!(std::io::stdout(), "{line}");
            self.printed = Some(Instant::now());
            self.live = Some(line);
        }
    }

    /// Leaves the live line behind.
    fn close(&mut self) {
        if self.terminal && self.live.take().is_some() {
            let _ = write!(std::io::stdout(), "\r\x1b[K");
            let _ = std::io::stdout().flush();
        }
    }

    fn ready(&mut self, view: &View, elapsed: Duration) -> Result<()> {
        if self.output == Output::Json {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(view)?)?;
            return Ok(std::io::stdout().flush()?);
        }
        self.line(&format!(
            "\nready after {:.1} s: {} pods; logs in {}",
            elapsed.as_secs_f32(),
            view.pods.len(),
            view.run_dir.join("logs").display()
        ));
        for gateway in &view.gateways {
            self.line(&format!("gateway {}", gateway.name));
            for url in &gateway.urls {
                self.line(&format!("  {url}"));
            }
        }
        self.line("from another terminal: weir get, weir logs POD, weir exec POD -- curl http://SERVICE/, weir stop POD; Ctrl-C ends all");
        Ok(())
    }
}
