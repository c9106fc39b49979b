//! The locality filter: lets weir-policy choose the zone, names it in a header, and shows it what became of the request.
//!
//! Whatever is missing here leaves the request to Envoy's priorities by locality.

mod counters;
mod host;

use counters::Counters;
use log::{debug, error};
use proxy_wasm::hostcalls::{get_current_time, set_map_value};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MapType};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::UNIX_EPOCH;
use weir_policy::locality::{Choice, Compiled, Observed, Outcome, Policy, Response};
use weir_policy::{SERVED_BY_HEADER, ZONE_HEADER, host_of_cluster};

mod module {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Debug);
        proxy_wasm::set_root_context(|_| Box::new(super::Plugin(None)));
    }}
}

/// One configuration of the filter, and what its requests saw.
struct State {
    policy: Policy,
    observed: RefCell<Observed>,
    counters: Counters,
}

struct Plugin(Option<Rc<State>>);

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        match Policy::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(policy) => {
                let observed = RefCell::new(Observed::new(&policy));
                self.0 = Some(Rc::new(State { policy, observed, counters: Counters::define() }));
                true
            }
            Err(error) => {
                error!("weir-locality: {error}");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { state: self.0.clone(), chosen: None }))
    }
}

struct Request {
    state: Option<Rc<State>>,
    /// The service's place in the policy, and the choice made for it.
    chosen: Option<(usize, Choice)>,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(State { policy, observed, counters }) = self.state.as_deref() else { return Action::Continue };
        let Some(cluster) = host::property(&["xds", "cluster_name"]) else { return Action::Continue };
        let Some(service) = host_of_cluster(&cluster).and_then(|host| policy.for_host(host)) else {
            Counters::count(counters.no_policy);
            return Action::Continue;
        };
        let choice = observed.borrow_mut().choose(service, now);
        self.chosen = Some((service.place, choice));
        let zone = service.named(choice);
        if host::is_debug() {
            debug!("weir-locality: {}: {choice}{}", cluster.escape_ascii(), zone.unwrap_or_default());
        }
        if let Some(zone) = zone {
            let _ = set_map_value(MapType::HttpRequestHeaders, ZONE_HEADER, Some(zone));
        }
        Counters::count(counters.of_choice(choice));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let (Some(state), Some((place, choice))) = (self.state.as_deref(), self.chosen) else { return Action::Continue };
        let Some(service) = state.policy.service(place) else { return Action::Continue };
        if !service.zones.is_empty() {
            observe(state, service, choice);
        }
        if service.served_by
            && let (Some(zone), Some(address)) = (host::property(&["upstream", "locality", "zone"]), host::property(&["upstream", "address"]))
        {
            host::set_response_header(SERVED_BY_HEADER, &[&zone, b"/".as_slice(), &address].concat());
        }
        Action::Continue
    }
}

fn observe(State { policy, observed, counters }: &State, service: &Compiled, choice: Choice) {
    let status = host::number(&["response", "code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let attempts = host::number(&["upstream", "request_attempt_count"]).unwrap_or(1);
    let outcome = if choice == Choice::Near && Response::is_plain(status, attempts) {
        Outcome::Served
    } else {
        let region = host::property(&["upstream", "locality", "region"]).unwrap_or_default();
        let zone = host::property(&["upstream", "locality", "zone"]);
        let zone = zone.as_deref().map(|zone| (region.as_slice(), zone));
        Response { status, attempts, zone }.outcome(policy, service, choice)
    };
    if outcome == Outcome::Failed {
        Counters::count(counters.failed);
        if host::is_debug() {
            debug!("weir-locality: {} failed ({status}, attempts: {attempts})", service.named(choice).unwrap_or("the own zone"));
        }
    }
    observed.borrow_mut().observe(service, choice, outcome, now);
}

/// Milliseconds.
fn now() -> u64 {
    let since = get_current_time().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}
