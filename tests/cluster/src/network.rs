//! The cluster's network: a bridge, the control plane at its first address, a node at each of the next, and a range of pods behind each.
//! Of IPv4 and, where the machine has it, of IPv6: the ranges that are set apart for tests (RFC 2544, RFC 5180).

use crate::command::line;
use anyhow::Result;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The control plane.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The way out of a node by IPv6.
const CONTROL_PLANE6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1);
/// The cluster address of DNS.
pub const DNS: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 10);
/// Cluster addresses of Services.
const SERVICES: [&str; 2] = ["198.19.0.0/16", "2001:2:0:1::/112"];
/// All pods.
const PODS: [&str; 2] = ["198.18.128.0/17", "2001:2:0:8000::/49"];
/// Where Linux has IPv6.
const IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";

/// Cluster addresses of Services, of each family, as Kubernetes takes them.
pub fn services() -> String {
    families(SERVICES).join(",")
}

/// All pods' addresses, of each family.
pub fn all_pods() -> String {
    families(PODS).join(",")
}

/// A node's own address.
pub fn node(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, 10 + index)
}

/// A node's own addresses, of each family.
pub fn node_addresses(index: u8) -> String {
    families([node(index).to_string(), node6(index).to_string()]).join(",")
}

fn node6(index: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 10 + u16::from(index))
}

/// The addresses of a node's pods, of each family.
pub fn pods(index: u8) -> Vec<String> {
    families([format!("198.18.{}.0/24", 128 + index), format!("2001:2:0:{:x}::/64", 0x8000 + u16::from(index))])
}

/// What there is of IPv4 and of IPv6, if the machine has that.
fn families<T>(both: [T; 2]) -> Vec<T> {
    both.into_iter().take(if has_ipv6() { 2 } else { 1 }).collect()
}

/// Whether the machine has IPv6.
fn has_ipv6() -> bool {
    Path::new(IPV6).exists()
}

/// Makes the bridge, in the machine's own network namespace.
pub fn create() -> Result<()> {
    line("ip link set lo up")?;
    line("ip link add cluster type bridge")?;
    line(&format!("ip address add {CONTROL_PLANE}/24 dev cluster"))?;
    line("ip link set cluster up")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    if has_ipv6() {
        line(&format!("ip address add {CONTROL_PLANE6}/64 dev cluster nodad"))?;
        std::fs::write(IPV6, "1")?;
    }
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
    let own_sysctl = |setting: &str| line(&format!("nsenter --net=/run/netns/{name} sysctl -qw {setting}"));
    own_sysctl("net.ipv4.ip_forward=1")?;
    if has_ipv6() {
        line(&format!("ip -n {name} address add {}/64 dev eth0 nodad", node6(index)))?;
        own_sysctl("net.ipv6.conf.all.forwarding=1")?;
        line(&format!("ip -n {name} route add default via {CONTROL_PLANE6}"))?;
    }
    let via = |index: u8| pods(index).into_iter().zip([node(index).to_string(), node6(index).to_string()]);
    for (pods, node) in via(index) {
        line(&format!("ip route add {pods} via {node}"))?;
    }
    for (pods, node) in others.flat_map(via) {
        line(&format!("ip -n {name} route add {pods} via {node}"))?;
    }
    Ok(())
}
