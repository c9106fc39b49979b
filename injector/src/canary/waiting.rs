//! The claims that proxies made to a replica that does not lead, until the one that does has fetched them: each once, or never.

use super::engine::Claim;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_mesh::mesh::canary::Name;
use weir_policy::canary::governor::Record;

/// So many wait at most, and so long.
const MOST: usize = 10_000;
const LONGEST: Duration = Duration::from_secs(30);

/// What waits, numbered from 1.
#[derive(Debug)]
pub struct Waiting {
    /// Tells one life of this replica from another.
    life: u64,
    last: u64,
    claims: VecDeque<(u64, Instant, Told)>,
}

/// A claim as replicas tell each other: the pod, and a report of one record in Base64.
type Told = (String, String);

/// What is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Which life of the replica.
    pub life: u64,
    /// The number of the last claim.
    pub last: u64,
    /// The claims after those that were fetched before.
    pub claims: Vec<Told>,
}

impl Default for Waiting {
    fn default() -> Waiting {
        let life = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Waiting { life: u64::try_from(life).unwrap_or_default(), last: 0, claims: VecDeque::new() }
    }
}

impl Waiting {
    /// Adds a claim.
    pub fn add(&mut self, claim: &Claim) {
        let mut report = Vec::new();
        claim.record.append(&format!("{}\n{}", claim.name.service, claim.name.canary), &mut report);
        self.last += 1;
        self.claims.push_back((self.last, Instant::now(), (claim.pod.clone(), BASE64_STANDARD.encode(report))));
        while self.claims.len() > MOST || self.claims.front().is_some_and(|(_, since, _)| since.elapsed() > LONGEST) {
            self.claims.pop_front();
        }
    }

    /// The claims after the last one that was fetched. Who has fetched none from this life before, as a replica that begins to lead, gets
    /// none: another one may have had them. Nothing is changed: who asks shows no token.
    pub fn fetch(&self, life: u64, after: u64) -> Fetched {
        let news = self.claims.iter().filter(|(number, ..)| life == self.life && *number > after);
        let claims = news.map(|(.., claim)| claim.clone()).collect();
        Fetched { life: self.life, last: self.last, claims }
    }
}

impl Fetched {
    /// The claims; what is none is left out.
    pub fn claims(&self) -> impl Iterator<Item = Claim> {
        let read = |(pod, report): &Told| {
            let bytes = BASE64_STANDARD.decode(report).ok()?;
            let (name, record) = Record::read_all(&bytes)?.into_iter().next()?;
            let (service, canary) = name.split_once('\n')?;
            Some(Claim { pod: pod.clone(), name: Name { service: service.into(), canary: canary.into() }, record })
        };
        self.claims.iter().filter_map(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_fetched_once_and_by_who_has_fetched_before() {
        let claim = |share: u16| Claim {
            pod: "a.shop".into(),
            name: Name { service: "reviews".into(), canary: "v2".into() },
            record: Record::Share(share),
        };
        let mut waiting = Waiting::default();
        waiting.add(&claim(1));
        let first = waiting.fetch(0, 0);
        assert_eq!((first.last, first.claims.len()), (1, 0), "another one may have had it");
        waiting.add(&claim(2));
        waiting.add(&claim(3));
        let second = waiting.fetch(first.life, first.last);
        assert_eq!(second.claims().collect::<Vec<_>>(), [claim(2), claim(3)]);
        assert_eq!(waiting.fetch(second.life, second.last).claims, []);
        waiting.add(&claim(4));
        let read: Fetched = serde_json::from_str(&serde_json::to_string(&waiting.fetch(second.life, second.last)).unwrap()).unwrap();
        assert_eq!(read.claims().collect::<Vec<_>>(), [claim(4)]);
    }
}
