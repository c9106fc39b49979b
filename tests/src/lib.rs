//! A real mesh under `weir up`, and what is measured on it: shared by the end-to-end tests and by `make demo`.

pub mod able;
pub mod bench;
pub mod cluster;
pub mod figure;
pub mod lone_envoy;
pub mod scenario;
pub mod tools;
pub mod traces;
pub mod up;

pub use figure::Figure;
pub use up::Up;
