//! Work that is done on one request after the other, as by a process with one thread.

use std::time::Duration;
use tokio::sync::Mutex;

/// Where requests wait in the order in which they came.
#[derive(Debug, Default)]
pub struct Desk {
    /// How many were worked on.
    done: Mutex<u32>,
}

impl Desk {
    /// Works on a request when those before it are done; how long varies around a mean as in an M/M/1 queue, and the same in each run.
    pub async fn work(&self, mean: Duration) {
        let mut done = self.done.lock().await;
        *done = done.wrapping_add(1);
        // Multiples of the golden ratio's fraction fill the unit interval evenly.
        let drawn = (f64::from(*done) * 0.618_033_988_749_895).fract();
        tokio::time::sleep(mean.mul_f64(-(1.0 - drawn).ln())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn requests_wait_for_each_other() {
        let (desk, start) = (Desk::default(), Instant::now());
        let mean = Duration::from_millis(2);
        tokio::join!(
            async {
                for _ in 0..25 {
                    desk.work(mean).await
                }
            },
            async {
                for _ in 0..25 {
                    desk.work(mean).await
                }
            }
        );
        assert!(start.elapsed() > Duration::from_millis(80), "{:?}", start.elapsed());
    }
}
