//! The canary filter: reads the request, lets weir-policy decide, sets a header.
//!
//! Whatever is missing here leaves the request to the route's own weights.

mod counter;

use counter::{COUNTERS, Counter};
use log::{debug, error};
use proxy_wasm::hostcalls::{get_map_bytes, get_map_value_bytes, set_map_value};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, Bytes, ContextType, MapType};
use std::rc::Rc;
use weir_policy::canary::{Compiled, Decision, Input, Policy};
use weir_policy::{BUCKET_HEADER, SUBSET_HEADER, host_of_cluster};
use weir_shell::{Counters, TICK, is_debug, learn_log_level, property};

mod module {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Debug);
        proxy_wasm::set_root_context(|_| Box::new(super::Plugin::default()));
    }}
}

const CLUSTER: [&str; 2] = ["xds", "cluster_name"];

/// One configuration of the filter.
#[derive(Default)]
struct Plugin(Option<Rc<Policy>>);

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        match Policy::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(policy) => {
                self.0 = Some(Rc::new(policy));
                COUNTERS.with(Counters::define);
                self.set_tick_period(TICK);
                self.on_tick();
                true
            }
            Err(error) => {
                error!("{error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        COUNTERS.with(Counters::flush);
        learn_log_level();
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request(self.0.clone())))
    }
}

struct Request(Option<Rc<Policy>>);

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        #[cfg(feature = "panic")]
        #[allow(clippy::panic, reason = "the build with this feature exists to panic")]
        if read(Input::Header("x-test-panic")).is_some() {
            panic!("asked to by x-test-panic");
        }
        if let Some(policy) = self.0.as_deref() {
            match policy.only().or_else(|| of_cluster(policy)) {
                Some(canary) => apply(canary.decide(read)),
                None => Counter::NoPolicy.count(),
            }
        }
        Action::Continue
    }
}

/// The canary of the service that the route leads to. To read this costs as much as all else together.
fn of_cluster(policy: &Policy) -> Option<&Compiled> {
    let cluster = property(&CLUSTER)?;
    policy.for_host(host_of_cluster(&cluster)?)
}

fn apply(decision: Decision<'_>) {
    if is_debug() {
        debug!("{}: {decision}", property(&CLUSTER).unwrap_or_default().escape_ascii());
    }
    match decision {
        Decision::Override { subset, .. } => {
            set(SUBSET_HEADER, subset);
            Counter::Override.count();
        }
        Decision::Bucket { bucket, .. } => {
            set(BUCKET_HEADER, &bucket.to_string());
            Counter::Bucket.count();
        }
        Decision::NoKey => Counter::NoKey.count(),
    }
}

/// A header that cannot be set leaves the request to the route's weights.
fn set(name: &str, value: &str) {
    let _ = set_map_value(MapType::HttpRequestHeaders, name, Some(value));
}

fn read(input: Input<'_>) -> Option<Bytes> {
    match input {
        Input::Header(name) => get_map_value_bytes(MapType::HttpRequestHeaders, name).ok().flatten(),
        Input::Cookies => cookies(),
        Input::SourceAddress => property(&["source", "address"]),
    }
}

/// A comma may be Envoy's, between several headers, or the cookie's own: only the headers themselves tell.
fn cookies() -> Option<Bytes> {
    let joined = property(&["request", "headers", "cookie"])?;
    if !joined.contains(&b',') {
        return Some(joined);
    }
    let headers = get_map_bytes(MapType::HttpRequestHeaders).ok()?;
    let cookies = headers.into_iter().filter(|(name, _)| name == "cookie");
    cookies.map(|(_, value)| value).reduce(|all, next| [all, next].join(b";".as_slice()))
}
