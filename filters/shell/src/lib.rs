//! What the filters share: Envoy's properties, without the panics of the SDK's own getters; counters; the log level.
//!
//! A call out of Wasm costs more than a decision, so counts go out, and the log level comes in, by a tick.

mod counters;

pub use counters::Counters;

use proxy_wasm::hostcalls::{get_log_level, get_property};
use proxy_wasm::types::{Bytes, LogLevel};
use std::cell::Cell;
use std::time::Duration;

/// The period of a filter's tick.
pub const TICK: Duration = Duration::from_millis(500);

thread_local! {
    static DEBUG: Cell<bool> = const { Cell::new(false) };
}

/// Whether Envoy would print a debug line, as of the last [`learn_log_level`].
pub fn is_debug() -> bool {
    DEBUG.get()
}

/// Asks Envoy for its log level.
pub fn learn_log_level() {
    DEBUG.set(get_log_level().is_ok_and(|level| level as u32 <= LogLevel::Debug as u32));
}

/// An attribute of the request, if Envoy has it (Envoy's "Attributes").
pub fn property(path: &[&str]) -> Option<Bytes> {
    get_property(path.to_vec()).ok().flatten()
}

/// An attribute that is an integer, which Envoy hands over as eight bytes.
pub fn number(path: &[&str]) -> Option<u64> {
    property(path)?.try_into().ok().map(u64::from_le_bytes)
}
