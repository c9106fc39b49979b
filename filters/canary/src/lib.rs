//! The canary filter: reads the request, lets weir-policy decide, sets a header.
//!
//! Whatever is missing here leaves the request to the route's own weights.

mod counters;

use counters::Counters;
use log::{debug, error};
use proxy_wasm::hostcalls::{get_log_level, get_map_value_bytes, get_property, set_map_value};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, Bytes, ContextType, LogLevel, MapType};
use std::rc::Rc;
use weir_policy::canary::{Decision, Input, Policy};
use weir_policy::{BUCKET_HEADER, SUBSET_HEADER, host_of_cluster};

mod module {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Debug);
        proxy_wasm::set_root_context(|_| Box::new(super::Plugin::default()));
    }}
}

/// One configuration of the filter.
#[derive(Default)]
struct Plugin(Rc<State>);

#[derive(Default)]
struct State {
    policy: Option<Policy>,
    counters: Counters,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        match Policy::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(policy) => {
                self.0 = Rc::new(State { policy: Some(policy), counters: Counters::define() });
                true
            }
            Err(error) => {
                error!("{error}");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request(Rc::clone(&self.0))))
    }
}

struct Request(Rc<State>);

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        #[cfg(feature = "panic")]
        #[allow(clippy::panic, reason = "the build with this feature exists to panic")]
        if read(Input::Header("x-test-panic")).is_some() {
            panic!("asked to by x-test-panic");
        }
        let State { policy, counters } = &*self.0;
        let Some(cluster) = property(&["xds", "cluster_name"]) else { return Action::Continue };
        let host = host_of_cluster(&cluster);
        match host.zip(policy.as_ref()).and_then(|(host, policy)| policy.for_host(host)) {
            Some(canary) => apply(canary.decide(read), &cluster, counters),
            None => Counters::count(counters.no_policy),
        }
        Action::Continue
    }
}

fn apply(decision: Decision<'_>, cluster: &[u8], counters: &Counters) {
    if get_log_level().is_ok_and(|level| level as u32 <= LogLevel::Debug as u32) {
        debug!("{}: {decision}", cluster.escape_ascii());
    }
    match decision {
        Decision::Override { subset, .. } => {
            set(SUBSET_HEADER, subset);
            Counters::count(counters.overridden);
        }
        Decision::Bucket { bucket, .. } => {
            set(BUCKET_HEADER, &bucket.to_string());
            Counters::count(counters.bucket);
        }
        Decision::NoKey => Counters::count(counters.no_key),
    }
}

/// A header that cannot be set leaves the request to the route's weights.
fn set(name: &str, value: &str) {
    let _ = set_map_value(MapType::HttpRequestHeaders, name, Some(value));
}

fn read(input: Input<'_>) -> Option<Bytes> {
    match input {
        Input::Header(name) => get_map_value_bytes(MapType::HttpRequestHeaders, name).ok().flatten(),
        Input::SourceAddress => property(&["source", "address"]),
    }
}

fn property(path: &[&str]) -> Option<Bytes> {
    get_property(path.to_vec()).ok().flatten()
}
