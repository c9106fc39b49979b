//! Names that the injected pod and the parts that read it agree on.

/// The proxy's container; Istio's name, so that what users know of Istio works.
pub const PROXY: &str = "istio-proxy";
/// The init container that writes the proxy's files and redirects the pod's traffic.
pub const INIT: &str = "weir-init";
/// The volume that the init container writes and the proxy reads.
pub const PROXY_VOLUME: &str = "weir-proxy";
/// The volume of the token that proves who the proxy is.
pub const TOKEN_VOLUME: &str = "weir-token";
/// The volume of a bootstrap's override.
pub const OVERRIDE_VOLUME: &str = "weir-bootstrap-override";
/// Who the proxy runs as: what this user sends is not redirected.
pub const PROXY_UID: u64 = 1337;

/// Containers of a pod, as a JSON pointer.
pub(super) const CONTAINERS: &str = "/spec/containers";
/// Init containers of a pod, as a JSON pointer.
pub(super) const INIT_CONTAINERS: &str = "/spec/initContainers";
