//! What people are told of canaries, and how they steer them: pages for the commands `weir canary`, where only who may steer can reach.
//!
//! What changes something is asked for by POST, of the host `weir`, with a header of its own: a page in a browser on a machine where somebody
//! forwards the port can send none of that.

use super::engine::{Canaries, Command};
use crate::ads::http::{json, text};
use crate::ads::service::Ads;
use crate::listen::Answer;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use tonic::body::Body;
use weir_mesh::mesh::canary::Name;

/// Where all of it stands.
pub const PAGE: &str = "/debug/canaries";
/// In front of the command, a slash, the service, a slash and the canary.
pub const COMMANDS: &str = "/canary/";
/// The header that a command has.
pub const COMMANDED: &str = "x-weir-command";

/// The whole page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Whether this replica sums up: others know what was kept last.
    pub leads: bool,
    /// Sorted by service and name.
    pub canaries: Vec<CanaryStatus>,
}

/// A canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The service whose versions are compared, in full.
    pub service: String,
    /// The canary's subset, or the first label of its host.
    pub canary: String,
    /// The service's namespace.
    pub namespace: String,
    /// What it is compared with.
    pub stable: String,
    /// What routes give it, in percent.
    pub weights: Vec<f64>,
    /// What part of that it has in the whole mesh, in ten thousandths.
    pub share: u16,
    /// How it stands.
    pub verdict: Verdict,
    /// Why it has less than its weights.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When it is let in again, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// What speaks against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// How often it was held back.
    pub holds: u32,
    /// What it answered.
    pub of_canary: Answers,
    /// What the stable answered meanwhile.
    pub of_stable: Answers,
    /// How many proxies give it less by what they know themselves.
    pub held_by_proxies: usize,
}

/// How a canary stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It has what its weights give it.
    Open,
    /// Nobody, by evidence.
    Held,
    /// Some of its users, to see whether it is better.
    Probing,
    /// Nobody, by hand.
    HeldByHand,
    /// Nothing compares it.
    NoGovernor,
}

/// What speaks against a canary, as logarithms to base 10: it is held when both together come to what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// That it fails more often.
    pub failures: f64,
    /// That it is slower.
    pub latency: f64,
    /// What holds it.
    pub needed: f64,
}

/// What one subset answered: all numbers since it is known, percentages and latencies of the last blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    /// All.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Successes in percent.
    pub success: Option<f64>,
    /// The median of the successes' latency, in milliseconds.
    pub p50_ms: Option<f64>,
    /// What 99 of 100 successes kept below.
    pub p99_ms: Option<f64>,
}

/// The pages of a listener that only those reach who may steer: a unix socket, or the loopback of a pod.
#[derive(Clone)]
pub struct Local {
    /// All else that is answered there.
    pub ads: Ads,
}

impl Answer for Local {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        match (request.method(), request.uri().path().strip_prefix(COMMANDS)) {
            (&Method::POST, Some(command)) if is_meant(&request) => Ok(steer(&self.ads.canaries, command).await),
            _ => self.ads.answer(request).await,
        }
    }
}

fn is_meant(request: &Request<Incoming>) -> bool {
    request.headers().get(HOST).is_some_and(|host| host == "weir") && request.headers().contains_key(COMMANDED)
}

async fn steer(canaries: &Canaries, command: &str) -> Response<Body> {
    let mut parts = command.splitn(3, '/');
    let (Some(command), Some(service), Some(canary)) = (parts.next(), parts.next(), parts.next()) else {
        return text(StatusCode::BAD_REQUEST, format!("expected {COMMANDS}hold/SERVICE/CANARY or {COMMANDS}resume/SERVICE/CANARY\n"));
    };
    let name = Name { service: service.into(), canary: canary.into() };
    let command = match command {
        "hold" => Command::Hold(name),
        "resume" => Command::Resume(name),
        _ => return text(StatusCode::NOT_FOUND, "there is hold and resume\n".to_string()),
    };
    match canaries.steer(command).await {
        Ok(()) => json(&canaries.page().await),
        Err(error) => text(StatusCode::CONFLICT, format!("{error}\n")),
    }
}
