//! Stands in for Envoy, so that a filter's shell can be tested natively, without a Wasm runtime.
//!
//! It drives the callbacks that the SDK exports, and `calls` answers what the filter asks. One proxy per thread, as a worker of
//! Envoy has one VM; tests run in threads of their own.

#![allow(clippy::expect_used, reason = "this crate is a test's")]

mod calls;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What the filter sees and leaves behind; tests read and write it between requests.
#[derive(Debug, Default)]
pub struct Proxy {
    /// The counters that were defined, with their values.
    pub counters: Vec<(String, i64)>,
    /// The lines that were logged.
    pub log: Vec<String>,
    /// Whether Envoy's log level is debug.
    pub debug: bool,
    /// The clock, in milliseconds.
    pub now: u64,
    config: Vec<u8>,
    properties: BTreeMap<String, Vec<u8>>,
    request: Headers,
    response: Headers,
}

/// Headers in their order.
pub type Headers = Vec<(String, Vec<u8>)>;

unsafe extern "C" {
    fn _initialize();
    fn proxy_on_context_create(context: u32, parent: u32);
    fn proxy_on_tick(context: u32);
    fn proxy_on_configure(context: u32, size: usize) -> bool;
    fn proxy_on_request_headers(context: u32, count: usize, end: bool) -> u32;
    fn proxy_on_response_headers(context: u32, count: usize, end: bool) -> u32;
    fn proxy_on_delete(context: u32);
}

thread_local! {
    static PROXY: RefCell<Proxy> = RefCell::default();
}

const PLUGIN: u32 = 1;
const REQUEST: u32 = 2;

/// Loads the filter with a configuration; whether it took it. Once per test.
pub fn load(config: &str) -> bool {
    // The SDK sets the process's logger without a lock.
    static INITIALIZE: Mutex<()> = Mutex::new(());
    {
        let _lock = INITIALIZE.lock();
        // SAFETY: the SDK's own entry points, called in the order in which Envoy calls them.
        unsafe { _initialize() };
    }
    proxy(|proxy| proxy.config = config.as_bytes().to_vec());
    // SAFETY: as above.
    unsafe {
        proxy_on_context_create(PLUGIN, 0);
        proxy_on_configure(PLUGIN, config.len())
    }
}

/// Lets time pass, so that the filter does what it does now and then.
pub fn tick() {
    // SAFETY: as in `load`.
    unsafe { proxy_on_tick(PLUGIN) }
}

/// Uses the proxy of this test.
pub fn proxy<T>(use_it: impl FnOnce(&mut Proxy) -> T) -> T {
    PROXY.with_borrow_mut(use_it)
}

/// Sends a request and its response through the filter. Returns the headers of both as the filter left them.
pub fn exchange(
    request: &[(&str, &[u8])],
    request_properties: &[(&str, &[u8])],
    response_properties: &[(&str, &[u8])],
) -> (Headers, Headers) {
    let set = |properties: &[(&str, &[u8])]| properties.iter().map(|(name, value)| ((*name).into(), value.to_vec())).collect::<Vec<_>>();
    proxy(|proxy| {
        proxy.request = set(request);
        proxy.response = Vec::new();
        proxy.properties = set(request_properties).into_iter().collect();
    });
    // SAFETY: as in `load`; the context is created, used and deleted.
    unsafe {
        proxy_on_context_create(REQUEST, PLUGIN);
        proxy_on_request_headers(REQUEST, request.len(), true);
    }
    proxy(|proxy| proxy.properties.extend(set(response_properties)));
    // SAFETY: as above.
    unsafe {
        proxy_on_response_headers(REQUEST, 0, true);
        proxy_on_delete(REQUEST);
    }
    proxy(|proxy| (std::mem::take(&mut proxy.request), std::mem::take(&mut proxy.response)))
}
