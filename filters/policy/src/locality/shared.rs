//! What the workers of an Envoy tell each other of a service's zones, as bytes, little-endian. What cannot be read is nothing told.
//!
//! It outlives a configuration: zones are known by the hashes of their names, so that others may come and go.

use super::health::State;
use super::latency::Latency;
use super::observed::Observed;
use super::policy::{Compiled, Policy};
use super::zone::Zone;
use crate::bytes::Reader;
use xxhash_rust::xxh3::xxh3_64;

/// The first byte. A module of another version begins anew.
const VERSION: u8 = 1;

impl Observed {
    /// Takes over what the workers know of a service. If they do not know all that this one does: what they are to know from now on.
    pub fn exchange(&mut self, policy: &Policy, service: &Compiled, shared: &[u8], now: u64) -> Option<Vec<u8>> {
        let seen = self.services.get_mut(service.place)?;
        let own = policy.own.as_deref().unwrap_or_default();
        let names = || std::iter::once(own).chain(service.zones.iter().map(AsRef::as_ref)).map(|name| xxh3_64(name.as_bytes()));
        for (name, zone) in names().zip(seen.zones()) {
            if let Some(known) = records(shared).find(|known| known.name == name) {
                known.merge_into(zone, now);
            }
        }
        let has_news = seen.zones().any(|zone| zone.has_news());
        let told = has_news.then(|| {
            let mut bytes = vec![VERSION];
            names().zip(seen.zones()).for_each(|(name, zone)| write(name, zone, &mut bytes));
            bytes
        });
        let alert_until = seen.alert_until();
        self.alert(alert_until, now);
        told
    }

    /// The other workers know what this one knows of a service.
    pub fn is_told(&mut self, service: &Compiled) {
        if let Some(seen) = self.services.get_mut(service.place) {
            seen.zones().for_each(Zone::is_told);
        }
    }
}

/// What is told of a zone.
struct Record {
    name: u64,
    left: Option<(u64, u64)>,
    since: u64,
    latency: Latency,
}

impl Record {
    fn merge_into(&self, zone: &mut Zone, now: u64) {
        zone.latency.merge(&self.latency, now);
        let state = match self.left {
            Some((probe_at, backoff)) => State::Left { probe_at, backoff, successes: 0 },
            None => State::FRESH,
        };
        zone.health.merge(state, self.since);
    }
}

fn write(name: u64, zone: &Zone, bytes: &mut Vec<u8>) {
    let (probe_at, backoff) = match zone.health.state {
        State::InUse { .. } => (0, 0),
        State::Left { probe_at, backoff, .. } => (probe_at, backoff),
    };
    let Latency { now, counts, at, as_a_rule, seen, usual, .. } = zone.latency;
    for number in [name, probe_at, backoff, zone.health.since, at, u64::from(seen)] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [now, counts, as_a_rule, usual] {
        bytes.extend(number.to_le_bytes());
    }
}

/// The records up to the first that cannot be right.
fn records(bytes: &[u8]) -> impl Iterator<Item = Record> {
    let mut reader = Reader(bytes.strip_prefix(&[VERSION]).unwrap_or_default());
    std::iter::from_fn(move || {
        let [name, probe_at, backoff, since, at, seen] = reader.numbers()?;
        let [now, counts, as_a_rule, usual] = reader.fractions()?;
        // Logarithms of 32 bits; the least is not known at first.
        let sound = |log: f32| (0.0..=32.0).contains(&log);
        let is_sound = sound(now) && sound(as_a_rule) && (0.0..1e6).contains(&counts) && (sound(usual) || usual == f32::INFINITY);
        let seen = u32::try_from(seen).ok().filter(|_| is_sound)?;
        let left = (backoff > 0).then_some((probe_at, backoff));
        Some(Record { name, left, since, latency: Latency::told(now, counts, at, as_a_rule, seen, usual) })
    })
}
