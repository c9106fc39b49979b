//! The load's command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Args};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::Config;

/// What `load` takes.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("bounds").required(true).multiple(true).args(["requests", "duration"])))]
pub struct LoadArgs {
    /// What to GET
    #[arg(long)]
    url: String,
    /// Connect to this address instead of the URL's host, whose name still goes into the request
    #[arg(long, value_name = "IP:PORT")]
    connect: Option<SocketAddr>,
    /// How many requests to send
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// How long to send, such as 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Requests per second, sent when they are due whatever became of those before
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// The most requests in flight
    #[arg(long, value_name = "N", default_value_t = 16)]
    concurrency: usize,
    /// A header of every request; may be repeated
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Deal the requests to this many users in turn, by a cookie `user` of u0000, u0001, ...
    #[arg(long, value_name = "N", conflicts_with = "user_file")]
    users: Option<usize>,
    /// Deal the requests to the users in this file in turn, one name a line
    #[arg(long, value_name = "FILE")]
    user_file: Option<PathBuf>,
    /// Count the answers by what this JSON pointer finds in them, such as /orderHistory/zone; may be repeated
    #[arg(long, value_name = "POINTER")]
    by: Vec<String>,
    /// Report by tenths of a second too
    #[arg(long)]
    timeline: bool,
    /// How long a request may take
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10s")]
    timeout: Duration,
}

impl LoadArgs {
    /// The load to send; reads the file of users.
    pub fn config(self) -> anyhow::Result<Config> {
        let users = match (self.users, &self.user_file) {
            (Some(count), _) => numbered_users(count),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
            }
            (None, None) => Vec::new(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        Ok(Config {
            url: self.url,
            connect: self.connect,
            requests: self.requests,
            duration: self.duration,
            rate: self.rate,
            concurrency: self.concurrency,
            headers,
            users,
            by: self.by,
            timeline: self.timeline,
            timeout: self.timeout,
        })
    }
}

/// The users u0000, u0001 and so on: the same names in every run.
pub fn numbered_users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("u{n:04}")).collect()
}

fn header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("NAME:VALUE is wanted")?;
    Ok((name.trim().parse()?, HeaderValue::from_str(value.trim())?))
}
