//! What the canary governor finds, how soon, and how often it is wrong: by simulation, with the code that the filter and the
//! control plane run.
//!
//! `cargo bench -p weir-policy --bench governor`. Run number `n` of each row draws from the seed `n`, so that every figure comes
//! out the same again. Requests are canary requests. Latencies are log-normal, with a median of 20 ms and a sigma of 0.5.
//! Exits with 1 if a target is missed.

#![allow(clippy::indexing_slicing, reason = "a bench fails by panicking")]

mod mesh;
mod traffic;

use mesh::Mesh;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use traffic::{Latencies, Proxy, Random, Traffic};
use weir_policy::canary::governor::{Answer, Block, Governor, Phase, State, Subset, Tolerance};

const RUNS: u64 = 10_000;
/// Over the whole life of a canary: half of it for the control plane, half for all proxies together.
const FALSE_ALARM: f64 = 0.001;
const MILLION: u64 = 1_000_000;

fn main() -> ExitCode {
    let bench = Bench { latencies: Latencies::new(), runs: runs() };
    println!("{} runs a row, seeds 0 to {}", bench.runs, bench.runs - 1);
    println!("{:<68} {:>22} {:>8} {:>8} {:>8}", "", "target", "median", "p99", "max");
    let fine =
        [bench.detection(), bench.outages(), bench.users(), bench.life(), bench.minutes(), bench.mesh(), bench.recovery(), bench.cost()];
    if fine.iter().all(|fine| *fine) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All, or fewer for a quick look: `cargo bench -p weir-policy --bench governor -- 500`.
fn runs() -> u64 {
    std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)
}

/// The governor in each of so many proxies.
fn in_proxy(proxies: u32) -> Governor {
    Governor::new(FALSE_ALARM / 2.0 / f64::from(proxies.next_power_of_two()), Tolerance::DEFAULT)
}

/// The governor in the control plane.
fn in_control_plane() -> Governor {
    Governor::new(FALSE_ALARM / 2.0, Tolerance::DEFAULT)
}

struct Bench {
    latencies: Latencies,
    runs: u64,
}

impl Bench {
    /// A bad canary from its first request.
    fn detection(&self) -> bool {
        let even = Traffic::EVEN;
        let (twenty, five, slow) = (Traffic { canary: 0.2, ..even }, Traffic { canary: 0.05, ..even }, Traffic { slower: 2, ..even });
        let of_weight = |weight| Traffic { weight, ..twenty };
        println!("requests until the canary is held, at a weight of 10 %, one Envoy with one worker, unless told otherwise");
        let rows = [
            ("20 % errors against 1 %", twenty, 1, 1, (40, 100)),
            ("  two workers", twenty, 1, 2, (40, 100)),
            ("  four workers", twenty, 1, 4, (40, 100)),
            ("  weight 1 %", of_weight(0.01), 1, 1, NONE),
            ("  weight 50 %", of_weight(0.5), 1, 1, NONE),
            ("  weight 90 %", of_weight(0.9), 1, 1, NONE),
            ("  all requests through one of 1,000 proxies", twenty, 1_000, 1, NONE),
            ("5 % errors against 1 %", five, 1, 1, (300, MAX)),
            ("  four workers", five, 1, 4, (300, MAX)),
            ("twice the latency", slow, 1, 1, (40, MAX)),
            ("  four workers", slow, 1, 4, (40, MAX)),
            ("  weight 1 %", Traffic { weight: 0.01, ..slow }, 1, 1, NONE),
            ("  weight 50 %", Traffic { weight: 0.5, ..slow }, 1, 1, NONE),
            ("  weight 90 %", Traffic { weight: 0.9, ..slow }, 1, 1, NONE),
            ("  one answer in five ten times as slow", Traffic { slower: 10, slow: 0.2, ..even }, 1, 1, NONE),
            ("100 % errors against 1 %", Traffic { canary: 1.0, ..even }, 1, 1, NONE),
            ("50 % errors against 1 %", Traffic { canary: 0.5, ..even }, 1, 1, NONE),
        ];
        let fine = rows.map(|(name, traffic, proxies, workers, target)| {
            let governor = in_proxy(proxies);
            let counts = self.each(|random| self.until_held(Proxy::new(&governor, workers), &traffic, 10, random));
            report(name, counts, target)
        });
        println!("the same at one request a second");
        let rows = [
            ("20 % errors against 1 %", twenty),
            ("  weight 1 %", of_weight(0.01)),
            ("5 % errors against 1 %", five),
            ("twice the latency", slow),
        ];
        for (name, traffic) in rows {
            let governor = in_proxy(1);
            report(name, self.each(|random| self.until_held(Proxy::new(&governor, 1), &traffic, 1_000, random)), NONE);
        }
        fine.iter().all(|fine| *fine)
    }

