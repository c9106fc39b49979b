//! Reads from a response what it tells about the zone that the request was meant for.

use super::observed::Choice;
use super::policy::{Compiled, Policy};

/// What nearly always suffices to know how a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// How many times the router sent the request; 1 without a retry.
    pub attempts: u64,
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

impl Response {
    /// Whether how long it took says how long the zone takes: what failed may have been quick, and a retry is no zone's alone.
    pub fn is_timed(&self) -> bool {
        self.attempts <= 1 && self.status < 500
    }

    /// Whether nothing went wrong that the client or a retry hides: for the own zone that is all there is to know.
    pub fn is_plain(&self) -> bool {
        self.attempts <= 1 && !is_gateway_failure(self.status)
    }

    /// The outcome for the zone that was chosen. `zone` reads region and zone of the endpoint that answered, if there was one:
    /// only where it matters, since it costs more than all else.
    ///
    /// Retries use `previous_priorities`: a request that was sent again and answered elsewhere failed in its own zone
    /// first. A named zone is never left by a retry, but its fallback list is, when the zone has no endpoint.
    pub fn outcome<V: AsRef<[u8]>>(
        &self,
        policy: &Policy,
        service: &Compiled,
        choice: Choice,
        zone: impl FnOnce() -> Option<(V, V)>,
    ) -> Outcome {
        if choice == Choice::Near && self.is_plain() {
            return Outcome::Served;
        }
        if is_gateway_failure(self.status) {
            return Outcome::Failed;
        }
        let wanted = service.named(choice).or(policy.own.as_deref());
        let served_there = wanted.zip(zone()).is_some_and(|(wanted, (region, zone))| is(wanted, region.as_ref(), zone.as_ref()));
        match choice {
            _ if served_there => Outcome::Served,
            Choice::Near | Choice::Probe if self.attempts <= 1 => Outcome::Untried,
            _ => Outcome::Failed,
        }
    }
}

/// Whether `REGION/ZONE` is this zone.
fn is(name: &str, region: &[u8], zone: &[u8]) -> bool {
    name.as_bytes().strip_prefix(region).and_then(|rest| rest.strip_prefix(b"/")) == Some(zone)
}

/// The answers of a gateway for a service that does not answer, as outlier detection's `gateway_failure` counts them. A 500
/// is the service's own.
fn is_gateway_failure(status: u16) -> bool {
    matches!(status, 502..=504)
}
