//! The locality filter: lets weir-policy choose the zone, names it in a header, and shows it what became of the request.
//!
//! Whatever is missing here leaves the request to Envoy's priorities by locality. Nothing is read further than it matters: each
//! value of Envoy's costs as much as all else.

mod crossing;

use crossing::Crossing;
use std::cell::RefCell;
use weir_policy::locality::{Choice, Compiled, Ended, Observed, Outcome, Policy, Response};
use weir_policy::{ZONE_HEADER, host_of_cluster};
use weir_shell::{Awaited, Filter, Headers, Level, count, is_debug, log, now, number, property, random, set_header, share, shared};

weir_shell::filter!(Locality: on_request_headers, on_log);

const NEAR: &str = "weir_locality_near";
const PROBE: &str = "weir_locality_probe";
const FAILOVER: &str = "weir_locality_failover";
const SPILL: &str = "weir_locality_spill";
const COMPARE: &str = "weir_locality_compare";
const FAILED: &str = "weir_locality_failed";

/// So often a worker tries to tell the others where they do so at the same time.
const ATTEMPTS: u32 = 5;

/// One configuration of the filter, and what its requests saw.
#[derive(Debug)]
pub struct Locality {
    policy: Policy,
    /// Whether any service may be sent to another zone.
    observes: bool,
    observed: RefCell<Observed>,
    awaited: RefCell<Awaited<Sent>>,
    crossing: RefCell<Crossing>,
}

/// What is to be known of a request when it ends.
#[derive(Debug, Clone, Copy)]
enum Sent {
    /// It went without a choice, and stands for so many.
    Unasked { count: u32 },
    /// A choice was made for it, for the service at this place.
    Chosen { service: usize, choice: Choice },
}

impl Filter for Locality {
    const COUNTERS: &'static [&'static str] = &[NEAR, PROBE, FAILOVER, SPILL, COMPARE, FAILED];

    /// Begins with what the workers know already.
    fn new(json: &[u8]) -> Result<Self, String> {
        let policy = Policy::parse(json).map_err(|error| error.to_string())?;
        let mut observed = Observed::new(&policy);
        for service in policy.services() {
            if let Some((bytes, _)) = shared(&service.name) {
                observed.exchange(&policy, service, &bytes, now());
            }
        }
        Ok(Self {
            observes: policy.services().iter().any(|service| !service.zones.is_empty()),
            policy,
            observed: RefCell::new(observed),
            awaited: RefCell::default(),
            crossing: RefCell::default(),
        })
    }

    fn on_tick(&self) {
        let mut observed = self.observed.borrow_mut();
        for service in self.policy.services() {
            if !service.zones.is_empty() {
                self.exchange(&mut observed, service);
            }
        }
        observed.tick(now());
    }

    fn on_request_headers(&self, request: u32) {
        if !self.observes {
            return count(NEAR);
        }
        let looks = self.observed.borrow_mut().begins(now);
        let sent = if self.observed.borrow().is_calm() && !is_debug() { None } else { self.choose() };
        count(match sent.map_or(Choice::Near, |(_, choice)| choice) {
            Choice::Near => NEAR,
            Choice::Probe => PROBE,
            Choice::Failover(_) => FAILOVER,
            Choice::Spill(_) => SPILL,
            Choice::Compare(_) => COMPARE,
        });
        let sent = match sent {
            Some((service, choice)) => Sent::Chosen { service, choice },
            None if looks > 0 => Sent::Unasked { count: looks },
            None => return,
        };
        if let Some(Sent::Chosen { service, choice }) = self.awaited.borrow_mut().put(request, sent)
            && let Some(service) = self.policy.service(service)
        {
            self.observed.borrow_mut().lost(service, choice);
        }
    }

    fn on_log(&self, request: u32) {
        if !self.observes {
            return;
        }
        self.observed.borrow_mut().ends();
        match self.awaited.borrow_mut().take(request) {
            None => {}
            Some(Sent::Unasked { count }) => {
                if let Some(service) = self.service() {
                    let ended = self.ended(service, Choice::Near, count);
                    self.observed.borrow_mut().sample(service, &ended, now());
                }
            }
            Some(Sent::Chosen { service, choice }) => {
                if let Some(service) = self.policy.service(service) {
                    let ended = self.ended(service, choice, 1);
                    self.observed.borrow_mut().observe(service, &ended, now());
                }
            }
        }
    }
}

impl Locality {
    /// The service that the request is for.
    fn service(&self) -> Option<&Compiled> {
        self.policy.only().or_else(|| self.policy.for_host(host_of_cluster(&cluster()?)?))
    }

    fn choose(&self) -> Option<(usize, Choice)> {
        let service = self.service()?;
        let choice = self.observed.borrow_mut().choose(service, now(), random().unwrap_or_default() as u32);
        let zone = service.named(choice);
        if is_debug() {
            log(Level::Debug, &format!("{}: {choice}{}", cluster().unwrap_or_default().escape_ascii(), zone.unwrap_or_default()));
        }
        if let Some(zone) = zone {
            set_header(Headers::Request, ZONE_HEADER, zone.as_bytes());
        }
        Some((service.place, choice))
    }

    /// What Envoy knows of a request that has ended, which stands for so many.
    fn ended(&self, service: &Compiled, choice: Choice, stands_for: u32) -> Ended {
        let status = number("response\0code").and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        let response = Response { status, attempts: number("upstream\0request_attempt_count").unwrap_or(1) };
        let outcome = response.outcome(&self.policy, service, choice, || served_by().map(|[region, zone]| (region, zone)));
        if outcome == Outcome::Failed {
            count(FAILED);
            if is_debug() {
                log(Level::Debug, &format!("{} failed: {response:?}", service.named(choice).unwrap_or("the own zone")));
            }
        }
        if let Some(price) = self.policy.price
            && let (Some(from), Some([region, zone])) = (self.policy.own(), served_by())
        {
            let to = [&region, b"/".as_slice(), &zone].concat();
            self.crossing.borrow_mut().count(from, &String::from_utf8_lossy(&to), choice, stands_for, price);
        }
        let timed = outcome == Outcome::Served && response.is_timed();
        let micros = if timed { number("response\0backend_latency") } else { None };
        let micros = micros.map(|nanos| u32::try_from(nanos / 1_000).unwrap_or(u32::MAX));
        Ended { choice, outcome, micros }
    }

    /// Learns what the other workers know of a service, and tells them what this one knows. One without requests learns too: its next one
    /// shall not go by what held long ago.
    fn exchange(&self, observed: &mut Observed, service: &Compiled) {
        for _ in 0..ATTEMPTS {
            let (bytes, version) = shared(&service.name).unwrap_or_default();
            let Some(told) = observed.exchange(&self.policy, service, &bytes, now()) else { return };
            if share(&service.name, &told, version) {
                return observed.is_told(service);
            }
        }
    }
}

/// Region and zone of the endpoint that answered, if one did.
fn served_by() -> Option<[Box<[u8]>; 2]> {
    Some([property("upstream\0locality\0region").unwrap_or_default(), property("upstream\0locality\0zone")?])
}

fn cluster() -> Option<Box<[u8]>> {
    property("xds\0cluster_name")
}