    /// A backend that both use fails.
    fn outages(&self) -> bool {
        println!("false alarms while both fail alike, one Envoy with four workers, 100 requests/s for 10 minutes");
        let governor = in_proxy(1);
        let rows = [
            ("half fails, every second minute", 60.0, 0.5),
            ("all fails, 2 s at a time", 2.0, 1.0),
            ("all fails, 0.2 s at a time", 0.2, 1.0),
        ];
        rows.map(|(name, length, rate)| {
            let alarms = self.count(|random| {
                let mut proxy = Proxy::new(&governor, 4);
                let (mut failing, mut until_ms) = (false, 0.0);
                while proxy.now_ms < 600_000 && proxy.state.holds() == 0 {
                    proxy.now_ms += 10;
                    if proxy.now_ms as f64 >= until_ms {
                        failing = !failing;
                        // Exponentially distributed.
                        until_ms -= 1_000.0 * length * ((random.bits() >> 12) as f64 / (1_u64 << 52) as f64).max(1e-9).ln();
                    }
                    let rate = if failing { rate } else { 0.01 };
                    let traffic = Traffic { canary: rate, stable: rate, ..Traffic::EVEN };
                    proxy.answer(traffic.draw(&self.latencies, random), random);
                }
                proxy.state.holds() > 0
            });
            self.alarms(name, alarms)
        })
        .iter()
        .all(|fine| *fine)
    }

    /// Errors that are bound to users, who keep to their subset.
    fn users(&self) -> bool {
        println!("false alarms in 100,000 requests while one user in a hundred has errors only, wherever it goes");
        let control_plane = in_control_plane();
        let rows = [("1,000 users", 1_000, 1), ("10,000 users", 10_000, 1), ("1,000 users, each by all of 100 proxies", 1_000, 100)];
        rows.map(|(name, users, proxies)| {
            let governor = in_proxy(proxies as u32);
            let alarms = self.count(|random| {
                let dealt: Vec<_> = (0..users).map(|_| random.bits()).map(|bits| ((bits >> 32) % 10_000, bits % 100 == 0)).collect();
                let (mut states, mut whole) = (vec![State::default(); proxies], State::default());
                for _ in 0..100_000 {
                    let bits = random.bits();
                    let (bucket, fails) = dealt[(bits >> 32) as usize % dealt.len()];
                    let subset = if bucket < 1_000 { Subset::Canary } else { Subset::Stable };
                    let micros = (!fails).then(|| self.latencies.at(bits as u16));
                    let (state, mut closed) = (&mut states[(bits >> 16) as usize % proxies], Vec::new());
                    governor.observe(state, &[Answer { subset, bucket: Some(bucket as u16), micros }], 0, &mut closed);
                    closed.iter().for_each(|block| control_plane.take(&mut whole, block, 0));
                }
                whole.holds() > 0 || states.iter().any(|state| state.holds() > 0)
            });
            self.alarms(name, alarms)
        })
        .iter()
        .all(|fine| *fine)
    }

