//! Calls to Envoy: the host functions of the proxy-wasm ABI 0.2.1 that the filters use, and the memory for their answers.
//!
//! Every call that fails has the same consequence, that the value is not there, so no status is handed on.

use std::ptr;

/// The proxy-wasm levels that the filters log at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// Why a request went where it went.
    Debug = 1,
    /// A canary is held back.
    Warn = 3,
    /// A configuration that is refused.
    Error = 4,
    /// A panic.
    Critical = 5,
}

/// The headers of the request or of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Headers {
    /// On their way to the service.
    Request = 0,
    /// On their way back.
    Response = 2,
}

const OK: u32 = 0;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const PLUGIN_CONFIGURATION: u32 = 7;

#[cfg_attr(target_family = "wasm", link(wasm_import_module = "env"))]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, most: usize, value: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_property(path: *const u8, length: usize, value: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, length: usize, value: *const u8, size: usize) -> u32;
    fn proxy_get_header_map_value(map: u32, name: *const u8, length: usize, value: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, value: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, name: *const u8, length: usize, value: *const u8, size: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, length: usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, length: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_shared_data(key: *const u8, length: usize, value: *mut *mut u8, size: *mut usize, version: *mut u32) -> u32;
    fn proxy_set_shared_data(key: *const u8, length: usize, value: *const u8, size: usize, version: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        length: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        id: *mut u32,
    ) -> u32;
}

// Envoy has this of WASI for every module. It is all that is needed of it, so the modules are not built for it: its part of the standard
// library weighs 14 kB.
#[cfg_attr(target_family = "wasm", link(wasm_import_module = "wasi_snapshot_preview1"))]
unsafe extern "C" {
    fn random_get(bytes: *mut u8, size: usize) -> u32;
}

/// Memory that Envoy writes an answer to, which the call for it then takes over.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(Box::<[u8]>::new_uninit_slice(size)).cast()
}

/// Makes a call that answers with bytes.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Box<[u8]>> {
    let (mut value, mut size) = (ptr::null_mut(), 0);
    let found = call(&mut value, &mut size) == OK;
    // SAFETY: Envoy has written `size` bytes to memory that it got from `proxy_on_memory_allocate` for `size` bytes.
    (found && !value.is_null()).then(|| unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(value, size)) })
}

/// An attribute of the request or response (Envoy's "Attributes"), by its path with a zero between the parts.
pub fn property(path: &str) -> Option<Box<[u8]>> {
    // SAFETY: the path outlives the call.
    bytes(|value, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), value, size) })
}

/// An attribute that is an integer, which Envoy hands over as eight bytes.
pub fn number(path: &str) -> Option<u64> {
    property(path)?.as_ref().try_into().ok().map(u64::from_le_bytes)
}

/// Leaves text under `wasm.NAME` in the request's filter state, where Envoy's own formatters find it.
pub fn set_state(name: &str, value: &[u8]) {
    // SAFETY: both outlive the call.
    let _ = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// A header by its name in lower case; of several of that name the first.
pub fn header(headers: Headers, name: &str) -> Option<Box<[u8]>> {
    // SAFETY: the name outlives the call.
    bytes(|value, size| unsafe { proxy_get_header_map_value(headers as u32, name.as_ptr(), name.len(), value, size) })
}

/// All headers of that name, joined.
pub fn headers_joined(headers: Headers, name: &str, separator: &[u8]) -> Option<Box<[u8]>> {
    // SAFETY: Envoy writes to memory that it asked for.
    let pairs = bytes(|value, size| unsafe { proxy_get_header_map_pairs(headers as u32, value, size) })?;
    let values: Vec<_> = pairs::read(&pairs).filter(|(header, _)| *header == name.as_bytes()).map(|(_, value)| value).collect();
    (!values.is_empty()).then(|| values.join(separator).into())
}

/// Sets a header in place of all of that name. One that cannot be set leaves the request as it is.
pub fn set_header(headers: Headers, name: &str, value: &[u8]) {
    // SAFETY: both outlive the call.
    let _ = unsafe { proxy_replace_header_map_value(headers as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Removes all headers of that name.
pub fn remove_header(headers: Headers, name: &str) {
    // SAFETY: the name outlives the call.
    let _ = unsafe { proxy_remove_header_map_value(headers as u32, name.as_ptr(), name.len()) };
}

/// The time in milliseconds since 1970; 0 if Envoy does not tell.
pub fn now() -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: Envoy writes a number to the place given.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&mut nanoseconds) };
    nanoseconds / 1_000_000
}

/// A number that nobody can guess, if there is one to be had.
pub fn random() -> Option<u128> {
    let mut bytes = [0; 16];
    // SAFETY: as many bytes are written as there are.
    let status = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    (status == OK).then_some(u128::from_le_bytes(bytes))
}

/// Writes a line to Envoy's log.
pub fn log(level: Level, line: &str) {
    // SAFETY: the line outlives the call.
    let _ = unsafe { proxy_log(level as u32, line.as_ptr(), line.len()) };
}

/// Whether Envoy's log shows debug lines.
pub(crate) fn shows_debug() -> bool {
    let mut level = u32::MAX;
    // SAFETY: Envoy writes a number to the place given.
    let found = unsafe { proxy_get_log_level(&mut level) } == OK;
    found && level <= Level::Debug as u32
}

/// The JSON of the plugin that is being configured.
pub(crate) fn configuration() -> Box<[u8]> {
    // SAFETY: Envoy writes to memory that it asked for.
    bytes(|value, size| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, value, size) }).unwrap_or_default()
}

