//! What the filter counts in Envoy's stats.

use weir_shell::Counters;

#[derive(Clone, Copy)]
pub(crate) enum Counter {
    Bucket,
    Override,
    NoKey,
    NoPolicy,
}

thread_local! {
    pub(crate) static COUNTERS: Counters<4> =
        const { Counters::new(["weir_canary_bucket", "weir_canary_override", "weir_canary_no_key", "weir_canary_no_policy"]) };
}

impl Counter {
    pub(crate) fn count(self) {
        COUNTERS.with(|counters| counters.count(self as usize));
    }
}
