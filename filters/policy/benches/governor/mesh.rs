//! Many Envoys that tell a control plane what they saw, and do what it says.

use crate::traffic::{Latencies, Proxy, Random, Traffic};
use std::collections::VecDeque;
use weir_policy::canary::governor::{Block, Governor, Order, State, Subset, admits};

/// A proxy reports so often if there is something to report...
const REPORT_MS: u64 = 500;
/// ...and hears so long after it of what changed.
const PUSH_MS: u64 = 200;

/// The mesh. Each step is one request to one of the proxies.
pub struct Mesh<'g> {
    proxies: Vec<Proxy<'g>>,
    governor: Governor,
    /// What the control plane knows.
    pub whole: State,
    pub now_ms: u64,
    /// The blocks that are on their way, and when they arrive.
    reports: VecDeque<(u64, Block)>,
    /// The shares that are on their way to the proxies.
    pushes: VecDeque<(u64, u16)>,
    share: u16,
}

impl<'g> Mesh<'g> {
    pub fn new(in_proxy: &'g Governor, proxies: u32, governor: Governor) -> Self {
        let proxies = (0..proxies).map(|_| Proxy::new(in_proxy, 1)).collect();
        Self { proxies, governor, whole: State::default(), now_ms: 0, reports: VecDeque::new(), pushes: VecDeque::new(), share: 10_000 }
    }

    /// Sends the next request, of a hundred each second; whether the canary failed it.
    pub fn request(&mut self, traffic: &Traffic, latencies: &Latencies, random: &mut Random) -> bool {
        self.now_ms += 10;
        while let Some((at, block)) = self.reports.front()
            && *at <= self.now_ms
        {
            self.governor.take(&mut self.whole, block, self.now_ms);
            self.reports.pop_front();
        }
        self.governor.advance(&mut self.whole, self.now_ms);
        if self.pushes.back().map_or(self.share, |(_, share)| *share) != self.whole.share() {
            self.pushes.push_back((self.now_ms + PUSH_MS, self.whole.share()));
        }
        while let Some((at, share)) = self.pushes.front()
            && *at <= self.now_ms
        {
            self.share = *share;
            self.pushes.pop_front();
        }
        let place = (random.bits() >> 32) as usize % self.proxies.len();
        let proxy = &mut self.proxies[place];
        proxy.now_ms = self.now_ms;
        let order = Order { share: self.share, ..Order::default() };
        let mut closed = Vec::new();
        proxy.governor.obey(&mut proxy.state, order, self.now_ms, &mut closed);
        let mut answer = traffic.draw(latencies, random);
        if answer.subset == Subset::Canary && answer.bucket.is_some_and(|bucket| !admits(proxy.state.share(), bucket)) {
            answer.subset = Subset::Stable;
            answer.micros = answer.micros.or(Some(20_000));
        }
        proxy.answer(answer, random);
        closed.append(&mut proxy.closed);
        let at = self.now_ms + REPORT_MS - (self.now_ms + place as u64 * 37) % REPORT_MS;
        self.reports.extend(closed.into_iter().map(|block| (at, block)));
        self.reports.make_contiguous().sort_by_key(|(at, _)| *at);
        answer.subset == Subset::Canary && answer.micros.is_none()
    }
}
