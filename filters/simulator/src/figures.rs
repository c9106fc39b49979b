//! What is read off a run.

use crate::scenario::Scenario;
use crate::world::Done;

/// So long is a window, in seconds.
pub const WINDOW: u64 = 5;
/// The load is steady in so many windows at the end.
const STEADY: usize = 8;

/// The figures of a run, or the means of several.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The 99th percentile of what requests took, in milliseconds.
    pub p99: f64,
    /// The part of the requests that left their zone.
    pub crossing: f64,
    /// The requests that nobody answered.
    pub failed: f64,
    /// How far the part that crosses comes from its mean while the load is steady.
    pub swing: f64,
    /// Of each window from the start: the 99th percentile and the part that crosses.
    pub course: Vec<(f64, f64)>,
}

impl Figures {
    /// Those of a run.
    pub fn of(scenario: &Scenario, seen: &[Done]) -> Self {
        let measured: Vec<&Done> = seen.iter().filter(|done| done.at >= scenario.settles * 1_000_000).collect();
        let seconds: u64 = scenario.phases.iter().map(|phase| phase.seconds).sum();
        let mut windows = vec![Vec::new(); (seconds / WINDOW) as usize];
        for done in seen {
            if let Some(window) = windows.get_mut((done.at / (WINDOW * 1_000_000)) as usize) {
                window.push(done);
            }
        }
        let course: Vec<(f64, f64)> = windows.iter().map(|window| (p99(window), crossing(window))).collect();
        let steady: Vec<f64> = course.iter().rev().take(STEADY).map(|(_, crossing)| *crossing).collect();
        let mean = steady.iter().sum::<f64>() / steady.len() as f64;
        Self {
            p99: p99(&measured),
            crossing: crossing(&measured),
            failed: measured.iter().filter(|done| done.failed).count() as f64,
            swing: steady.iter().map(|crossing| (crossing - mean).abs()).fold(0.0, f64::max),
            course,
        }
    }

    /// The means of several runs; the course is the first one's.
    pub fn mean(runs: Vec<Self>) -> Self {
        let mean = |of: fn(&Self) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        Self {
            p99: mean(|run| run.p99),
            crossing: mean(|run| run.crossing),
            failed: mean(|run| run.failed),
            swing: mean(|run| run.swing),
            course: runs.into_iter().next().map(|run| run.course).unwrap_or_default(),
        }
    }
}

fn p99(seen: &[&Done]) -> f64 {
    let mut took: Vec<u64> = seen.iter().map(|done| done.took).collect();
    let place = took.len() * 99 / 100;
    if took.is_empty() { f64::NAN } else { *took.select_nth_unstable(place).1 as f64 / 1_000.0 }
}

fn crossing(seen: &[&Done]) -> f64 {
    seen.iter().filter(|done| done.crossed).count() as f64 / seen.len().max(1) as f64
}
