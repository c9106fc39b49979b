//! Tells the control plane what governors saw: one worker does for all of this Envoy, by a cluster that Envoy has.
//!
//! What is to be told lies in what the workers share, behind who told last, and when. Nothing waits for an answer: a report that is lost
//! is missed as little as one that was never made.

use std::cell::OnceCell;
use weir_policy::canary::governor::Record;
use weir_shell::{post, property, random, share, shared};

/// Where it lies; no service is called so.
const KEY: &str = "\nreports";
/// Of more bytes that wait no more is kept.
const MOST: usize = 16 << 10;
/// A worker tells so often, if there is something to tell...
const EVERY_MS: u64 = 500;
/// ...and another one does when it has not for so long.
const SILENT_MS: u64 = 5_000;
const TIMEOUT_MS: u32 = 5_000;
/// So often a worker tries to add something where others do at the same time.
const ATTEMPTS: u32 = 5;

thread_local! {
    static WORKER: OnceCell<u64> = const { OnceCell::new() };
}

/// Who this is among the workers.
fn worker() -> u64 {
    WORKER.with(|worker| *worker.get_or_init(|| random().unwrap_or_default() as u64 | 1))
}

/// What waits: who told last, when, and the records.
fn waiting(bytes: &[u8]) -> (u64, u64, &[u8]) {
    let read = || {
        let (teller, rest) = bytes.split_first_chunk()?;
        let (at, records) = rest.split_first_chunk()?;
        Some((u64::from_le_bytes(*teller), u64::from_le_bytes(*at), records))
    };
    read().unwrap_or_default()
}

fn written(teller: u64, at: u64, records: &[u8], more: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + records.len() + more.len());
    for part in [&teller.to_le_bytes(), &at.to_le_bytes(), records, more] {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Adds records of a canary, which is called by its service and its name.
pub fn add(canary: &str, records: &[Record]) {
    let mut news = Vec::new();
    records.iter().for_each(|record| record.append(canary, &mut news));
    for _ in 0..ATTEMPTS {
        let (bytes, version) = shared(KEY).unwrap_or_default();
        let (teller, at, records) = waiting(&bytes);
        if records.len() + news.len() > MOST || share(KEY, &written(teller, at, records, &news), version) {
            return;
        }
    }
}

/// Tells what waits, if it is this worker's turn.
pub fn tell(cluster: &str, now: u64) {
    let Some((bytes, version)) = shared(KEY) else { return };
    let (teller, at, records) = waiting(&bytes);
    let after = if teller == worker() { EVERY_MS } else { SILENT_MS };
    // A clock may be set back.
    if now.abs_diff(at) < after || !share(KEY, &written(worker(), now, &[], &[]), version) || records.is_empty() {
        return;
    }
    let node = property("xds\0node\0id").unwrap_or_default();
    let headers: [(&str, &[u8]); 4] =
        [(":method", b"POST"), (":path", weir_policy::REPORT_PATH.as_bytes()), (":authority", b"weir"), (weir_policy::NODE_HEADER, &node)];
    post(cluster, &headers, &Record::without_repetitions(records), TIMEOUT_MS);
}
