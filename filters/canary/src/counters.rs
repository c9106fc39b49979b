//! The filter's counters in Envoy's stats.
//!
//! They are kept in the VM and brought to Envoy by a tick, since a call out of Wasm costs more than a decision.

use proxy_wasm::hostcalls::{define_metric, increment_metric};
use proxy_wasm::types::MetricType;
use std::cell::{Cell, OnceCell};

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    Bucket,
    Override,
    NoKey,
    NoPolicy,
}

const NAMES: [&str; 4] = ["weir_canary_bucket", "weir_canary_override", "weir_canary_no_key", "weir_canary_no_policy"];

/// The number Envoy gave a counter (`None` counts nothing), and what it does not know yet.
struct Count {
    id: Option<u32>,
    pending: Cell<i64>,
}

thread_local! {
    /// Once per VM, since configurations come and go.
    static COUNTS: OnceCell<[Count; NAMES.len()]> = const { OnceCell::new() };
}

/// Makes the counters known to Envoy.
pub(crate) fn define() {
    let count = |name| Count { id: define_metric(MetricType::Counter, name).ok(), pending: Cell::new(0) };
    COUNTS.with(|counts| {
        counts.get_or_init(|| NAMES.map(count));
    });
}

/// Counts one.
pub(crate) fn count(counter: Counter) {
    let add = |count: &Count| count.pending.set(count.pending.get() + 1);
    COUNTS.with(|counts| counts.get().and_then(|counts| counts.get(counter as usize)).map(add));
}

/// Brings Envoy up to date.
pub(crate) fn flush() {
    let flush = |count: &Count| match (count.id, count.pending.take()) {
        (Some(id), pending) if pending > 0 => drop(increment_metric(id, pending)),
        _ => {}
    };
    COUNTS.with(|counts| counts.get().into_iter().flatten().for_each(flush));
}
