//! What this proxy sees of one zone: whether it serves, how long it takes, and how much of it is under way.

use super::health::Health;
use super::latency::{Latency, log2};
use super::observed::Ended;
use super::response::Outcome;

/// So many requests back reaches what is usually under way.
const WINDOW: f32 = 64.0;

/// A zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zone {
    pub health: Health,
    pub latency: Latency,
    /// Whether the zone was left, or came back, and the other workers do not know.
    news: bool,
    /// Requests of this worker that are under way.
    under_way: u32,
    /// How many there usually are when another one is sent, and by how many requests that is known.
    usually: f32,
    known_by: f32,
}

impl Zone {
    pub const NEAR: Self = Self::new(Health::NEAR);
    pub const OTHER: Self = Self::new(Health::OTHER);

    const fn new(health: Health) -> Self {
        Self { health, latency: Latency::UNKNOWN, news: false, under_way: 0, usually: 0.0, known_by: 0.0 }
    }

    /// How long the next request is going to take, as a logarithm: it takes longer by as much as there is more under way than usual.
    pub fn outlook(&self) -> Option<f32> {
        Some(self.latency.known()? + log2((self.under_way as f32 + 1.0) / (self.usually + 1.0)))
    }

    pub fn sent(&mut self) {
        self.known_by = (self.known_by + 1.0).min(WINDOW);
        self.usually += (self.under_way as f32 - self.usually) / self.known_by;
        self.under_way += 1;
    }

    /// Whether the other workers do not know what this one knows.
    pub fn has_news(&self) -> bool {
        self.latency.is_news() || self.news
    }

    /// They do now.
    pub fn is_told(&mut self) {
        self.latency.is_told();
        self.news = false;
    }

    /// A request will not be heard of any more.
    pub fn lost(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Takes in how a request went.
    pub fn take_in(&mut self, ended: &Ended, now: u64) {
        if let Some(micros) = ended.micros {
            self.latency.take_in(micros, now);
        }
        let since = self.health.since;
        match ended.outcome {
            Outcome::Served => self.health.served(now),
            Outcome::Failed => self.health.failed(now),
            Outcome::Untried => {}
        }
        self.news |= self.health.since != since;
    }
}
