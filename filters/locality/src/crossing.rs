//! What goes from zone to zone, why, and what it costs.

use weir_policy::locality::Choice;
use weir_shell::{Counter, number};

/// Counters of Envoy's: `weir_zone_requests.FROM.TO.REASON`, `weir_zone_bytes.…` and `weir_zone_cost.…`, in millionths of the currency.
/// FROM and TO are `REGION/ZONE`; REASON is `near` for what stays, `native` for what Envoy's priorities and retries send elsewhere, and
/// `failover`, `spill` or `compare` for what the filter does. While all is well they are estimates, from the requests that are looked at.
#[derive(Debug, Default)]
pub struct Crossing(Vec<Way>);

#[derive(Debug)]
struct Way {
    to: Box<str>,
    reason: &'static str,
    requests: Counter,
    bytes: Counter,
    cost: Counter,
    /// What the cost has of less than a millionth, in bytes times millionths a gigabyte.
    rest: u64,
}

const GIGABYTE: u64 = 1_000_000_000;

impl Crossing {
    /// Counts the request that has ended, for so many like it; a gigabyte costs so many millionths.
    pub fn count(&mut self, from: &str, to: &str, choice: Choice, stands_for: u32, price: u64) {
        let reason = match choice {
            Choice::Near | Choice::Probe => {
                if from == to {
                    "near"
                } else {
                    "native"
                }
            }
            Choice::Failover(_) => "failover",
            Choice::Spill(_) => "spill",
            Choice::Compare(_) => "compare",
        };
        let place = self.0.iter().position(|way| way.reason == reason && *way.to == *to).unwrap_or_else(|| {
            let counter = |what: &str| Counter::new(&format!("weir_zone_{what}.{from}.{to}.{reason}"));
            self.0.push(Way {
                to: to.into(),
                reason,
                requests: counter("requests"),
                bytes: counter("bytes"),
                cost: counter("cost"),
                rest: 0,
            });
            self.0.len() - 1
        });
        let Some(way) = self.0.get_mut(place) else { return };
        let bytes = ["request\0total_size", "response\0total_size"].iter().filter_map(|size| number(size)).fold(0, u64::saturating_add);
        let bytes = bytes.saturating_mul(stands_for.into());
        way.requests.add(stands_for.into());
        way.bytes.add(bytes);
        if from != to {
            let due = way.rest.saturating_add(bytes.saturating_mul(price));
            way.cost.add(due / GIGABYTE);
            way.rest = due % GIGABYTE;
        }
    }
}
