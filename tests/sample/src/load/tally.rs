//! Counts what becomes of each request of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Config;
use super::report::{Bucket, Failure, Latency, Report, Users};
use crate::client::Answer;

/// The width of a timeline's buckets in milliseconds.
const BUCKET_MS: u64 = 100;
/// How many different reasons of failures, and how many users of two minds, a report names.
const MOST_NAMED: usize = 20;
/// How much of a failed answer's body its reason quotes, in characters.
const QUOTED: usize = 160;
/// The value of an answer in which a pointer finds nothing.
const NOTHING: &str = "(none)";

/// What became of a request: an answer's value, or why it failed.
pub(super) struct Outcome {
    status: String,
    result: Result<String, String>,
}

impl Outcome {
    pub(super) fn of(answer: anyhow::Result<Answer>, by: &[String]) -> Outcome {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Outcome::unanswered(&error),
        };
        let status = answer.status.as_u16().to_string();
        let result = if answer.status.as_u16() < 400 {
            Ok(value(&answer.body, by))
        } else {
            let quoted: String = String::from_utf8_lossy(&answer.body).trim().chars().take(QUOTED).collect();
            Err(format!("{status} {quoted}").trim_end().to_owned())
        };
        Outcome { status, result }
    }

    pub(super) fn unanswered(error: &anyhow::Error) -> Outcome {
        Outcome { status: "none".to_owned(), result: Err(format!("{error:#}")) }
    }
}

fn value(body: &[u8], by: &[String]) -> String {
    let json = if by.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap_or_default() };
    let found = by.iter().map(|pointer| match json.pointer(pointer) {
        None | Some(Value::Null) => NOTHING.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    });
    found.collect::<Vec<_>>().join(" ")
}

/// The running count.
pub(super) struct Tally {
    by_value: bool,
    users: Vec<String>,
    timeline: Option<BTreeMap<u64, Bucket>>,
    report: Report,
    user_values: BTreeMap<usize, BTreeMap<String, u64>>,
    latencies_us: Vec<u32>,
}

impl Tally {
    pub(super) fn new(config: &Config) -> Tally {
        Tally {
            by_value: !config.by.is_empty(),
            users: config.users.clone(),
            timeline: config.timeline.then(BTreeMap::new),
            report: Report::default(),
            user_values: BTreeMap::new(),
            latencies_us: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, user: Option<usize>, outcome: Outcome, at: Duration, latency: Duration) {
        let at_ms = at.as_millis() as u64;
        self.report.requests += 1;
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        *self.report.statuses.entry(outcome.status).or_default() += 1;
        let bucket = self.timeline.as_mut().map(|timeline| {
            let begin = at_ms - at_ms % BUCKET_MS;
            timeline.entry(begin).or_insert_with(|| Bucket { at_ms: begin, ..Bucket::default() })
        });
        match outcome.result {
            Ok(value) => {
                if let Some(bucket) = bucket {
                    *bucket.values.entry(value.clone()).or_default() += 1;
                }
                if let Some(user) = user {
                    *self.user_values.entry(user).or_default().entry(value.clone()).or_default() += 1;
                }
                if self.by_value {
                    *self.report.values.entry(value).or_default() += 1;
                }
            }
            Err(reason) => {
                self.report.failed += 1;
                if let Some(bucket) = bucket {
                    bucket.failed += 1;
                }
                self.failed(reason, at_ms);
            }
        }
    }

    fn failed(&mut self, reason: String, at_ms: u64) {
        let failures = &mut self.report.failures;
        if let Some(failure) = failures.iter_mut().find(|failure| failure.reason == reason) {
            failure.count += 1;
        } else if failures.len() < MOST_NAMED {
            failures.push(Failure { reason, count: 1, first_at_ms: at_ms });
        }
    }

    pub(super) fn report(&self, elapsed: Duration) -> Report {
        Report {
            elapsed_ms: elapsed.as_millis() as u64,
            users: (!self.users.is_empty()).then(|| self.users()),
            latency: latency(self.latencies_us.clone()),
            timeline: self.timeline.iter().flat_map(BTreeMap::values).cloned().collect(),
            ..self.report.clone()
        }
    }

    fn users(&self) -> Users {
        let name = |user: &usize| self.users.get(*user).cloned().unwrap_or_default();
        let all: BTreeMap<_, _> = self.user_values.iter().map(|(user, values)| (name(user), values.clone())).collect();
        let mut by_value = BTreeMap::new();
        for values in all.values().filter(|values| values.len() == 1) {
            *by_value.entry(values.keys().next().cloned().unwrap_or_default()).or_default() += 1;
        }
        let torn: Vec<_> = all.iter().filter(|(_, values)| values.len() > 1).map(|(user, values)| (user.clone(), values.clone())).collect();
        let inconsistent = torn.len() as u64;
        Users { seen: all.len() as u64, by_value, inconsistent, examples: torn.into_iter().take(MOST_NAMED).collect(), all }
    }
}

fn latency(mut us: Vec<u32>) -> Latency {
    us.sort_unstable();
    let at = |share: f64| {
        let rank = (us.len() as f64 * share).ceil() as usize;
        us.get(rank.saturating_sub(1)).map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    Latency { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_the_smallest_that_covers_the_share() {
        let us = (1..=200).map(|n| n * 1000).collect();
        assert_eq!(latency(us), Latency { p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 });
        assert_eq!(latency(Vec::new()), Latency::default());
    }

    #[test]
    fn tells_the_users_that_saw_more_than_one_value() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<BTreeMap<_, _>>();
        let mut tally = Tally::new(&Config { users: vec!["ada".to_owned(), "bob".to_owned(), "eve".to_owned()], ..Config::new("") });
        for (user, colour) in [(0, "blue"), (1, "green"), (0, "green"), (1, "green"), (0, "blue")] {
            let outcome = Outcome { status: "200".to_owned(), result: Ok(colour.to_owned()) };
            tally.count(Some(user), outcome, Duration::ZERO, Duration::ZERO);
        }

        let ada = ("ada".to_owned(), counts(&[("blue", 2), ("green", 1)]));
        let bob = ("bob".to_owned(), counts(&[("green", 2)]));
        let expected = Users {
            seen: 2,
            by_value: counts(&[("green", 1)]),
            inconsistent: 1,
            examples: BTreeMap::from([ada.clone()]),
            all: BTreeMap::from([ada, bob]),
        };
        assert_eq!(tally.report(Duration::ZERO).users, Some(expected));
    }

    #[test]
    fn a_value_is_what_the_pointers_find() {
        let by = |pointers: &[&str]| pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>();
        let body = br#"{"zone": "a", "orderHistory": {"zone": "b", "status": 200}}"#;

        assert_eq!(value(body, &by(&["/zone", "/orderHistory/status"])), "a 200");
        assert_eq!(value(body, &by(&["/colour"])), "(none)");
        assert_eq!(value(b"<html>", &by(&["/zone"])), "(none)");
    }
}
