//! A filter's counters in Envoy's stats.

use proxy_wasm::hostcalls::{define_metric, increment_metric};
use proxy_wasm::types::MetricType;
use std::cell::{Cell, OnceCell};

/// Counters that are kept in the VM until [`Counters::flush`]; one set per VM, since configurations come and go.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    names: [&'static str; N],
    defined: OnceCell<[Count; N]>,
}

/// The number Envoy gave a counter (`None` counts nothing), and what it does not know yet.
#[derive(Debug)]
struct Count {
    id: Option<u32>,
    pending: Cell<i64>,
}

impl<const N: usize> Counters<N> {
    /// Counters of these names, not yet known to Envoy.
    pub const fn new(names: [&'static str; N]) -> Self {
        Self { names, defined: OnceCell::new() }
    }

    /// Makes them known to Envoy.
    pub fn define(&self) {
        let count = |name| Count { id: define_metric(MetricType::Counter, name).ok(), pending: Cell::new(0) };
        self.defined.get_or_init(|| self.names.map(count));
    }

    /// Counts one, by its place among the names.
    pub fn count(&self, place: usize) {
        if let Some(count) = self.defined.get().and_then(|counts| counts.get(place)) {
            count.pending.set(count.pending.get() + 1);
        }
    }

    /// Brings Envoy up to date.
    pub fn flush(&self) {
        for Count { id, pending } in self.defined.get().into_iter().flatten() {
            if let (Some(id), pending @ 1..) = (*id, pending.take()) {
                let _ = increment_metric(id, pending);
            }
        }
    }
}
