//! What surrounds weir-policy in a filter: Envoy's callbacks and calls, configurations, counters, the log.
//!
//! It takes the place of an SDK, since a filter costs little more than what it asks of Envoy and is told by it: here that is
//! only what it needs. A call costs more than a decision, so counts go out, and the log level comes in, by a tick.

mod awaited;
mod counters;
mod host;
mod plugins;

pub use awaited::Awaited;
pub use counters::{Counter, count};
pub use host::{
    Headers, Level, header, headers_joined, log, now, number, post, property, random, remove_header, set_gauge, set_header, set_state,
    share, shared,
};
pub use plugins::Plugins;

use std::cell::Cell;

thread_local! {
    static DEBUG: Cell<bool> = const { Cell::new(false) };
}

/// What a filter makes of its configuration, and does with requests. One value per configuration, shared by its requests.
pub trait Filter: Sized {
    /// What it counts in Envoy's stats.
    const COUNTERS: &'static [&'static str];

    /// How often counters go to Envoy, and [`Filter::on_tick`] is called, in milliseconds.
    const TICK: u32 = 500;

    /// Reads the plugin's configuration.
    ///
    /// # Errors
    /// What is wrong with it, as it is to stand in the log.
    fn new(json: &[u8]) -> Result<Self, String>;

    /// Does its work before a request goes on. The number is the request's, and grows from one to the next.
    fn on_request_headers(&self, _request: u32) {}

    /// Does its work before a response goes on.
    fn on_response_headers(&self, _request: u32) {}

    /// Does its work when a request has ended, however that went.
    fn on_log(&self, _request: u32) {}

    /// Does what it does now and then.
    fn on_tick(&self) {}
}

/// Makes the module's exports: `filter!(Canary: on_request_headers);`. Envoy calls what is exported, so what a filter does not
/// list costs nothing.
#[macro_export]
macro_rules! filter {
    ($filter:ty: $($callback:ident),+) => {
        thread_local! {
            static PLUGINS: $crate::Plugins<$filter> = $crate::Plugins::default();
        }

        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            $crate::initialize();
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_configure(_plugin: u32, _size: usize) -> bool {
            PLUGINS.with($crate::Plugins::configure)
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_tick(_plugin: u32) {
            $crate::on_tick();
            if let Some(filter) = PLUGINS.with($crate::Plugins::current) {
                $crate::Filter::on_tick(&*filter);
            }
        }

        $($crate::callback!($callback);)+
    };
}

/// The export of one callback, whose answer is always to continue.
#[doc(hidden)]
#[macro_export]
macro_rules! callback {
    (on_request_headers) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_request_headers(request: u32, _count: usize, _is_end: bool) -> u32 {
            if let Some(filter) = PLUGINS.with($crate::Plugins::current) {
                $crate::Filter::on_request_headers(&*filter, request);
            }
            0
        }
    };
    (on_log) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_log(request: u32) {
            if let Some(filter) = PLUGINS.with($crate::Plugins::current) {
                $crate::Filter::on_log(&*filter, request);
            }
        }
    };
    (on_response_headers) => {
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_response_headers(request: u32, _count: usize, _is_end: bool) -> u32 {
            if let Some(filter) = PLUGINS.with($crate::Plugins::current) {
                $crate::Filter::on_response_headers(&*filter, request);
            }
            0
        }
    };
}

/// The ABI that this is.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Readies the VM.
#[doc(hidden)]
pub fn initialize() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| log(Level::Critical, &panic.to_string())));
}

/// Does what is done now and then.
#[doc(hidden)]
pub fn on_tick() {
    counters::flush();
    DEBUG.set(host::shows_debug());
}

/// Whether Envoy's log shows debug lines, as of the last tick.
pub fn is_debug() -> bool {
    DEBUG.get()
}
