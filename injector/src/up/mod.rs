//! `weir up`: the mesh of the user's manifests on this machine, with real Envoys and the data path of a cluster.
//!
//! [`outer`] is the user's process. It starts the others in namespaces of their own ([`enclose`]), and there [`runner`] turns
//! manifests into what should run ([`plan`]), compares it with what runs ([`reconcile`]), and lets each pod live ([`pod`]).

mod applied;
mod args;
mod cluster;
mod control;
mod control_plane;
mod dns;
mod enclose;
mod enter;
mod envoy;
mod gateways;
mod http;
pub mod inside;
mod leftover;
mod live;
mod network;
mod outer;
mod pause;
mod plan;
mod pod;
mod probe;
mod process;
mod programs;
pub mod protocol;
mod reconcile;
mod relay;
mod runner;
mod screen;
mod taken;
mod view;

pub mod message;
pub mod rundir;

pub use args::Args;
pub use outer::run;
