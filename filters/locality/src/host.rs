//! What the filter reads of Envoy, without the panics of the SDK's own getters.

use proxy_wasm::hostcalls::{get_log_level, get_property, set_map_value_bytes};
use proxy_wasm::types::{Bytes, LogLevel, MapType};
use std::cell::Cell;

pub(crate) fn property(path: &[&str]) -> Option<Bytes> {
    get_property(path.to_vec()).ok().flatten()
}

/// Envoy hands integers over as eight bytes.
pub(crate) fn number(path: &[&str]) -> Option<u64> {
    property(path)?.try_into().ok().map(u64::from_le_bytes)
}

thread_local! {
    static DEBUG: Cell<bool> = const { Cell::new(false) };
}

/// Whether Envoy would print a debug line, as of the last tick.
pub(crate) fn is_debug() -> bool {
    DEBUG.get()
}

pub(crate) fn learn_log_level() {
    DEBUG.set(get_log_level().is_ok_and(|level| level as u32 <= LogLevel::Debug as u32));
}

pub(crate) fn set_response_header(name: &str, value: &[u8]) {
    let _ = set_map_value_bytes(MapType::HttpResponseHeaders, name, Some(value));
}
