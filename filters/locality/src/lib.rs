//! The locality filter: lets weir-policy choose the zone, names it in a header, and shows it what became of the request.
//!
//! Whatever is missing here leaves the request to Envoy's priorities by locality.

mod answer;
mod counter;

use answer::Answer;
use counter::{COUNTERS, Counter};
use log::{debug, error};
use proxy_wasm::hostcalls::{get_current_time, set_map_value};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MapType};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::UNIX_EPOCH;
use weir_policy::locality::{Choice, Observed, Policy};
use weir_policy::{ZONE_HEADER, host_of_cluster};
use weir_shell::{Counters, TICK, is_debug, learn_log_level, property};

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
}

struct Plugin(Option<Rc<State>>);

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _: usize) -> bool {
        match Policy::parse(&self.get_plugin_configuration().unwrap_or_default()) {
            Ok(policy) => {
                let (observes, tells) = (policy.observes(), policy.tells());
                let observed = RefCell::new(Observed::new(&policy));
                self.0 = Some(Rc::new(State { policy, observes, tells, observed }));
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
            if !state.observed.borrow().is_calm() || is_debug() {
                self.chosen = choose(state);
            }
            Counter::from(self.chosen).count();
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(state) = self.state.as_deref() else { return Action::Continue };
        let looks = state.observes && (self.chosen != Choice::Near || state.observed.borrow_mut().looks(now));
        let answer = looks.then(Answer::read).filter(|answer| self.chosen != Choice::Near || !answer.is_as_ever(state));
        if (answer.is_some() || state.tells)
            && let Some(cluster) = property(&["xds", "cluster_name"])
            && let Some(service) = host_of_cluster(&cluster).and_then(|host| state.policy.for_host(host))
        {
            if let Some(answer) = answer.filter(|_| !service.zones.is_empty()) {
                answer.observe(state, service, self.chosen);
            }
            if service.served_by {
                answer::tell();
            }
        }
        Action::Continue
    }
}

fn choose(State { policy, observed, .. }: &State) -> Choice {
    let Some(cluster) = property(&["xds", "cluster_name"]) else { return Choice::Near };
    let Some(service) = host_of_cluster(&cluster).and_then(|host| policy.for_host(host)) else { return Choice::Near };
    let choice = observed.borrow_mut().choose(service, now);
    let zone = service.named(choice);
    if is_debug() {
        debug!("{}: {choice}{}", cluster.escape_ascii(), zone.unwrap_or_default());
    }
    if let Some(zone) = zone {
        let _ = set_map_value(MapType::HttpRequestHeaders, ZONE_HEADER, Some(zone));
    }
    choice
}

/// Milliseconds.
fn now() -> u64 {
    let since = get_current_time().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}
