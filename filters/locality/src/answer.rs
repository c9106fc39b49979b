//! What an answer tells about the zones, read no further than it matters: each value read of Envoy costs as much as all else here.

use crate::counter::Counter;
use crate::{State, now};
use log::debug;
use proxy_wasm::hostcalls::set_map_value_bytes;
use proxy_wasm::types::MapType;
use weir_policy::SERVED_BY_HEADER;
use weir_policy::locality::{Choice, Compiled, Outcome, Response};
use weir_shell::{is_debug, number, property};

/// What nearly always suffices to know how a request went.
pub(crate) struct Answer {
    status: u16,
    attempts: u64,
}

impl Answer {
    pub(crate) fn read() -> Self {
        let status = number(&["response", "code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        Self { status, attempts: number(&["upstream", "request_attempt_count"]).unwrap_or(1) }
    }

    /// Whether the answer to a request for the own zone is plain, as all others were: then there is nothing to take in.
    pub(crate) fn is_as_ever(&self, state: &State) -> bool {
        self.is_plain() && state.observed.borrow().is_calm()
    }

    fn is_plain(&self) -> bool {
        Response::is_plain(self.status, self.attempts)
    }

    pub(crate) fn observe(&self, State { policy, observed, .. }: &State, service: &Compiled, choice: Choice) {
        let Self { status, attempts } = *self;
        let outcome = if choice == Choice::Near && self.is_plain() {
            Outcome::Served
        } else {
            let region = property(&["upstream", "locality", "region"]).unwrap_or_default();
            let zone = property(&["upstream", "locality", "zone"]);
            let zone = zone.as_deref().map(|zone| (region.as_slice(), zone));
            Response { status, attempts, zone }.outcome(policy, service, choice)
        };
        if outcome == Outcome::Failed {
            Counter::Failed.count();
            if is_debug() {
                debug!("{} failed ({status}, attempts: {attempts})", service.named(choice).unwrap_or("the own zone"));
            }
        }
        observed.borrow_mut().observe(service, choice, outcome, now);
    }
}

/// Tells who served; if Envoy answered by itself, nobody did.
pub(crate) fn tell() {
    if let (Some(zone), Some(address)) = (property(&["upstream", "locality", "zone"]), property(&["upstream", "address"])) {
        let server = [&zone, b"/".as_slice(), &address].concat();
        let _ = set_map_value_bytes(MapType::HttpResponseHeaders, SERVED_BY_HEADER, Some(&server));
    }
}