    /// A million requests without a difference; then the canary turns bad.
    fn life(&self) -> bool {
        println!("false alarms in a million requests, 1 % errors in both, proxies and control plane together");
        let (governor, control_plane, traffic) = (in_proxy(1), in_control_plane(), Traffic::EVEN);
        let mut survivors = Vec::new();
        let one = self.count(|random| {
            let (mut state, mut whole) = (State::default(), State::default());
            for second in 0..MILLION / 100 {
                let now_ms = second * 1_000;
                let closed = self.second(&governor, &mut state, &traffic, now_ms, random);
                closed.iter().for_each(|block| control_plane.take(&mut whole, block, now_ms));
            }
            let alarm = state.holds() > 0 || whole.holds() > 0;
            if !alarm {
                survivors.push(state);
            }
            alarm
        });
        let one = self.alarms("one Envoy", one);
        let of_thousand = in_proxy(1_000);
        let mesh = self.count(|random| {
            // Each proxy has a thousand requests in ten seconds.
            let (mut states, mut whole) = (vec![State::default(); 1_000], State::default());
            for second in 0..10 {
                let now_ms = second * 1_000;
                for state in &mut states {
                    let closed = self.second(&of_thousand, state, &traffic, now_ms, random);
                    closed.iter().for_each(|block| control_plane.take(&mut whole, block, now_ms));
                }
            }
            whole.holds() > 0 || states.iter().any(|state| state.holds() > 0)
        });
        let mesh = self.alarms("a mesh of 1,000", mesh);
        println!("requests until a canary is held that turned bad after those, one Envoy; target: three times the early figures");
        let even = Traffic::EVEN;
        let rows = [
            ("20 % errors against 1 %", Traffic { canary: 0.2, ..even }, (105, MAX)),
            ("5 % errors against 1 %", Traffic { canary: 0.05, ..even }, (810, MAX)),
            ("twice the latency", Traffic { slower: 2, ..even }, (78, MAX)),
        ];
        let late = rows.map(|(name, traffic, target)| {
            let counts = survivors.iter().zip(0..).map(|(state, seed)| {
                let mut proxy = Proxy::new(&governor, 1);
                proxy.state = *state;
                self.until_held(proxy, &traffic, 10, &mut Random::new(seed))
            });
            report(name, counts.collect(), target)
        });
        one && mesh && late.iter().all(|fine| *fine)
    }

    /// The first minutes of a bad canary, beside a controller that looks once a minute.
    fn minutes(&self) -> bool {
        println!("100 requests/s, weight 10 %, the stable without errors, one Envoy with two workers");
        let governor = in_proxy(1);
        let rows = [0.5, 1.0, 0.2].map(|canary| {
            let traffic = Traffic { canary, stable: 0.0, ..Traffic::EVEN };
            let (mut held, mut first, mut five) = (Vec::new(), Vec::new(), Vec::new());
            for seed in 0..self.runs {
                let mut random = Random::new(seed);
                let mut proxy = Proxy::new(&governor, 2);
                let (mut errors, mut first_hold) = (0, None);
                while proxy.now_ms < 300_000 {
                    proxy.now_ms += 10;
                    errors += u64::from(self.request(&mut proxy, &traffic, &mut random));
                    if proxy.state.share() == 0 {
                        first_hold.get_or_insert(proxy.now_ms);
                    }
                    if proxy.now_ms == 60_000 {
                        first.push(errors);
                    }
                }
                five.push(errors);
                held.push(first_hold.unwrap_or(MAX));
            }
            let percent = canary * 100.0;
            let by_the_minute = self.each(|random| controller(&traffic, 60, &self.latencies, random));
            let fine = [
                report(&format!("{percent} % errors: ms until it is held"), held, if canary < 0.5 { NONE } else { (MAX, 3_000) }),
                report("  errors seen in the first 60 s, probes included", first, (MAX, 30)),
                report("  errors seen in the first 5 min", five, NONE),
            ];
            report("  both with a controller that looks once a minute, beyond 5 % aborts", by_the_minute, NONE);
            fine.iter().all(|fine| *fine)
        });
        rows.iter().all(|fine| *fine)
    }

