//! The Aggregated Discovery Service: tells every Envoy its snapshot, and only what changed of it.
//!
//! [`stream`] is the protocol's core, one state machine for a stream, without I/O; [`delta`] and [`sotw`] translate the two variants of the
//! protocol to it; [`service`] drives streams with what [`crate::world`] tells.

pub mod delta;
pub mod http;
pub mod nodes;
pub mod service;
pub mod sotw;
pub mod status;
pub mod stream;
pub mod subscription;

#[cfg(test)]
mod envoy_tests;
#[cfg(test)]
mod tests;
