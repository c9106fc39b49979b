//! What an answer tells about the zones, read no further than it matters: each value read of Envoy costs as much as all else here.

use crate::Locality;
use crate::counter::Counter;
use weir_policy::SERVED_BY_HEADER;
use weir_policy::locality::{Choice, Compiled, Outcome, Response};
use weir_shell::{Headers, Level, is_debug, log, now, number, property, set_header};

/// What nearly always suffices to know how a request went.
pub(crate) struct Answer {
    status: u16,
    attempts: u64,
}

impl Answer {
    pub(crate) fn read() -> Self {
        let status = number("response\0code").and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        Self { status, attempts: number("upstream\0request_attempt_count").unwrap_or(1) }
    }

    /// Whether the answer to a request for the own zone is plain, as all others were: then there is nothing to take in.
    pub(crate) fn is_as_ever(&self, filter: &Locality) -> bool {
        self.is_plain() && filter.observed.borrow().is_calm()
    }

    fn is_plain(&self) -> bool {
        Response::is_plain(self.status, self.attempts)
    }

    pub(crate) fn observe(&self, Locality { policy, observed, .. }: &Locality, service: &Compiled, choice: Choice) {
        let Self { status, attempts } = *self;
        let outcome = if choice == Choice::Near && self.is_plain() {
            Outcome::Served
        } else {
            let region = property("upstream\0locality\0region").unwrap_or_default();
            let zone = property("upstream\0locality\0zone");
            let zone = zone.as_deref().map(|zone| (region.as_ref(), zone));
            Response { status, attempts, zone }.outcome(policy, service, choice)
        };
        if outcome == Outcome::Failed {
            Counter::Failed.count();
            if is_debug() {
                let zone = service.named(choice).unwrap_or("the own zone");
                log(Level::Debug, &format!("{zone} failed ({status}, attempts: {attempts})"));
            }
        }
        observed.borrow_mut().observe(service, choice, outcome, now);
    }
}

/// Tells who served; if Envoy answered by itself, nobody did.
pub(crate) fn tell() {
    if let (Some(zone), Some(address)) = (property("upstream\0locality\0zone"), property("upstream\0address")) {
        let server = [&zone, b"/".as_slice(), &address].concat();
        set_header(Headers::Response, SERVED_BY_HEADER, &server);
    }
}
