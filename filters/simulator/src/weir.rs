//! The locality filter as its shell runs it: the decision code of weir-policy, with a clock and random numbers.

use crate::balancer::Pick;
use crate::random::Random;
use crate::world::Micros;
use weir_policy::locality::{Choice, Compiled, Ended, Observed, Outcome, Policy};

/// The filter of one caller, in each worker of its Envoy.
pub struct Weir {
    policy: Policy,
    workers: Vec<Observed>,
    /// What the workers share.
    shared: Vec<u8>,
    random: Random,
    zone: usize,
    tick: Micros,
}

/// How the filter looks at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It does not.
    Not,
    /// When the answer is there.
    Sampled,
    /// It chose for it.
    Chosen,
}

/// How often the filter ticks.
const TICK: Micros = 500_000;

impl Weir {
    /// Of a caller in a zone.
    pub fn new(zone: usize, zones: usize, workers: usize, seed: u64) -> Self {
        let others: Vec<String> = (0..zones).filter(|other| *other != zone).map(|other| format!("\"r/{other}\"")).collect();
        let json = format!(
            r#"{{"version":1,"locality":{{"region":"r","zone":"{zone}"}},"services":[{{"hosts":["h"],"spill":{{}},"zones":[[{}]]}}]}}"#,
            others.join(",")
        );
        let policy = Policy::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let workers = (0..workers).map(|_| Observed::new(&policy)).collect();
        Self { workers, policy, shared: Vec::new(), random: Random::new(seed), zone, tick: 0 }
    }

    fn service(policy: &Policy) -> &Compiled {
        policy.for_host(b"h").unwrap_or_else(|| panic!("the policy has the host"))
    }

    /// Chooses for a request, and tells which worker did.
    pub fn choose(&mut self, now: Micros) -> (Choice, Look, usize) {
        let clock = || now / 1_000;
        if now >= self.tick {
            self.tick = now + TICK;
            self.tell(clock());
        }
        let worker = self.random.below(self.workers.len());
        let observed = &mut self.workers[worker];
        let looks = observed.begins(clock);
        if observed.is_calm() {
            return (Choice::Near, if looks > 0 { Look::Sampled } else { Look::Not }, worker);
        }
        let random = self.random.bits() as u32;
        (observed.choose(Self::service(&self.policy), clock(), random), Look::Chosen, worker)
    }

    fn tell(&mut self, now: u64) {
        let service = Self::service(&self.policy);
        for observed in &mut self.workers {
            if let Some(told) = observed.exchange(&self.policy, service, &self.shared, now) {
                self.shared = told;
                observed.is_told(service);
            }
            observed.tick(now);
        }
    }

    /// The zone that a choice names.
    pub fn named(&self, choice: Choice) -> Option<usize> {
        Self::service(&self.policy).named(choice)?.strip_prefix("r/")?.parse().ok()
    }

    /// Takes in how a request went, and which zone answered.
    pub fn ended(&mut self, now: Micros, pick: &Pick, took: Micros, tries: u32, by: Option<usize>) {
        let choice = pick.choice;
        let wanted = self.named(choice).unwrap_or(self.zone);
        let service = Self::service(&self.policy);
        let observed = &mut self.workers[pick.worker];
        observed.ends();
        let outcome = match by {
            Some(by) if by == wanted => Outcome::Served,
            Some(_) if tries <= 1 && service.named(choice).is_none() => Outcome::Untried,
            _ => Outcome::Failed,
        };
        let micros = (outcome == Outcome::Served && tries <= 1).then_some(took as u32);
        let ended = Ended { choice, outcome, micros };
        match pick.look {
            Look::Not => {}
            Look::Sampled => observed.sample(service, &ended, now / 1_000),
            Look::Chosen => observed.observe(service, &ended, now / 1_000),
        }
    }
}
