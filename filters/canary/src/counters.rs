//! The filter's counters in Envoy's stats.

use proxy_wasm::hostcalls::{define_metric, increment_metric};
use proxy_wasm::types::MetricType;
use std::cell::OnceCell;

/// The numbers Envoy gave the counters; `None` counts nothing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) bucket: Option<u32>,
    pub(crate) overridden: Option<u32>,
    pub(crate) no_key: Option<u32>,
    pub(crate) no_policy: Option<u32>,
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
                bucket: counter("weir_canary_bucket"),
                overridden: counter("weir_canary_override"),
                no_key: counter("weir_canary_no_key"),
                no_policy: counter("weir_canary_no_policy"),
            })
        })
    }

    pub(crate) fn count(counter: Option<u32>) {
        if let Some(id) = counter {
            let _ = increment_metric(id, 1);
        }
    }
}
