//! Simulates zones, endpoints and callers, to hold the locality filter's decisions, with the code that the filter runs, against others.
//!
//! `cargo run --release -p weir-simulator -- [SVG]` prints a table, draws each scenario's course if it is told where, and exits with 1
//! if a target is missed. Run number `n` of a scenario draws from the seed `n`, so that every figure comes out the same again.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a bench fails by panicking")]

mod balancer;
mod draw;
mod figures;
mod least;
mod random;
mod scenario;
mod weir;
mod world;

use balancer::Kind;
use figures::Figures;
use scenario::Scenario;
use std::process::ExitCode;

/// The runs of each balancer in a scenario.
const RUNS: u64 = 3;
/// What the policy says, and the linear program keeps to.
const TARGET_UTILIZATION: f64 = 0.8;
/// So much of the best of the others may the 99th percentile be, and so much of the least the traffic across zones.
const MOST_OF_BEST: f64 = 1.2;
const MOST_OF_LEAST: f64 = 1.2;
/// Where none need cross, so many may: those that compare.
const MOST_OF_NONE: f64 = 0.005;
/// While the load is steady, the part that crosses stays within so much of its mean.
const MOST_SWING: f64 = 0.05;

/// What came out of a scenario.
struct Outcome {
    scenario: Scenario,
    /// The part of the requests that must cross.
    least: f64,
    /// By balancer.
    figures: Vec<(Kind, Figures)>,
}

fn main() -> ExitCode {
    println!("| scenario | least | {} | p99 to the best | crossing to the least | swing |", Kind::ALL.map(Kind::name).join(" | "));
    println!("|---|---|{}---|---|---|", "---|".repeat(Kind::ALL.len()));
    let outcomes: Vec<Outcome> = scenario::all().into_iter().map(simulate).collect();
    if let Some(path) = std::env::args().nth(1) {
        draw::draw(&path, &outcomes).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    if outcomes.iter().all(Outcome::is_fine) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn simulate(scenario: Scenario) -> Outcome {
    let least = least::crossing(&scenario, TARGET_UTILIZATION);
    let of = |kind| {
        let runs = (1..=RUNS).map(|seed| Figures::of(&scenario, &world::run(kind, &scenario.phases, scenario.workers, seed)));
        (kind, Figures::mean(runs.collect()))
    };
    let outcome = Outcome { least, figures: Kind::ALL.map(of).into(), scenario };
    println!("{}", outcome.row());
    outcome
}

impl Outcome {
    fn ours(&self) -> &Figures {
        self.figures.iter().find_map(|(kind, figures)| (*kind == Kind::Weir).then_some(figures)).unwrap_or_else(|| panic!("ours ran"))
    }

    /// The best of the other balancers' 99th percentiles.
    fn best(&self) -> f64 {
        self.figures.iter().filter(|(kind, _)| *kind != Kind::Weir).map(|(_, figures)| figures.p99).fold(f64::INFINITY, f64::min)
    }

    fn verdicts(&self) -> [(String, bool); 3] {
        let Figures { p99, crossing, swing, .. } = self.ours();
        let to_best = p99 / self.best();
        let (crosses, is_little) = if self.least == 0.0 {
            (format!("{:.2} % of none", 100.0 * crossing), *crossing <= MOST_OF_NONE)
        } else {
            (format!("{:.2}", crossing / self.least), crossing / self.least <= MOST_OF_LEAST)
        };
        [
            (format!("{to_best:.2}"), to_best <= MOST_OF_BEST),
            (crosses, is_little),
            (format!("{:.1} points", 100.0 * swing), *swing <= MOST_SWING),
        ]
    }

    fn is_fine(&self) -> bool {
        self.verdicts().iter().all(|(_, fine)| *fine)
    }

    /// The least that must cross, in percent, over time.
    fn least_course(&self) -> Vec<(f64, f64)> {
        let mut at = 0.0;
        let mut course = Vec::new();
        for phase in &self.scenario.phases {
            let part = 100.0 * least::part(phase, TARGET_UTILIZATION);
            course.push((at, part));
            at += phase.seconds as f64;
            course.push((at, part));
        }
        course
    }

    fn row(&self) -> String {
        let cell = |(_, figures): &(Kind, Figures)| {
            let failed = if figures.failed > 0.0 { format!(", {:.0} failed", figures.failed) } else { String::new() };
            format!("{:.0} ms, {:.1} %{failed}", figures.p99, 100.0 * figures.crossing)
        };
        let cells: Vec<String> = self.figures.iter().map(cell).collect();
        let verdicts = self.verdicts().map(|(text, fine)| if fine { text } else { format!("**{text}: missed**") });
        format!("| {} | {:.1} % | {} | {} |", self.scenario.name, 100.0 * self.least, cells.join(" | "), verdicts.join(" | "))
    }
}
