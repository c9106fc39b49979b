//! What the objects mean: YAML in, Envoy's resources out, one file per kind of resource.
//! The numbers in the tests' comments are those of the list of Istio's meanings that each test holds to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "what the tests share may fail them")]

mod support;

mod actions;
mod analysis;
mod clusters;
mod endpoints;
mod filters;
mod gateways;
mod governors;
mod inject;
mod listeners;
mod passports;
mod plugins;
mod policies;
mod properties;
mod routes;
