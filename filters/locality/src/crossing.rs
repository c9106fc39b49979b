//! What goes from zone to zone because the filter says so, and what it costs.

use weir_policy::locality::Choice;
use weir_shell::{Counter, number};

/// Counters of Envoy's: `weir_zone_requests.FROM.TO.REASON`, `weir_zone_bytes.…` and, where there is a price, `weir_zone_cost.…`, in
/// millionths of the currency. FROM and TO are `REGION/ZONE`; REASON is `failover`, `spill` or `compare`.
#[derive(Debug, Default)]
pub struct Crossing(Vec<Way>);

#[derive(Debug)]
struct Way {
    to: Box<str>,
    reason: &'static str,
    requests: Counter,
    bytes: Counter,
    cost: Option<Counter>,
    /// What the cost has of less than a millionth, in bytes times millionths a gigabyte.
    rest: u64,
}

const GIGABYTE: u64 = 1_000_000_000;

impl Crossing {
    /// Counts the request that has ended.
    pub fn count(&mut self, from: &str, to: &str, choice: Choice, price: Option<u64>) {
        let reason = match choice {
            Choice::Near | Choice::Probe => return,
            Choice::Failover(_) => "failover",
            Choice::Spill(_) => "spill",
            Choice::Compare(_) => "compare",
        };
        let place = self.0.iter().position(|way| way.reason == reason && *way.to == *to).unwrap_or_else(|| {
            let counter = |what: &str| Counter::new(&format!("weir_zone_{what}.{from}.{to}.{reason}"));
            let cost = price.map(|_| counter("cost"));
            self.0.push(Way { to: to.into(), reason, requests: counter("requests"), bytes: counter("bytes"), cost, rest: 0 });
            self.0.len() - 1
        });
        let Some(way) = self.0.get_mut(place) else { return };
        let bytes = ["request\0total_size", "response\0total_size"].iter().filter_map(|size| number(size)).fold(0, u64::saturating_add);
        way.requests.add(1);
        way.bytes.add(bytes);
        if let (Some(cost), Some(price)) = (&way.cost, price) {
            let due = way.rest.saturating_add(bytes.saturating_mul(price));
            cost.add(due / GIGABYTE);
            way.rest = due % GIGABYTE;
        }
    }
}
