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
    /// Whether responses are read at all: to observe them, or to tell who served them.
    observes: bool,
    tells: bool,
    observed: RefCell<Observed>,
    counters: Counters,
}

struct Plugin(Option<Rc<State>>);

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        match Policy::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(policy) => {
                let (observes, tells) = (policy.observes(), policy.tells());
                let observed = RefCell::new(Observed::new(&policy));
                self.0 = Some(Rc::new(State { policy, observes, tells, observed, counters: Counters::define() }));
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
        Some(Box::new(Request { state: self.0.clone(), chosen: Choice::Near }))
    }
}

struct Request {
    state: Option<Rc<State>>,
    chosen: Choice,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(state) = self.state.as_deref() {
            if !state.observed.borrow().is_calm() || host::is_debug() {
                self.chosen = choose(state);
            }
            Counters::count(state.counters.of_choice(self.chosen));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(state) = self.state.as_deref() else { return Action::Continue };
        let looks = state.observes && (self.chosen != Choice::Near || state.observed.borrow_mut().looks(now));
        if (looks || state.tells)
            && let Some(cluster) = host::property(&["xds", "cluster_name"])
            && let Some(service) = host_of_cluster(&cluster).and_then(|host| state.policy.for_host(host))
        {
            if looks && !service.zones.is_empty() {
                observe(state, service, self.chosen);
            }
            if service.served_by {
                tell();
            }
        }
        Action::Continue
    }
}

fn choose(State { policy, observed, .. }: &State) -> Choice {
    let Some(cluster) = host::property(&["xds", "cluster_name"]) else { return Choice::Near };
    let Some(service) = host_of_cluster(&cluster).and_then(|host| policy.for_host(host)) else { return Choice::Near };
    let choice = observed.borrow_mut().choose(service, now);
    let zone = service.named(choice);
    if host::is_debug() {
        debug!("{}: {choice}{}", cluster.escape_ascii(), zone.unwrap_or_default());
    }
    if let Some(zone) = zone {
        let _ = set_map_value(MapType::HttpRequestHeaders, ZONE_HEADER, Some(zone));
    }
    choice
}

/// Tells who served; if Envoy answered by itself, nobody did.
fn tell() {
    if let (Some(zone), Some(address)) = (host::property(&["upstream", "locality", "zone"]), host::property(&["upstream", "address"])) {
        host::set_response_header(SERVED_BY_HEADER, &[&zone, b"/".as_slice(), &address].concat());
    }
}

fn observe(State { policy, observed, counters, .. }: &State, service: &Compiled, choice: Choice) {
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
            debug!("{} failed ({status}, attempts: {attempts})", service.named(choice).unwrap_or("the own zone"));
        }
    }
    observed.borrow_mut().observe(service, choice, outcome, now);
}

/// Milliseconds.
fn now() -> u64 {
    let since = get_current_time().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}
