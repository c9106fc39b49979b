//! The report of a load, which as JSON is what the command line prints.

use std::collections::BTreeMap;

use serde::Serialize;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those that failed: no answer in time, or a status of 400 or more.
    pub failed: u64,
    /// Milliseconds from the start to the report.
    pub elapsed_ms: u64,
    /// How many answers had which status; `none` where there was no answer.
    pub statuses: BTreeMap<String, u64>,
    /// How many answers that did not fail had which value (see [`Config::by`](super::Config::by)).
    pub values: BTreeMap<String, u64>,
    /// Why requests failed, in the order in which the reasons turned up.
    pub failures: Vec<Failure>,
    /// How the values spread over users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// How long requests took.
    pub latency: Latency,
    /// What happened when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Bucket>,
}

/// A reason of failures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The status with the beginning of the body, or why there was no answer.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// When first, in milliseconds from the start.
    pub first_at_ms: u64,
}

/// What users saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// Users with an answer.
    pub seen: u64,
    /// How many users saw which value and no other.
    pub by_value: BTreeMap<String, u64>,
    /// How many users saw more than one value.
    pub inconsistent: u64,
    /// Some of these users, with how often they saw what.
    pub examples: BTreeMap<String, BTreeMap<String, u64>>,
    /// All users, with how often they saw what; not part of the JSON.
    #[serde(skip)]
    pub all: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Latencies in milliseconds, of all requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Half of the requests took at most this.
    pub p50_ms: f64,
    /// 99 of 100 requests took at most this.
    pub p99_ms: f64,
    /// None took longer.
    pub max_ms: f64,
}

/// What came back in a tenth of a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Its beginning, in milliseconds from the start.
    pub at_ms: u64,
    /// Requests that failed.
    pub failed: u64,
    /// How many other answers had which value.
    pub values: BTreeMap<String, u64>,
}
