//! When a request is sent once more, and where to.

use super::lookup::Target;
use super::{NOT_REACHED, any, duration, uint};
use crate::object::virtual_service::Retries;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::retry_policy::{
    RetryBackOff, RetryHostPredicate, RetryPriority, retry_host_predicate, retry_priority,
};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, RetryPolicy};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;

/// Istio's default conditions: all mean that the request had no effect.
const SAFE: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
/// The condition that integers among the conditions mean.
const CODES: &str = "retriable-status-codes";
/// Istio's default number of retries.
const ATTEMPTS: u32 = 2;
/// How often a retry looks for a host that was not tried. Istio has 5; but a host that takes no connections has no requests either, so
/// that the least busy of two is that one three times of four: of two hosts, every sixth retry would go to the dead one again.
const SELECTIONS: i64 = 30;
/// A retry stays in the zone once, then leaves it.
const TRIES_PER_PRIORITY: i32 = 2;

/// Whether the conditions are ours to choose: then requests without side effects are retried after a reset too.
pub(crate) fn by_default(retries: Option<&Retries>) -> bool {
    retries.is_none_or(|retries| retries.attempts > 0 && retries.retry_on.is_empty())
}

/// The policy for requests to these targets; `repeatable` requests (GET, HEAD) may be repeated whatever became of them.
pub(crate) fn policy(retries: Option<&Retries>, targets: &[Target], repeatable: bool) -> Option<RetryPolicy> {
    let attempts = retries.map_or(ATTEMPTS, |retries| retries.attempts);
    if attempts == 0 || targets.is_empty() {
        return None;
    }
    let asked = retries.map(|retries| retries.retry_on.as_str()).unwrap_or_default();
    let (codes, words): (Vec<&str>, Vec<&str>) =
        asked.split(',').map(str::trim).filter(|word| !word.is_empty()).partition(|word| word.parse::<u32>().is_ok());
    let mut conditions = if asked.is_empty() { vec![SAFE] } else { words };
    if !codes.is_empty() && !conditions.contains(&CODES) {
        conditions.push(CODES);
    }
    // A sidecar that says that its app was not reached: nothing happened there, whatever the method.
    conditions.push("retriable-headers");
    if repeatable {
        conditions.push("reset");
    }
    // previous_hosts would defeat consistent hashing.
    let hashed =
        targets.iter().any(|target| target.policy.load_balancer.as_ref().is_some_and(|balancer| balancer.consistent_hash.is_some()));
    // Istio's default is to stay in the zone; ours is to leave one that fails, unless the route forbids it.
    let leaves_zone =
        retries.and_then(|retries| retries.retry_remote_localities).unwrap_or_else(|| targets.iter().any(|target| target.has_priorities()));
    let not_reached = HeaderMatcher {
        name: NOT_REACHED.into(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    };
    Some(RetryPolicy {
        retry_on: conditions.join(","),
        num_retries: uint(attempts),
        per_try_timeout: retries.and_then(|retries| retries.per_try_timeout).and_then(|timeout| duration(timeout.0)),
        retriable_status_codes: codes.iter().filter_map(|code| code.parse().ok()).collect(),
        retriable_headers: vec![not_reached],
        retry_host_predicate: if hashed { Vec::new() } else { vec![previous_hosts()] },
        host_selection_retry_max_attempts: if hashed { 0 } else { SELECTIONS },
        retry_priority: leaves_zone.then(previous_priorities),
        retry_back_off: retries
            .and_then(|retries| retries.backoff)
            .map(|backoff| RetryBackOff { base_interval: duration(backoff.0), max_interval: None }),
        ..Default::default()
    })
}

fn previous_hosts() -> RetryHostPredicate {
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".into(),
        config_type: any(PreviousHostsPredicate {}).map(retry_host_predicate::ConfigType::TypedConfig),
    }
}

fn previous_priorities() -> RetryPriority {
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".into(),
        config_type: any(PreviousPrioritiesConfig { update_frequency: TRIES_PER_PRIORITY }).map(retry_priority::ConfigType::TypedConfig),
    }
}
