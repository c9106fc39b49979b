//! A filter's counters in Envoy's stats.

use crate::host::{define_counter, increment};
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

    /// Counts one, by its place among the names.
    pub fn count(&self, place: usize) {
        if let Some(count) = self.defined.get().and_then(|counts| counts.get(place)) {
            count.pending.set(count.pending.get() + 1);
        }
    }

    /// Brings Envoy up to date; at first it makes them known to it.
    pub fn flush(&self) {
        let count = |name| Count { id: define_counter(name), pending: Cell::new(0) };
        for Count { id, pending } in self.defined.get_or_init(|| self.names.map(count)) {
            if let (Some(id), pending @ 1..) = (*id, pending.take()) {
                increment(id, pending);
            }
        }
    }
}
