//! The last answers of a canary and its stable: what people want to know of a version is how it does now.

use std::collections::VecDeque;
use weir_policy::canary::governor::{Block, Subset, Total};

/// So many blocks and latencies are remembered.
const BLOCKS: usize = 100;
const LATENCIES: usize = 1_000;

/// What one subset answered last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    blocks: VecDeque<Total>,
    /// In microseconds.
    latencies: VecDeque<f32>,
}

impl Recent {
    /// Adds a block of which this is a subset's.
    pub fn add(&mut self, block: &Block, subset: Subset) {
        self.blocks.push_back(block.total(subset));
        self.latencies.extend(block.latencies(subset));
        while self.blocks.len() > BLOCKS {
            self.blocks.pop_front();
        }
        while self.latencies.len() > LATENCIES {
            self.latencies.pop_front();
        }
    }

    /// Answers, and how many of them failed.
    pub fn counts(&self) -> (u64, u64) {
        let add = |(requests, failures): (u64, u64), total: &Total| {
            (requests.saturating_add(total.requests), failures.saturating_add(total.failures))
        };
        self.blocks.iter().fold((0, 0), add)
    }

    /// The latency that so many hundredths of the successes kept below, in milliseconds; nothing without any.
    pub fn percentile(&self, hundredths: usize) -> Option<f64> {
        let mut sorted: Vec<f32> = self.latencies.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let place = sorted.len().checked_sub(1)? * hundredths / 100;
        sorted.get(place).map(|micros| f64::from(*micros) / 1_000.0)
    }
}
