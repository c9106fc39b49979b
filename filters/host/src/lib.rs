//! Stands in for Envoy, so that a filter's shell can be tested natively, without a Wasm runtime.
//!
//! It calls the filter as its exports do, and `calls` answers what the filter asks. One proxy per thread, as a worker of
//! Envoy has one VM; tests run in threads of their own.

#![allow(clippy::expect_used, reason = "this crate is a test's")]

mod calls;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use weir_shell::{Filter, Plugins, on_tick};

/// What the filter sees and leaves behind; tests read and write it between requests.
#[derive(Debug, Default)]
pub struct Proxy {
    /// The name of the plugin that Envoy configures or calls.
    pub plugin: String,
    /// The counters that were defined, with their values.
    pub counters: Vec<(String, i64)>,
    /// The lines that were logged.
    pub log: Vec<String>,
    /// Whether Envoy's log level is debug.
    pub debug: bool,
    /// The clock, in milliseconds.
    pub now: u64,
    /// What the filter left in the filter state of the last request.
    pub state: BTreeMap<String, Vec<u8>>,
    /// What was sent, with the cluster and, as the ABI writes them, the headers.
    pub posts: Vec<(String, String, Vec<u8>)>,
    /// What the workers share: values and their versions.
    pub shared: BTreeMap<String, (Vec<u8>, u32)>,
    config: Vec<u8>,
    properties: BTreeMap<String, Vec<u8>>,
    request: Headers,
    response: Headers,
}

fn set(values: &[(&str, &[u8])]) -> Headers {
    values.iter().map(|(name, value)| ((*name).into(), value.to_vec())).collect()
}

/// Headers in their order.
pub type Headers = Vec<(String, Vec<u8>)>;

thread_local! {
    static PROXY: RefCell<Proxy> = RefCell::default();
}

/// Uses the proxy of this test.
pub fn proxy<T>(use_it: impl FnOnce(&mut Proxy) -> T) -> T {
    PROXY.with_borrow_mut(use_it)
}

/// The VM of a filter, in the proxy of this test.
#[derive(Debug)]
pub struct Vm<F> {
    plugins: Plugins<F>,
    requests: Cell<u32>,
}

impl<F: Filter> Vm<F> {
    /// Starts it with a configuration; nothing if the filter refuses that.
    pub fn start(config: &str) -> Option<Vm<F>> {
        let vm = Vm { plugins: Plugins::default(), requests: Cell::new(0) };
        vm.configure(config).then_some(vm)
    }

    /// Configures the plugin; whether the filter took it.
    pub fn configure(&self, config: &str) -> bool {
        proxy(|proxy| proxy.config = config.as_bytes().to_vec());
        self.plugins.configure()
    }

    /// Lets time pass, so that the filter does what it does now and then.
    pub fn tick(&self) {
        on_tick();
        if let Some(filter) = self.plugins.current() {
            filter.on_tick();
        }
    }

    /// Sends a request and its response through the filter. Returns the headers of both as the filter left them.
    pub fn exchange(
        &self,
        request: &[(&str, &[u8])],
        request_properties: &[(&str, &[u8])],
        response_properties: &[(&str, &[u8])],
    ) -> (Headers, Headers) {
        self.exchange_with(request, request_properties, |_| set(response_properties))
    }

    /// As [`Vm::exchange`], with what is known of the response by how the filter left the request.
    pub fn exchange_with(
        &self,
        request: &[(&str, &[u8])],
        request_properties: &[(&str, &[u8])],
        respond: impl FnOnce(&Headers) -> Headers,
    ) -> (Headers, Headers) {
        proxy(|proxy| {
            proxy.request = set(request);
            proxy.response = Vec::new();
            proxy.state.clear();
            proxy.properties = set(request_properties).into_iter().collect();
        });
        let number = self.requests.replace(self.requests.get() + 1);
        if let Some(filter) = self.plugins.current() {
            filter.on_request_headers(number);
            let known = respond(&proxy(|proxy| proxy.request.clone()));
            proxy(|proxy| proxy.properties.extend(known));
            filter.on_response_headers(number);
            filter.on_log(number);
        }
        proxy(|proxy| (std::mem::take(&mut proxy.request), std::mem::take(&mut proxy.response)))
    }
}