    /// A bad canary that the control plane holds back in all proxies.
    fn mesh(&self) -> bool {
        println!("100 requests/s over all proxies, weight 10 %, the canary 50 % errors, the stable none, with a control plane");
        let rows = [("one proxy", 1), ("5 proxies", 5), ("50 proxies", 50), ("1,000 proxies", 1_000)];
        rows.map(|(name, proxies)| {
            let governor = in_proxy(proxies);
            let traffic = Traffic { canary: 0.5, stable: 0.0, ..Traffic::EVEN };
            let (mut held, mut first) = (Vec::new(), Vec::new());
            for seed in 0..self.runs / 10 {
                let mut random = Random::new(seed);
                let mut mesh = Mesh::new(&governor, proxies, in_control_plane());
                let (mut errors, mut first_hold) = (0, None);
                while mesh.now_ms < 60_000 {
                    errors += u64::from(mesh.request(&traffic, &self.latencies, &mut random));
                    if mesh.whole.share() == 0 {
                        first_hold.get_or_insert(mesh.now_ms);
                    }
                }
                first.push(errors);
                held.push(first_hold.unwrap_or(MAX));
            }
            // Where one proxy sees all, it holds before it is told to.
            let fine = [
                report(&format!("{name}: ms until it is held mesh-wide"), held, NONE),
                report("  errors seen in the first 60 s, probes included", first, if proxies > 5 { NONE } else { (MAX, 30) }),
            ];
            fine.iter().all(|fine| *fine)
        })
        .iter()
        .all(|fine| *fine)
    }

    /// A canary that fails for five minutes and is good then.
    fn recovery(&self) -> bool {
        println!("seconds until a canary that failed every second request for 5 min has its full share again, 1 % errors in both then");
        let governor = in_proxy(1);
        let rows = [("100 requests/s, weight 10 %", 10), ("10 requests/s, weight 10 %", 100), ("1 request/s, weight 10 %", 1_000)];
        rows.map(|(name, gap_ms)| {
            let seconds = self.each(|random| {
                let mut proxy = Proxy::new(&governor, 2);
                while proxy.now_ms < 300_000 || !matches!(proxy.state.phase(), Phase::Open { .. }) {
                    proxy.now_ms += gap_ms;
                    let canary = if proxy.now_ms < 300_000 { 0.5 } else { 0.01 };
                    self.request(&mut proxy, &Traffic { canary, ..Traffic::EVEN }, random);
                }
                (proxy.now_ms - 300_000) / 1_000
            });
            report(name, seconds, (600, MAX))
        })
        .iter()
        .all(|fine| *fine)
    }

    /// What a canary's answer costs, with the nine of the stable before it.
    fn cost(&self) -> bool {
        const ROUNDS: usize = 1_000_000;
        let (governor, mut random) = (in_proxy(1), Random::new(0));
        let mut answer = |canary| loop {
            let answer = Traffic::EVEN.draw(&self.latencies, &mut random);
            if (answer.subset == Subset::Canary) == canary {
                return answer;
            }
        };
        let batches: Vec<[Answer; 10]> = (0..1_000).map(|_| std::array::from_fn(|place| answer(place == 9))).collect();
        let mut state = State::default();
        let mut bytes = state.to_bytes();
        let mut report = Vec::new();
        let observe = nanoseconds(ROUNDS, |round| {
            report.clear();
            governor.observe(&mut state, black_box(&batches[round % 1_000]), 0, &mut report);
        });
        let whole = nanoseconds(ROUNDS, |round| {
            report.clear();
            let mut state = State::from_bytes(black_box(&bytes));
            governor.observe(&mut state, black_box(&batches[round % 1_000]), 0, &mut report);
            bytes = state.to_bytes();
        });
        println!("ns for ten answers, one of them the canary's: {observe:.0}, from bytes to bytes {whole:.0}; {} bytes", State::LEN);
        true
    }