/// From now on Envoy calls `proxy_on_tick` that often.
pub(crate) fn tick_every(milliseconds: u32) {
    // SAFETY: no memory is involved.
    let _ = unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
}

/// Makes a counter of that name in Envoy's stats, or finds it.
pub(crate) fn define_counter(name: &str) -> Option<u32> {
    define(COUNTER, name)
}

fn define(kind: u32, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the name outlives the call; Envoy writes a number to the place given.
    let made = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) } == OK;
    made.then_some(id)
}

/// Sets a gauge of that name in Envoy's stats. For what changes seldom: it is looked for each time.
pub fn set_gauge(name: &str, value: u64) {
    if let Some(id) = define(GAUGE, name) {
        // SAFETY: no memory is involved.
        let _ = unsafe { proxy_record_metric(id, value) };
    }
}

/// A value that all workers of this Envoy share, with its version.
pub fn shared(key: &str) -> Option<(Box<[u8]>, u32)> {
    let mut version = 0;
    // SAFETY: the key outlives the call; Envoy writes a number to the place given.
    let value = bytes(|value, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), value, size, &mut version) })?;
    Some((value, version))
}

/// Sets it for all, if nobody has since the version was read; whatever it was if that is 0. Whether it is set.
pub fn share(key: &str, value: &[u8], version: u32) -> bool {
    // SAFETY: both outlive the call.
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) == OK }
}

/// Sends a POST to a cluster of this Envoy, of which no answer is awaited.
pub fn post(cluster: &str, headers: &[(&str, &[u8])], body: &[u8], timeout_milliseconds: u32) {
    let (headers, trailers, mut id) = (pairs::write(headers), pairs::write(&[]), 0);
    // SAFETY: all outlive the call; Envoy writes a number to the place given.
    let _ = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_milliseconds,
            &mut id,
        )
    };
}

/// Counts.
pub(crate) fn increment(counter: u32, by: i64) {
    // SAFETY: no memory is involved.
    let _ = unsafe { proxy_increment_metric(counter, by) };
}

/// Header maps as the ABI writes them.
mod pairs {
    /// The number of pairs; the lengths of each name and value; the names and values, each with a zero behind it. All numbers
    /// have four bytes, the lowest first. Ends where the bytes do not keep to that.
    pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (count, rest) = number(bytes).unwrap_or_default();
        let (mut lengths, mut rest) = rest.split_at_checked(count * 8).unwrap_or_default();
        std::iter::from_fn(move || {
            let (name, after) = number(lengths)?;
            let (value, after) = number(after)?;
            lengths = after;
            Some((text(&mut rest, name)?, text(&mut rest, value)?))
        })
    }

    pub(super) fn write(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        let mut number = |number: usize| bytes.extend((number as u32).to_le_bytes());
        number(pairs.len());
        for (name, value) in pairs {
            number(name.len());
            number(value.len());
        }
        for text in pairs.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
            bytes.extend_from_slice(text);
            bytes.push(0);
        }
        bytes
    }

    fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
        let (number, rest) = bytes.split_first_chunk()?;
        Some((u32::from_le_bytes(*number) as usize, rest))
    }

    fn text<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (text, after) = rest.split_at_checked(length)?;
        *rest = after.get(1..)?;
        Some(text)
    }

    #[cfg(test)]
    mod tests {
        use super::{read, write};

        #[test]
        fn reads_what_keeps_to_the_format_and_stops_at_what_does_not() {
            let bytes = [&[2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], b"a\0bc\0d\0\0".as_slice()].concat();
            let pairs = |length: usize| read(bytes.get(..length).unwrap()).collect::<Vec<_>>();
            let whole: [(&[u8], &[u8]); 2] = [(b"a", b"bc"), (b"d", b"")];
            assert_eq!(pairs(bytes.len()), whole);
            assert_eq!(write(&[("a", b"bc"), ("d", b"")]), bytes);
            assert_eq!(pairs(bytes.len() - 1), [whole[0]]);
            for length in 0..25 {
                assert_eq!(pairs(length), []);
            }
        }
    }
}
