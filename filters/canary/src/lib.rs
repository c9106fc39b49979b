//! The canary filter: reads the request, lets weir-policy decide, sets a header.
//!
//! Whatever is missing here leaves the request to the route's own weights.

use weir_policy::canary::{Compiled, Decision, Input, Minted, Policy};
use weir_policy::{BUCKET_HEADER, COOKIE_STATE, SUBSET_HEADER, host_of_cluster};
use weir_shell::{Filter, Headers, Level, count, header, headers_joined, is_debug, log, property, random, set_header, set_state};

weir_shell::filter!(Canary: on_request_headers);

const BUCKET: &str = "weir_canary_bucket";
const OVERRIDE: &str = "weir_canary_override";
const MINTED: &str = "weir_canary_minted";
const NO_KEY: &str = "weir_canary_no_key";
/// The route leads to no service with a canary.
const NO_POLICY: &str = "weir_canary_no_policy";

/// One configuration of the filter.
#[derive(Debug)]
pub struct Canary(Policy);

impl Filter for Canary {
    const COUNTERS: &'static [&'static str] = &[BUCKET, OVERRIDE, MINTED, NO_KEY, NO_POLICY];

    fn new(json: &[u8]) -> Result<Self, String> {
        Policy::parse(json).map(Self).map_err(|error| error.to_string())
    }

    fn on_request_headers(&self, _: u32) {
        #[cfg(feature = "panic")]
        #[allow(clippy::panic, reason = "the build with this feature exists to panic")]
        if read(Input::Header("x-test-panic")).is_some() {
            panic!("asked to by x-test-panic");
        }
        match self.0.only().or_else(|| of_cluster(&self.0)) {
            Some(canary) => apply(canary, canary.decide(read)),
            None => count(NO_POLICY),
        }
    }
}

/// The canary of the service that the route leads to.
fn of_cluster(policy: &Policy) -> Option<&Compiled> {
    policy.for_host(host_of_cluster(&cluster()?)?)
}

fn cluster() -> Option<Box<[u8]>> {
    property("xds\0cluster_name")
}

fn apply(canary: &Compiled, decision: Decision<'_>) {
    if is_debug() {
        log(Level::Debug, &format!("{}: {decision}", cluster().unwrap_or_default().escape_ascii()));
    }
    match decision {
        Decision::Override { subset, .. } => {
            set_header(Headers::Request, SUBSET_HEADER, subset.as_bytes());
            count(OVERRIDE);
        }
        Decision::Bucket { bucket, .. } => {
            set_bucket(bucket);
            count(BUCKET);
        }
        Decision::Mint => match random().and_then(|random| canary.mint(random)) {
            Some(Minted { bucket, cookie }) => {
                set_bucket(bucket);
                set_state(COOKIE_STATE, cookie.as_bytes());
                count(MINTED);
            }
            None => count(NO_KEY),
        },
        Decision::NoKey => count(NO_KEY),
    }
}

fn set_bucket(bucket: u16) {
    set_header(Headers::Request, BUCKET_HEADER, bucket.to_string().as_bytes());
}

fn read(input: Input<'_>) -> Option<Box<[u8]>> {
    match input {
        Input::Header(name) => header(Headers::Request, name),
        Input::Cookies => headers_joined(Headers::Request, "cookie", b";"),
        Input::Attribute(path) => property(path),
        Input::SourceAddress => property("source\0address"),
    }
}
