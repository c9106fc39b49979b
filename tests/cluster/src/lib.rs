//! A real Kubernetes cluster on one machine, for tests: etcd, API server, controllers, scheduler, CoreDNS, and three nodes, each with
//! its kubelet, containerd and kube-proxy in a network namespace of its own, and in a zone of its own.
//!
//! All of it lives in one set of namespaces ([`machine`]) and one folder: when the first process of the PID namespace ends, every
//! process, mount and network ends with it. The host sees the API server on a port of its loopback, through a relay. Nothing is fixed
//! on the host, so several clusters can run side by side, each with the same addresses inside (198.18.0.0/15).

pub mod command;
pub mod control_plane;
pub mod dir;
pub mod image;
pub mod images;
pub mod machine;
pub mod needs;
pub mod network;
pub mod node;
pub mod pki;
pub mod programs;
pub mod relay;
pub mod run;
pub mod supervise;
