//! What the filter counts in Envoy's stats.

use weir_policy::locality::Choice;
use weir_shell::Counters;

#[derive(Clone, Copy)]
pub(crate) enum Counter {
    Near,
    Probe,
    Deviated,
    Failed,
}

thread_local! {
    pub(crate) static COUNTERS: Counters<4> =
        const { Counters::new(["weir_locality_near", "weir_locality_probe", "weir_locality_deviated", "weir_locality_failed"]) };
}

impl Counter {
    pub(crate) fn count(self) {
        COUNTERS.with(|counters| counters.count(self as usize));
    }
}

impl From<Choice> for Counter {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Near => Self::Near,
            Choice::Probe => Self::Probe,
            Choice::Deviate(_) => Self::Deviated,
        }
    }
}
