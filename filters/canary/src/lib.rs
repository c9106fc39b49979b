//! The canary filter: reads the request, lets weir-policy decide, sets headers.
//!
//! Whatever is missing here leaves the request to the route's own weights.

mod governed;
mod reports;

use governed::Governed;
use weir_policy::canary::{Compiled, Decision, Input, Policy, Seen};
use weir_policy::{BUCKET_HEADER, COOKIE_STATE, STABLE, SUBSET_HEADER, host_of_cluster};
use weir_shell::{
    Filter, Headers, Level, count, header, headers_joined, is_debug, log, now, property, random, remove_header, set_header, set_state,
};

weir_shell::filter!(Canary: on_request_headers, on_log);

const BUCKET: &str = "weir_canary_bucket";
const OVERRIDE: &str = "weir_canary_override";
/// The request is denied, or not allowed, a canary.
const STABLE_ONLY: &str = "weir_canary_stable_only";
const MINTED: &str = "weir_canary_minted";
/// Who may not have a canary that is held back.
const HELD: &str = "weir_canary_held";
const NO_KEY: &str = "weir_canary_no_key";
/// The route leads to no service with a canary.
const NO_POLICY: &str = "weir_canary_no_policy";
const PASSPORT_MADE: &str = "weir_canary_passport_made";
const PASSPORT_VALID: &str = "weir_canary_passport_valid";
const PASSPORT_FALSE: &str = "weir_canary_passport_false";

const BAGGAGE: &str = "baggage";

/// One configuration of the filter, and what compares the versions.
#[derive(Debug)]
pub struct Canary {
    policy: Policy,
    governed: Governed,
}

impl Filter for Canary {
    const COUNTERS: &'static [&'static str] =
        &[BUCKET, OVERRIDE, STABLE_ONLY, HELD, MINTED, NO_KEY, NO_POLICY, PASSPORT_MADE, PASSPORT_VALID, PASSPORT_FALSE];

    /// Workers tell each other so often what they saw.
    const TICK: u32 = 100;

    fn new(json: &[u8]) -> Result<Self, String> {
        let policy = Policy::parse(json).map_err(|error| error.to_string())?;
        Ok(Self { governed: Governed::new(&policy), policy })
    }

    fn on_tick(&self) {
        self.governed.tick(&self.policy);
    }

    fn on_log(&self, request: u32) {
        if let Some(bucket) = self.governed.asked(request)
            && let Some(cluster) = cluster()
            && let Some(canary) = self.policy.for_host(host_of_cluster(&cluster).unwrap_or_default())
        {
            self.governed.answered(canary, &cluster, bucket);
        }
    }

    fn on_request_headers(&self, request: u32) {
        #[cfg(feature = "panic")]
        #[allow(clippy::panic, reason = "the build with this feature exists to panic")]
        if read(Input::Header("x-test-panic")).is_some() {
            panic!("asked to by x-test-panic");
        }
        let canary = self.policy.only().or_else(|| self.policy.for_host(host_of_cluster(&cluster()?)?));
        let verdict = self.policy.decide(canary, read, dated);
        match canary.zip(verdict.decision) {
            Some((canary, decision)) => self.apply(canary, decision, request),
            None => count(NO_POLICY),
        }
        if let Some(seen) = verdict.passport {
            count(match seen {
                Seen::Made => PASSPORT_MADE,
                Seen::Valid => PASSPORT_VALID,
                Seen::False => PASSPORT_FALSE,
            });
        }
        if let Some(cookie) = verdict.cookie {
            set_state(COOKIE_STATE, cookie.as_bytes());
            count(MINTED);
        }
        match verdict.baggage.as_deref() {
            None => {}
            Some([]) => remove_header(Headers::Request, BAGGAGE),
            Some(baggage) => set_header(Headers::Request, BAGGAGE, baggage),
        }
    }
}

/// A number that nobody can guess but for its first part, the time.
fn dated() -> Option<u128> {
    Some((u128::from(now() / 1_000) << 96) | (random()? >> 32))
}

fn cluster() -> Option<Box<[u8]>> {
    property("xds\0cluster_name")
}

impl Canary {
    fn apply(&self, canary: &Compiled, decision: Decision<'_>, request: u32) {
        if is_debug() {
            log(Level::Debug, &format!("{}: {decision}", cluster().unwrap_or_default().escape_ascii()));
        }
        match decision {
            Decision::Override { subset, .. } => set_subset(subset.as_bytes(), OVERRIDE),
            Decision::Forced(subset) => set_subset(subset.as_bytes(), OVERRIDE),
            Decision::Stable => set_subset(STABLE.as_bytes(), STABLE_ONLY),
            Decision::Bucket { bucket, since, .. } => {
                set_header(Headers::Request, BUCKET_HEADER, bucket.to_string().as_bytes());
                count(BUCKET);
                self.governed.ask(canary, request, Some(bucket), since);
            }
            Decision::NoKey => {
                count(NO_KEY);
                self.governed.ask(canary, request, None, None);
            }
        }
    }
}

fn set_subset(subset: &[u8], counter: &'static str) {
    set_header(Headers::Request, SUBSET_HEADER, subset);
    count(counter);
}

fn read(input: Input<'_>) -> Option<Box<[u8]>> {
    match input {
        Input::Header(name) => header(Headers::Request, name),
        Input::Joined(name) => property(&["request\0headers\0", name].concat()),
        Input::Cookies => headers_joined(Headers::Request, "cookie", b";"),
        Input::Attribute(path) => property(path),
        Input::SourceAddress => property("source\0address"),
    }
}
