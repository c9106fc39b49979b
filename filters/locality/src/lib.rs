//! The locality filter: lets weir-policy choose the zone, names it in a header, and shows it what became of the request.
//!
//! Whatever is missing here leaves the request to Envoy's priorities by locality.

mod answer;
mod counter;

use answer::Answer;
use counter::{COUNTERS, Counter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use weir_policy::locality::{Choice, Observed, Policy};
use weir_policy::{ZONE_HEADER, host_of_cluster};
use weir_shell::{Counters, Filter, Headers, Level, is_debug, log, now, property, set_header};

weir_shell::filter!(Locality: on_request_headers, on_response_headers);

/// So many requests elsewhere are awaited at once; of more the oldest are forgotten, since some never get a response.
const MOST_ELSEWHERE: usize = 4096;

/// One configuration of the filter, and what its requests saw.
#[derive(Debug)]
pub struct Locality {
    policy: Policy,
    /// Whether responses are read at all: to observe them, or to tell who served them.
    observes: bool,
    tells: bool,
    observed: RefCell<Observed>,
    /// What was chosen for the requests under way that do not just go near.
    elsewhere: RefCell<BTreeMap<u32, Choice>>,
}

impl Filter for Locality {
    fn new(json: &[u8]) -> Result<Self, String> {
        let policy = Policy::parse(json).map_err(|error| error.to_string())?;
        let observed = RefCell::new(Observed::new(&policy));
        Ok(Self { observes: policy.observes(), tells: policy.tells(), policy, observed, elsewhere: RefCell::default() })
    }

    fn on_request_headers(&self, request: u32) {
        let calm = self.observed.borrow().is_calm() && !is_debug();
        let choice = if calm { Choice::Near } else { self.choose() };
        Counter::from(choice).count();
        if choice != Choice::Near {
            let mut elsewhere = self.elsewhere.borrow_mut();
            elsewhere.insert(request, choice);
            if elsewhere.len() > MOST_ELSEWHERE {
                elsewhere.pop_first();
            }
        }
    }

    fn on_response_headers(&self, request: u32) {
        let chosen = self.elsewhere.borrow_mut().remove(&request).unwrap_or(Choice::Near);
        let looks = self.observes && (chosen != Choice::Near || self.observed.borrow_mut().looks(now));
        let answer = looks.then(Answer::read).filter(|answer| chosen != Choice::Near || !answer.is_as_ever(self));
        if (answer.is_some() || self.tells)
            && let Some(cluster) = cluster()
            && let Some(service) = host_of_cluster(&cluster).and_then(|host| self.policy.for_host(host))
        {
            if let Some(answer) = answer.filter(|_| !service.zones.is_empty()) {
                answer.observe(self, service, chosen);
            }
            if service.served_by {
                answer::tell();
            }
        }
    }

    fn flush_counters() {
        COUNTERS.with(Counters::flush);
    }
}

impl Locality {
    fn choose(&self) -> Choice {
        let Some(cluster) = cluster() else { return Choice::Near };
        let Some(service) = host_of_cluster(&cluster).and_then(|host| self.policy.for_host(host)) else { return Choice::Near };
        let choice = self.observed.borrow_mut().choose(service, now);
        let zone = service.named(choice);
        if is_debug() {
            log(Level::Debug, &format!("{}: {choice}{}", cluster.escape_ascii(), zone.unwrap_or_default()));
        }
        if let Some(zone) = zone {
            set_header(Headers::Request, ZONE_HEADER, zone.as_bytes());
        }
        choice
    }
}

fn cluster() -> Option<Box<[u8]>> {
    property("xds\0cluster_name")
}
