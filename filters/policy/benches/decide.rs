//! What a decision costs: nanoseconds, instructions (by valgrind, where it is there) and heap allocations.
//!
//! `cargo bench -p weir-policy`. The request is that of a browser behind a gateway: a cookie header of three cookies. Reading
//! it from Envoy is not in these figures; that is what `make bench` measures.

#![allow(clippy::panic, reason = "a bench that cannot begin has nothing to say")]

use allocation_counter::measure;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;
use weir_policy::locality::{Ended, Observed, Outcome};
use weir_policy::{canary, host_of_cluster, locality};

const CLUSTER: &[u8] = b"outbound|9080||reviews-50.default.svc.cluster.local";
const COOKIES: &[u8] = b"_ga=GA1.2.1234567890.1600000000; session=6a3f; user=3f8e1c7a-5b0d-4f7e-9d55-8a2f6c1b7e90";

const NAMES: [&str; 5] = ["canary by cookie", "canary by third source", "canary, tester", "locality, healthy", "locality, deviating"];

fn main() {
    // The run under valgrind: one case, this many times.
    if let [_, case, count] = std::env::args().collect::<Vec<_>>().as_slice()
        && let (Ok(case), Ok(count)) = (case.parse(), count.parse())
    {
        return run(case, count);
    }
    println!("{:<24} {:>8} {:>13} {:>12}", "decide", "ns", "instructions", "allocations");
    for (case, name) in NAMES.iter().enumerate() {
        let instructions = instructions(case).map_or_else(|| "no valgrind".into(), |count| format!("{count:.0}"));
        let (ns, allocations) = time(case);
        println!("{name:<24} {ns:>8.1} {instructions:>13} {allocations:>12.2}");
    }
}

/// The median of several rounds, and the allocations per decision.
fn time(case: usize) -> (f64, f64) {
    const COUNT: u64 = 200_000;
    run(case, COUNT);
    let allocations = |count| measure(|| run(case, count)).count_total;
    let made = allocations(COUNT) - allocations(0);
    let mut rounds: Vec<_> = (0..15)
        .map(|_| {
            let begin = Instant::now();
            run(case, COUNT);
            begin.elapsed().as_nanos() as f64 / COUNT as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    (rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN), made as f64 / COUNT as f64)
}

/// The difference of two runs, so that only decisions count.
fn instructions(case: usize) -> Option<f64> {
    const COUNT: u64 = 10_000;
    let run = |count: u64| {
        let program = std::env::current_exe().ok()?;
        let valgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let output = Command::new("valgrind").args(valgrind).arg(program).args([case.to_string(), count.to_string()]).output().ok()?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = report.lines().find_map(|line| line.split_once("Collected : "))?.1;
        collected.trim().parse::<u64>().ok()
    };
    Some((run(2 * COUNT)?.checked_sub(run(COUNT)?)?) as f64 / COUNT as f64)
}

fn run(case: usize, count: u64) {
    match case {
        0 => decide(count, |name| (name == "cookie").then_some(COOKIES)),
        1 => decide(count, |name| (name == "x-device").then_some(b"3f8e1c7a-5b0d-4f7e-9d55-8a2f6c1b7e90".as_slice())),
        2 => decide(count, |name| (name == "x-tester").then_some(b"yes".as_slice())),
        3 => choose(count, Outcome::Served),
        _ => choose(count, Outcome::Failed),
    }
}

/// Finds the policy among 100 services and decides, as the filter does per request.
fn decide(count: u64, header: impl Fn(&str) -> Option<&'static [u8]>) {
    let entry = |service| {
        format!(
            r#"{{"hosts":["reviews-{service}.default.svc.cluster.local"],"key":[{{"cookie":"user"}},{{"header":"x-user-id"}},{{"header":"x-device"}}],
                "override":[{{"header":{{"name":"x-tester","exact":"yes"}},"subset":"v3"}}]}}"#
        )
    };
    let entries: Vec<_> = (0..100).map(entry).collect();
    let policy = canary::Policy::parse(format!(r#"{{"version":1,"canaries":[{}]}}"#, entries.join(",")).as_bytes());
    let policy = policy.unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..count {
        let canary = host_of_cluster(black_box(CLUSTER)).and_then(|host| policy.for_host(host));
        let read = |input: canary::Input<'_>| match input {
            canary::Input::Header(name) => black_box(header(name)),
            canary::Input::Joined(_) | canary::Input::Cookies | canary::Input::SourceAddress | canary::Input::Attribute(_) => None,
        };
        black_box(policy.decide(canary, read, || None));
    }
}

/// Finds the policy among 100 services, chooses, and takes in the outcome; once the own zone failed, its probes fail too.
fn choose(count: u64, of_own_zone: Outcome) {
    let entry = |service| format!(r#"{{"hosts":["reviews-{service}.default.svc.cluster.local"],"spill":{{}},"zones":[["r/b","r/c"]]}}"#);
    let entries: Vec<_> = (0..100).map(entry).collect();
    let json = format!(r#"{{"version":1,"locality":{{"region":"r","zone":"a"}},"services":[{}]}}"#, entries.join(","));
    let policy = locality::Policy::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let mut observed = Observed::new(&policy);
    for now in 10_000..10_000 + count {
        let Some(service) = host_of_cluster(black_box(CLUSTER)).and_then(|host| policy.for_host(host)) else { return };
        let choice = observed.choose(service, black_box(now), now as u32);
        let outcome = if choice.place().is_some() { Outcome::Served } else { of_own_zone };
        let ended = Ended { choice: black_box(choice), outcome, micros: (outcome == Outcome::Served).then_some(10_000) };
        observed.observe(service, &ended, black_box(now));
    }
}
