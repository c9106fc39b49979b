//! The least that must cross zones, by a linear program.

use crate::scenario::Scenario;
use crate::world::{Phase, SERVICE, Zone};
use microlp::{ComparisonOp, OptimizationDirection, Problem};

/// The least part of a scenario's requests that leave their zone while no endpoint is used more than to the target, where it is measured.
pub fn crossing(scenario: &Scenario, target: f64) -> f64 {
    let (mut crossing, mut all, mut until) = (0.0, 0.0, 0);
    for phase in &scenario.phases {
        let from = until.max(scenario.settles);
        until += phase.seconds;
        let requests = until.saturating_sub(from) as f64 * rate(phase);
        crossing += requests * part(phase, target);
        all += requests;
    }
    crossing / all
}

fn rate(phase: &Phase) -> f64 {
    phase.zones.iter().map(|zone| zone.rate).sum()
}

/// The same for a phase. What goes from zone to zone is at least nothing, adds up to what each zone's callers ask, and to at most what each
/// zone's endpoints may do.
pub fn part(phase: &Phase, target: f64) -> f64 {
    let may = |zone: &Zone| if zone.up { target * zone.endpoints as f64 * 1e6 / (SERVICE * zone.slower) } else { 0.0 };
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let zones = &phase.zones;
    let flows: Vec<Vec<_>> = (0..zones.len())
        .map(|from| (0..zones.len()).map(|to| problem.add_var(if from == to { 0.0 } else { 1.0 }, (0.0, f64::INFINITY))).collect())
        .collect();
    for (from, zone) in zones.iter().enumerate() {
        let out: Vec<_> = flows[from].iter().map(|flow| (*flow, 1.0)).collect();
        problem.add_constraint(out.as_slice(), ComparisonOp::Eq, zone.rate);
        let into: Vec<_> = flows.iter().map(|flows| (flows[from], 1.0)).collect();
        problem.add_constraint(into.as_slice(), ComparisonOp::Le, may(zone));
    }
    problem.solve().map_or(f64::NAN, |solution| solution.objective()) / rate(phase)
}