    /// Sends a request to whom the weight and the governor say; whether the canary failed it.
    fn request(&self, proxy: &mut Proxy, traffic: &Traffic, random: &mut Random) -> bool {
        let share = f64::from(proxy.state.share()) / 10_000.0;
        let answer = Traffic { weight: traffic.weight * share, ..*traffic }.draw(&self.latencies, random);
        proxy.answer(answer, random);
        answer.subset == Subset::Canary && answer.micros.is_none()
    }

    /// A hundred answers, and what the control plane hears of them.
    fn second(&self, governor: &Governor, state: &mut State, traffic: &Traffic, now_ms: u64, random: &mut Random) -> Vec<Block> {
        let mut closed = Vec::new();
        for _ in 0..4 {
            let answers: [Answer; 25] = std::array::from_fn(|_| traffic.draw(&self.latencies, random));
            governor.observe(state, &answers, now_ms, &mut closed);
        }
        closed
    }

    /// How many requests the canary gets until it is held.
    fn until_held(&self, mut proxy: Proxy, traffic: &Traffic, gap_ms: u64, random: &mut Random) -> u64 {
        let mut requests = 0;
        while proxy.state.holds() == 0 {
            let answer = traffic.draw(&self.latencies, random);
            requests += u64::from(answer.subset == Subset::Canary);
            proxy.now_ms += gap_ms;
            proxy.answer(answer, random);
        }
        requests
    }

    fn each(&self, run: impl FnMut(&mut Random) -> u64) -> Vec<u64> {
        (0..self.runs).map(Random::new).collect::<Vec<_>>().iter_mut().map(run).collect()
    }

    fn count(&self, mut run: impl FnMut(&mut Random) -> bool) -> u64 {
        (0..self.runs).filter(|seed| run(&mut Random::new(*seed))).count() as u64
    }

    fn alarms(&self, name: &str, alarms: u64) -> bool {
        let most = (FALSE_ALARM * self.runs as f64).ceil() as u64;
        let fine = alarms <= most;
        println!("{name:<68} {:>22} {alarms:>8}{}", format!("at most {most}"), if fine { "" } else { "  MISSED" });
        fine
    }
}

const MAX: u64 = u64::MAX;
/// No target.
const NONE: (u64, u64) = (MAX, MAX);

/// Prints a row; whether its median and its 99th percentile are within their targets.
fn report(name: &str, mut values: Vec<u64>, (median, p99): (u64, u64)) -> bool {
    values.sort_unstable();
    let at = |hundredths: usize| values[(values.len() - 1) * hundredths / 100];
    let target = match (median, p99) {
        NONE => "".into(),
        (MAX, p99) => format!("p99 {p99}"),
        (median, MAX) => format!("median {median}"),
        (median, p99) => format!("median {median}, p99 {p99}"),
    };
    let fine = at(50) <= median && at(99) <= p99;
    println!("{name:<68} {target:>22} {:>8} {:>8} {:>8}{}", at(50), at(99), at(100), if fine { "" } else { "  MISSED" });
    fine
}

/// The errors until a controller aborts that looks at the canary's error rate of the last interval, as analyses of Argo Rollouts and
/// Flagger do. It aborts at the first bad look, where those by default wait for more.
fn controller(traffic: &Traffic, interval_s: u64, latencies: &Latencies, random: &mut Random) -> u64 {
    let mut seen = 0;
    for _ in 0..300 / interval_s {
        let answers = (0..interval_s * 100).map(|_| traffic.draw(latencies, random));
        let failed: Vec<_> = answers.filter(|answer| answer.subset == Subset::Canary).map(|answer| answer.micros.is_none()).collect();
        let failures = failed.iter().filter(|failed| **failed).count();
        seen += failures as u64;
        if failures * 20 > failed.len() {
            break;
        }
    }
    seen
}

fn nanoseconds(rounds: usize, run: impl FnMut(usize)) -> f64 {
    let begin = Instant::now();
    (0..rounds).for_each(run);
    begin.elapsed().as_nanos() as f64 / rounds as f64
}
