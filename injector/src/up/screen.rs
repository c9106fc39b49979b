//! Where the user of `weir up` reads: lines, and a last one that is replaced by the next.

use super::args::Output;
use super::protocol::{GatewayView, View};
use anyhow::Result;
use rustix::termios::tcgetwinsize;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// The live line is printed at most so often where it cannot replace the last one.
const LIVE: Duration = Duration::from_secs(10);

/// Where the user reads.
pub struct Screen {
    output: Output,
    terminal: bool,
    live: Option<String>,
    printed: Option<Instant>,
}

impl Screen {
    /// A screen without anything.
    pub fn new(output: Output) -> Screen {
        Screen { output, terminal: output == Output::Text && std::io::stdout().is_terminal(), live: None, printed: None }
    }

    /// Prints a line; a reader that has gone away does not end the run.
    pub fn line(&mut self, line: &str) {
        match self.output {
            Output::Json => drop(writeln!(std::io::stderr(), "{line}")),
            Output::Text => {
                self.close();
                let _ = writeln!(std::io::stdout(), "{line}");
                let _ = std::io::stdout().flush();
            }
        }
    }

    /// Replaces the live line.
    pub fn live(&mut self, line: String) {
        if self.terminal {
            // A longer line would fill a second row, which nothing removes.
            let shown = cut(&line, width());
            let _ = write!(std::io::stdout(), "\r\x1b[K{shown}");
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
    pub fn close(&mut self) {
        if self.terminal && self.live.take().is_some() {
            let _ = write!(std::io::stdout(), "\r\x1b[K");
            let _ = std::io::stdout().flush();
        }
    }

    /// Says that all is ready, and how it is reached.
    pub fn ready(&mut self, view: &View, elapsed: Duration) -> Result<()> {
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
        view.gateways.iter().for_each(|gateway| self.gateway(gateway));
        self.line("from another terminal: weir get, weir logs POD, weir exec POD -- curl http://SERVICE/, weir stop POD; Ctrl-C ends all");
        Ok(())
    }

    /// Says how a gateway is reached.
    pub fn gateway(&mut self, gateway: &GatewayView) {
        self.line(&format!("gateway {}", gateway.name));
        for text in gateway.urls.iter().chain(&gateway.unserved) {
            self.line(&format!("  {text}"));
        }
        let elsewhere = |host: &&String| !host.contains('*') && !host.ends_with("localhost");
        for port in &gateway.ports {
            for host in port.hosts.iter().filter(elsewhere) {
                self.line(&format!("  {host}: as the Host of a request to 127.0.0.1:{}", port.outside));
            }
        }
    }
}

/// The columns of the terminal; none where it does not know.
fn width() -> Option<usize> {
    tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The text on one row of so many columns; the last one stays free, since some terminals begin a new row when it is filled.
fn cut(text: &str, columns: Option<usize>) -> String {
    match columns {
        Some(columns) if text.chars().count() >= columns => text.chars().take(columns.saturating_sub(2)).chain(['\u{2026}']).collect(),
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_line_fits_on_one_row() {
        assert_eq!(cut("0123456789", Some(11)), "0123456789");
        assert_eq!(cut("0123456789", Some(10)), "01234567\u{2026}");
        assert_eq!(cut("0123456789", None), "0123456789");
    }
}
