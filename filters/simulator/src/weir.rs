//! The locality filter as its shell runs it: the decision code of weir-policy, with a clock and random numbers.

use crate::random::Random;
use crate::world::Micros;
use weir_policy::locality::{Choice, Compiled, Ended, Observed, Outcome, Policy};

/// The filter of one caller.
pub struct Weir {
    policy: Policy,
    observed: Observed,
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

impl Weir {
    /// Of a caller in a zone.
    pub fn new(zone: usize, zones: usize, seed: u64) -> Self {
        let others: Vec<String> = (0..zones).filter(|other| *other != zone).map(|other| format!("\"r/{other}\"")).collect();
        let json = format!(
            r#"{{"version":1,"locality":{{"region":"r","zone":"{zone}"}},"services":[{{"hosts":["h"],"spill":{{}},"zones":[[{}]]}}]}}"#,
            others.join(",")
        );
        let policy = Policy::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        Self { observed: Observed::new(&policy), policy, random: Random::new(seed), zone, tick: 0 }
    }

    fn service(policy: &Policy) -> &Compiled {
        policy.for_host(b"h").unwrap_or_else(|| panic!("the policy has the host"))
    }

    /// Chooses for a request. While all is well the filter looks at one in eight.
    pub fn choose(&mut self, now: Micros) -> (Choice, Look) {
        let clock = || now / 1_000;
        if now >= self.tick {
            self.tick = now + 500_000;
            self.observed.tick(clock());
        }
        let looks = self.observed.begins(clock);
        if self.observed.is_calm() {
            return (Choice::Near, if looks { Look::Sampled } else { Look::Not });
        }
        let random = self.random.bits() as u32;
        (self.observed.choose(Self::service(&self.policy), clock(), random), Look::Chosen)
    }

    /// The zone that a choice names.
    pub fn named(&self, choice: Choice) -> Option<usize> {
        Self::service(&self.policy).named(choice)?.strip_prefix("r/")?.parse().ok()
    }

    /// Takes in how a request went, and which zone answered.
    pub fn ended(&mut self, now: Micros, choice: Choice, look: Look, took: Micros, tries: u32, by: Option<usize>) {
        self.observed.ends();
        let service = Self::service(&self.policy);
        let wanted = self.named(choice).unwrap_or(self.zone);
        let outcome = match by {
            Some(by) if by == wanted => Outcome::Served,
            Some(_) if tries <= 1 && service.named(choice).is_none() => Outcome::Untried,
            _ => Outcome::Failed,
        };
        let micros = (outcome == Outcome::Served && tries <= 1).then_some(took as u32);
        let ended = Ended { choice, outcome, micros };
        match look {
            Look::Not => {}
            Look::Sampled => self.observed.sample(service, &ended, now / 1_000),
            Look::Chosen => self.observed.observe(service, &ended, now / 1_000),
        }
    }
}
