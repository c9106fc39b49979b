//! A bounded load, and a report of what came back.
//!
//! With a rate the loop is open: request number n is due n/rate seconds after the start whatever became of the
//! ones before, and its latency counts from when it was due, so a server that stalls cannot hide it.

pub mod args;
mod report;
mod tally;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use http_body_util::Full;
use hyper::header::{COOKIE, HeaderValue};
use hyper::{HeaderMap, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
pub use report::{Bucket, Failure, Latency, Report, Users};
use tally::{Outcome, Tally};

/// No load sends more requests than this.
pub const MOST_REQUESTS: u64 = 1_000_000;
/// No load goes on for longer than this.
pub const LONGEST: Duration = Duration::from_secs(600);
/// No load has more requests in flight than this.
pub const MOST_IN_FLIGHT: usize = 1024;

/// What to send. One of `requests` and `duration` must be set; with both, what comes first ends the load.
#[derive(Clone, Debug)]
pub struct Config {
    /// The URL to GET, `http` only.
    pub url: String,
    /// Where to connect to instead of the URL's host, which still goes into the request.
    pub connect: Option<SocketAddr>,
    /// How many requests to send.
    pub requests: Option<u64>,
    /// How long to go on sending.
    pub duration: Option<Duration>,
    /// Requests per second; as fast as answers come if absent.
    pub rate: Option<f64>,
    /// The most requests in flight.
    pub concurrency: usize,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Users, each sent as the cookie `user`: the requests are dealt to them in turn.
    pub users: Vec<String>,
    /// JSON pointers (RFC 6901) into the answers; an answer's value is what they find, joined by spaces.
    pub by: Vec<String>,
    /// Whether the report has a timeline.
    pub timeline: bool,
    /// How long a request may take.
    pub timeout: Duration,
}

impl Config {
    /// A load on `url` with nothing special: set its bounds next.
    pub fn new(url: impl Into<String>) -> Config {
        Config {
            url: url.into(),
            connect: None,
            requests: None,
            duration: None,
            rate: None,
            concurrency: 16,
            headers: HeaderMap::new(),
            users: Vec::new(),
            by: Vec::new(),
            timeline: false,
            timeout: Duration::from_secs(10),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.requests.is_some() || self.duration.is_some(), "a load needs an end: a number of requests or a duration");
        ensure!(self.requests.is_none_or(|n| n <= MOST_REQUESTS), "at most {MOST_REQUESTS} requests");
        ensure!(self.duration.is_none_or(|time| time <= LONGEST), "at most {LONGEST:?}");
        ensure!((1..=MOST_IN_FLIGHT).contains(&self.concurrency), "a concurrency from 1 to {MOST_IN_FLIGHT}");
        ensure!(self.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "a rate above 0");
        Request::get(&self.url).body(()).with_context(|| format!("{} is no URL", self.url))?;
        Ok(())
    }
}

/// Sends the load that `config` describes and waits for all answers.
pub async fn run(config: Config) -> anyhow::Result<Report> {
    Ok(Load::start(config)?.finish().await)
}

/// A load at work. It ends early when this is dropped.
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    driver: JoinHandle<()>,
}

impl Load {
    /// Starts to send; needs a tokio runtime.
    pub fn start(config: Config) -> anyhow::Result<Load> {
        config.check()?;
        let shared =
            Arc::new(Shared { client: Client::new(config.connect), tally: Mutex::new(Tally::new(&config)), start: Instant::now(), config });
        let (stop, stopped) = watch::channel(false);
        let driver = tokio::spawn(drive(shared.clone(), stopped));
        Ok(Load { shared, stop, driver })
    }

    /// How long it has been running: the clock of the report's times.
    pub fn elapsed(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// What came back so far.
    pub fn report(&self) -> Report {
        self.shared.tally().report(self.elapsed())
    }

    /// Waits for the load's end and for all answers.
    pub async fn finish(self) -> Report {
        let Load { shared, stop, driver } = self;
        // The driver has no way to fail but a panic in it; what was counted until then still is the report.
        let _ = driver.await;
        drop(stop);
        shared.tally().report(shared.start.elapsed())
    }

    /// Sends no more and waits for the answers that are due.
    pub async fn stop(self) -> Report {
        let _ = self.stop.send(true);
        self.finish().await
    }
}

struct Shared {
    config: Config,
    client: Client,
    start: Instant,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends request number `n` and counts what becomes of it.
    async fn send(&self, n: u64, due: Instant) {
        let user = (!self.config.users.is_empty()).then(|| (n % self.config.users.len() as u64) as usize);
        let outcome = match self.request(user) {
            Ok(request) => Outcome::of(self.client.send(request, self.config.timeout).await, &self.config.by),
            Err(error) => Outcome::unanswered(&error),
        };
        self.tally().count(user, outcome, self.start.elapsed(), due.elapsed());
    }

    fn request(&self, user: Option<usize>) -> anyhow::Result<Request<Full<bytes::Bytes>>> {
        let mut request = Request::get(&self.config.url).body(Full::default())?;
        *request.headers_mut() = self.config.headers.clone();
        if let Some(user) = user.and_then(|user| self.config.users.get(user)) {
            request.headers_mut().insert(COOKIE, HeaderValue::from_str(&format!("user={user}"))?);
        }
        Ok(request)
    }
}

async fn drive(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let config = &shared.config;
    let slots = Arc::new(Semaphore::new(config.concurrency));
    let end = shared.start + config.duration.unwrap_or(LONGEST);
    for n in 0..config.requests.unwrap_or(MOST_REQUESTS) {
        let due = config.rate.map(|rate| shared.start + Duration::from_secs_f64(n as f64 / rate));
        let slot = tokio::select! {
            biased;
            _ = stopped.changed() => break,
            _ = sleep_until(end) => break,
            slot = slot(&slots, due) => slot,
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            shared.send(n, due.unwrap_or_else(Instant::now)).await;
            drop(slot);
        });
    }
    // Every slot back means that every request has been counted.
    let _ = slots.acquire_many(config.concurrency as u32).await;
}

async fn slot(slots: &Arc<Semaphore>, due: Option<Instant>) -> Option<OwnedSemaphorePermit> {
    if let Some(due) = due {
        sleep_until(due).await;
    }
    slots.clone().acquire_owned().await.ok()
}
