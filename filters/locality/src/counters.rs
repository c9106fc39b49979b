//! The filter's counters in Envoy's stats.

use proxy_wasm::hostcalls::{define_metric, increment_metric};
use proxy_wasm::types::MetricType;
use std::cell::OnceCell;
use weir_policy::locality::Choice;

/// The numbers Envoy gave the counters; `None` counts nothing.
#[derive(Clone, Copy)]
pub(crate) struct Counters {
    near: Option<u32>,
    probe: Option<u32>,
    deviated: Option<u32>,
    pub(crate) failed: Option<u32>,
}

thread_local! {
    /// Defined once per VM, since configurations come and go.
    static DEFINED: OnceCell<Counters> = const { OnceCell::new() };
}

impl Counters {
    pub(crate) fn define() -> Self {
        let counter = |name| define_metric(MetricType::Counter, name).ok();
        DEFINED.with(|defined| {
            *defined.get_or_init(|| Self {
                near: counter("weir_locality_near"),
                probe: counter("weir_locality_probe"),
                deviated: counter("weir_locality_deviated"),
                failed: counter("weir_locality_failed"),
            })
        })
    }

    pub(crate) fn of_choice(&self, choice: Choice) -> Option<u32> {
        match choice {
            Choice::Near => self.near,
            Choice::Probe => self.probe,
            Choice::Deviate(_) => self.deviated,
        }
    }

    pub(crate) fn count(counter: Option<u32>) {
        if let Some(id) = counter {
            let _ = increment_metric(id, 1);
        }
    }
}
