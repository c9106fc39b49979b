//! A filter's counters in Envoy's stats.

use crate::host::{define_counter, increment};
use std::cell::RefCell;

/// A counter, and what Envoy does not know of it yet. `id` is Envoy's number for it; without one nothing is counted.
struct Known {
    name: &'static str,
    id: Option<u32>,
    pending: i64,
}

thread_local! {
    /// One set per VM, since configurations come and go.
    static COUNTERS: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// A counter whose name is known when it is first needed. For what is counted seldom: each time is a call to Envoy.
#[derive(Debug)]
pub struct Counter(Option<u32>);

impl Counter {
    /// Makes it known to Envoy, or finds it.
    pub fn new(name: &str) -> Self {
        Self(define_counter(name))
    }

    /// Counts so many.
    pub fn add(&self, count: u64) {
        if let (Some(id), 1..) = (self.0, count) {
            increment(id, count.try_into().unwrap_or(i64::MAX));
        }
    }
}

/// Makes counters of these names known to Envoy.
pub(crate) fn define(names: &[&'static str]) {
    COUNTERS.with_borrow_mut(|counters| {
        if counters.is_empty() {
            counters.extend(names.iter().map(|name| Known { name, id: define_counter(name), pending: 0 }));
        }
    });
}

/// Counts one, for the next tick to bring to Envoy.
pub fn count(name: &'static str) {
    COUNTERS.with_borrow_mut(|counters| {
        if let Some(counter) = counters.iter_mut().find(|counter| counter.name == name) {
            counter.pending += 1;
        }
    });
}

/// Brings Envoy up to date.
pub(crate) fn flush() {
    COUNTERS.with_borrow_mut(|counters| {
        for Known { id, pending, .. } in counters {
            if let (Some(id), pending @ 1..) = (*id, std::mem::take(pending)) {
                increment(id, pending);
            }
        }
    });
}
