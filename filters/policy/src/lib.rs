//! The decisions of Weir's filters: policy JSON in, decision out.
//!
//! Nothing here does I/O, reads a clock or draws a random number, so the filters, the control plane and the CLI all
//! decide with the same code. A policy is parsed and validated once; deciding allocates nothing.

#![forbid(unsafe_code)]

mod baggage;
mod bytes;
mod check;
mod cookie;
mod error;
mod host;
mod json;
mod query;

pub mod canary;
pub mod locality;

pub use error::Error;
pub use host::{destination_of_cluster, of_cluster as host_of_cluster};

/// The request header with the user's bucket, a decimal number below [`canary::BUCKETS`]; the weighted route of the
/// service reads it (`weighted_clusters.header_name`).
pub const BUCKET_HEADER: &str = "x-weir-bucket";
/// The request header with the subset that an override chose; a header route in front of the weighted one reads it.
pub const SUBSET_HEADER: &str = "x-weir-subset";
/// The value of [`SUBSET_HEADER`] for whatever subset is the stable; no subset or host begins so.
pub const STABLE: &str = ".stable";
/// In front of a subset's name, as a value of [`SUBSET_HEADER`]: by the weights, with the stable in that subset's place.
pub const WITHOUT: &str = "!";
/// What a filter leaves for Envoy's own header formatter: a `set-cookie` for the answer. Its place is the request's filter state, under
/// this name with `wasm.` in front.
pub const COOKIE_STATE: &str = "weir_set_cookie";
/// The request header with the zone to go to, `REGION/ZONE`; `header_to_metadata` turns it into `envoy.lb` metadata.
pub const ZONE_HEADER: &str = "x-weir-zone";
/// The response header that tells who served, `ZONE/ADDRESS`.
pub const SERVED_BY_HEADER: &str = "x-weir-served-by";
/// Where a filter tells the control plane what governors saw ([`canary::governor::Record`]), by a POST.
pub const REPORT_PATH: &str = "/canary/report";
/// The header of such a report that names the Envoy's node.
pub const NODE_HEADER: &str = "x-weir-node";
