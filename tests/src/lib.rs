//! A real mesh under `weir up`, and what is measured on it: shared by the end-to-end tests and by `make demo`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "all of this crate is test code")]

pub mod able;
pub mod bench;
pub mod figure;
pub mod lone_envoy;
pub mod scenario;
pub mod tools;
pub mod traces;
pub mod up;

pub use figure::Figure;
pub use up::Up;
