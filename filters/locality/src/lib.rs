//! The locality filter: lets weir-policy choose the zone, names it in a header, and shows it what became of the request.
//!
//! Whatever is missing here leaves the request to Envoy's priorities by locality. Nothing is read further than it matters: each
//! value of Envoy's costs as much as all else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use weir_policy::locality::{Choice, Compiled, Observed, Outcome, Policy, Response};
use weir_policy::{SERVED_BY_HEADER, ZONE_HEADER, host_of_cluster};
use weir_shell::{Filter, Headers, Level, count, is_debug, log, now, number, property, set_header};

weir_shell::filter!(Locality: on_request_headers, on_response_headers);

const NEAR: &str = "weir_locality_near";
const PROBE: &str = "weir_locality_probe";
const DEVIATED: &str = "weir_locality_deviated";
const FAILED: &str = "weir_locality_failed";

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
    const COUNTERS: &'static [&'static str] = &[NEAR, PROBE, DEVIATED, FAILED];

    fn new(json: &[u8]) -> Result<Self, String> {
        let policy = Policy::parse(json).map_err(|error| error.to_string())?;
        let observed = RefCell::new(Observed::new(&policy));
        Ok(Self { observes: policy.observes(), tells: policy.tells(), policy, observed, elsewhere: RefCell::default() })
    }

    fn on_request_headers(&self, request: u32) {
        let choice = if self.observed.borrow().is_calm() && !is_debug() { Choice::Near } else { self.choose() };
        count(match choice {
            Choice::Near => NEAR,
            Choice::Probe => PROBE,
            Choice::Deviate(_) => DEVIATED,
        });
        if choice != Choice::Near {
            let mut elsewhere = self.elsewhere.borrow_mut();
            elsewhere.insert(request, choice);
            if elsewhere.len() > MOST_ELSEWHERE {
                elsewhere.pop_first();
            }
        }
    }

    fn on_response_headers(&self, request: u32) {
        let choice = self.elsewhere.borrow_mut().remove(&request).unwrap_or(Choice::Near);
        let looks = self.observes && (choice != Choice::Near || self.observed.borrow_mut().looks(now));
        // While all is well, a plain response changes nothing.
        let changes = |response: &Response| choice != Choice::Near || !response.is_plain() || !self.observed.borrow().is_calm();
        let response = looks.then(response).filter(changes);
        if (response.is_some() || self.tells)
            && let Some(cluster) = cluster()
            && let Some(service) = self.service(&cluster)
        {
            if let Some(response) = response.filter(|_| !service.zones.is_empty()) {
                self.observe(service, choice, response);
            }
            if service.served_by {
                tell();
            }
        }
    }
}

impl Locality {
    fn service(&self, cluster: &[u8]) -> Option<&Compiled> {
        self.policy.for_host(host_of_cluster(cluster)?)
    }

    fn choose(&self) -> Choice {
        let Some(cluster) = cluster() else { return Choice::Near };
        let Some(service) = self.service(&cluster) else { return Choice::Near };
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

    fn observe(&self, service: &Compiled, choice: Choice, response: Response) {
        let outcome = response.outcome(&self.policy, service, choice, || {
            Some((property("upstream\0locality\0region").unwrap_or_default(), property("upstream\0locality\0zone")?))
        });
        if outcome == Outcome::Failed {
            count(FAILED);
            if is_debug() {
                log(Level::Debug, &format!("{} failed: {response:?}", service.named(choice).unwrap_or("the own zone")));
            }
        }
        self.observed.borrow_mut().observe(service, choice, outcome, now);
    }
}

fn cluster() -> Option<Box<[u8]>> {
    property("xds\0cluster_name")
}

fn response() -> Response {
    let status = number("response\0code").and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    Response { status, attempts: number("upstream\0request_attempt_count").unwrap_or(1) }
}

/// Tells who served; if Envoy answered by itself, nobody did.
fn tell() {
    if let (Some(zone), Some(address)) = (property("upstream\0locality\0zone"), property("upstream\0address")) {
        set_header(Headers::Response, SERVED_BY_HEADER, &[&zone, b"/".as_slice(), &address].concat());
    }
}
