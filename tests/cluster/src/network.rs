//! The cluster's network: a bridge, the control plane at its first address, a node at each of the next, and a range of pods behind each.

use crate::command::line;
use anyhow::Result;
use std::net::Ipv4Addr;

/// The control plane.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Cluster addresses of Services.
pub const SERVICES: &str = "198.19.0.0/16";
/// The cluster address of DNS.
pub const DNS: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 10);
/// All pods.
pub const PODS: &str = "198.18.128.0/17";

/// A node's own address.
pub fn node(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, 10 + index)
}

/// The addresses of a node's pods.
pub fn pods(index: u8) -> String {
    format!("198.18.{}.0/24", 128 + index)
}

/// Makes the bridge, in the machine's own network namespace.
pub fn create() -> Result<()> {
    line("ip link set lo up")?;
    line("ip link add cluster type bridge")?;
    line(&format!("ip address add {CONTROL_PLANE}/24 dev cluster"))?;
    line("ip link set cluster up")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    Ok(())
}

/// Joins a network namespace for a node; `others` are its fellows' indices.
pub fn join(name: &str, index: u8, others: impl Iterator<Item = u8>) -> Result<()> {
    let address = node(index);
    line(&format!("ip netns add {name}"))?;
    line(&format!("ip link add {name} type veth peer name eth0 netns {name}"))?;
    line(&format!("ip link set {name} master cluster up"))?;
    line(&format!("ip -n {name} link set lo up"))?;
    line(&format!("ip -n {name} address add {address}/24 dev eth0"))?;
    line(&format!("ip -n {name} link set eth0 up"))?;
    line(&format!("ip -n {name} route add default via {CONTROL_PLANE}"))?;
    line(&format!("ip route add {} via {address}", pods(index)))?;
    for other in others {
        line(&format!("ip -n {name} route add {} via {}", pods(other), node(other)))?;
    }
    line(&format!("nsenter --net=/run/netns/{name} sysctl -qw net.ipv4.ip_forward=1")).map(drop)
}
