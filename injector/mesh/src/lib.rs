//! Istio and Kubernetes objects in, Envoy resources out: pure functions, without I/O, clock, randomness or logging.
//!
//! [`object::read`] turns files into [`object::Object`]s, [`object::Objects`] keeps the last good state of each,
//! [`mesh::build`] says what the user meant, and [`snapshot::build`] what one Envoy is told. Every step reports what is
//! wrong as [`finding::Finding`]s and goes on with the rest.

pub mod bootstrap;
pub mod finding;
pub mod inject;
pub mod mesh;
pub mod node;
pub mod object;
pub mod redirect;
pub mod snapshot;
mod xds;
