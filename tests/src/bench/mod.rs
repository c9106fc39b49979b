//! What Weir costs per request: the CPU time of real Envoys that `weir serve` configures, side by side.

pub mod manifests;
pub mod processes;
pub mod statistics;
pub mod traffic;
