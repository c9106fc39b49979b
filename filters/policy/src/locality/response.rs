//! Reads from a response what it tells about the zone that the request was meant for.

use super::observed::Choice;
use super::policy::{Compiled, Policy};

/// What is known of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'r> {
    /// The status code.
    pub status: u16,
    /// How many times the router sent the request; 1 without a retry.
    pub attempts: u64,
    /// The region and zone of the endpoint that answered; `None` if there was none (Envoy answered by itself).
    pub zone: Option<(&'r [u8], &'r [u8])>,
}

/// What a response tells about the zone that the request was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The zone serves.
    Served,
    /// The zone failed this request, whether or not a retry hid it.
    Failed,
    /// The request never tried the zone: Envoy holds its endpoints for unhealthy, or has none.
    Untried,
}

impl Response<'_> {
    /// Whether the response says all that matters before its zone is read, which costs as much as the rest: nearly every
    /// request is meant for the own zone, answered at the first attempt, and well.
    pub fn is_plain(status: u16, attempts: u64) -> bool {
        attempts <= 1 && !is_gateway_failure(status)
    }

    /// The outcome for the zone that was chosen.
    ///
    /// Retries use `previous_priorities`: a request that was sent again and answered elsewhere failed in its own zone
    /// first. A named zone is never left by a retry, but its fallback list is, when the zone has no endpoint.
    pub fn outcome(&self, policy: &Policy, service: &Compiled, choice: Choice) -> Outcome {
        let wanted = service.named(choice).or(policy.own.as_deref());
        let served_there = wanted.is_some_and(|wanted| self.is_from(wanted));
        match choice {
            _ if is_gateway_failure(self.status) => Outcome::Failed,
            _ if served_there => Outcome::Served,
            Choice::Near | Choice::Probe if self.attempts <= 1 => Outcome::Untried,
            _ => Outcome::Failed,
        }
    }

    fn is_from(&self, wanted: &str) -> bool {
        let Some((region, zone)) = self.zone else { return false };
        let wanted = wanted.as_bytes().strip_prefix(region).and_then(|rest| rest.strip_prefix(b"/"));
        wanted == Some(zone)
    }
}

/// The answers of a gateway for a service that does not answer, as outlier detection's `gateway_failure` counts them. A 500
/// is the service's own.
fn is_gateway_failure(status: u16) -> bool {
    matches!(status, 502..=504)
}
