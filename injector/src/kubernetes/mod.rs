//! A Kubernetes cluster as the source of the mesh's objects, and as the place where its proxies run.

pub mod access;
pub mod authority;
pub mod canaries;
pub mod follow;
pub mod forward;
pub mod kinds;
pub mod lease;
pub mod list;
pub mod passports;
pub mod proxied;
pub mod replicas;
pub mod status;
pub mod tokens;
pub mod trust;
pub mod watch;
