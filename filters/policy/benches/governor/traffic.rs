//! Traffic to a canary and its stable, drawn at random.

use weir_policy::canary::governor::{Answer, Block, Governor, State, Subset};

/// The wyrand generator: a multiplication per number.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let product = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        (product >> 64) as u64 ^ product as u64
    }
}

/// Log-normal latencies: the quantiles of 2^16 equal steps, with a median of 20 ms and a sigma of 0.5.
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub fn new() -> Self {
        // The normal distribution function, added up in small steps, is inverted on the way.
        let (mut quantiles, mut z, mut below) = (Vec::new(), -6.0_f64, 0.0);
        let step = 1e-5;
        for place in 0..1 << 16 {
            let wanted = (f64::from(place) + 0.5) / f64::from(1 << 16);
            while below < wanted {
                z += step;
                below += step * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            }
            quantiles.push((20_000.0 * (0.5 * z).exp()) as u32);
        }
        Self(quantiles)
    }

    /// In microseconds.
    #[inline]
    pub fn at(&self, quantile: u16) -> u32 {
        self.0[usize::from(quantile)]
    }
}

/// What is sent, and how it is answered.
#[derive(Clone, Copy)]
pub struct Traffic {
    /// The canary's part of the requests.
    pub weight: f64,
    /// The part of the canary's answers that fails.
    pub canary: f64,
    /// The part of the stable's answers that fails.
    pub stable: f64,
    /// By what the canary's latency is multiplied...
    pub slower: u32,
    /// ...in this part of its answers.
    pub slow: f64,
}

impl Traffic {
    /// One in a hundred fails, whoever answers, and a tenth goes to the canary.
    pub const EVEN: Self = Self { weight: 0.1, canary: 0.01, stable: 0.01, slower: 1, slow: 1.0 };

    /// The next answer: out of one random number 16 bits for who asks, 24 for whether and 16 for when it is answered.
    #[inline]
    pub fn draw(&self, latencies: &Latencies, random: &mut Random) -> Answer {
        let bits = random.bits();
        let bucket = ((bits & 0xffff) * 10_000) >> 16;
        let is_canary = (bucket as f64) < self.weight * 10_000.0;
        let (subset, fails) = if is_canary { (Subset::Canary, self.canary) } else { (Subset::Stable, self.stable) };
        let slow = is_canary && self.slower > 1 && (self.slow == 1.0 || random.bits() as f64 <= self.slow * u64::MAX as f64);
        let times = if slow { self.slower } else { 1 };
        let failed = ((bits >> 40) as f64) < fails * 16_777_216.0;
        Answer { subset, bucket: Some(bucket as u16), micros: (!failed).then(|| latencies.at((bits >> 16) as u16) * times) }
    }
}

/// One Envoy at a time in milliseconds, with some workers, each of which hands its answers over when the canary answered or 32 are
/// there, and every 100 ms.
pub struct Proxy<'g> {
    pub governor: &'g Governor,
    pub state: State,
    pub now_ms: u64,
    /// The blocks that the last answer closed.
    pub closed: Vec<Block>,
    workers: Vec<Vec<Answer>>,
    tick_ms: u64,
}

impl<'g> Proxy<'g> {
    pub fn new(governor: &'g Governor, workers: usize) -> Self {
        let workers = (0..workers).map(|_| Vec::with_capacity(32)).collect();
        Self { governor, state: State::default(), now_ms: 0, closed: Vec::new(), workers, tick_ms: 0 }
    }

    pub fn answer(&mut self, answer: Answer, random: &mut Random) {
        self.closed.clear();
        let place = if self.workers.len() > 1 { (random.bits() >> 32) as usize % self.workers.len() } else { 0 };
        let worker = &mut self.workers[place];
        worker.push(answer);
        if answer.subset == Subset::Canary || worker.len() == 32 {
            self.governor.observe(&mut self.state, worker, self.now_ms, &mut self.closed);
            worker.clear();
        }
        if self.now_ms >= self.tick_ms {
            self.tick_ms = self.now_ms + 100;
            for worker in &mut self.workers {
                self.governor.observe(&mut self.state, worker, self.now_ms, &mut self.closed);
                worker.clear();
            }
        }
    }
}
