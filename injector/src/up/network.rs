//! The network of a run: a bridge, and for each pod a pair of virtual interfaces that joins its network namespace to it.

use anyhow::{Context, Result};
use nlink::netlink::link::{BridgeLink, LinkCreateExt, VethLink};
use nlink::{Connection, Ipv4Address, Ipv4Route, Route};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// The runner's own address: DNS, the control plane, and every pod's default route. All addresses of a run come from
/// 198.18.0.0/15, which RFC 2544 sets aside for benchmarks, so they meet no network of the user's.
pub const RUNNER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Pods are in 198.18.0.0/16.
const PREFIX: u8 = 16;
const BRIDGE: &str = "weir";

/// The bridge that joins the pods.
pub struct Network {
    connection: Connection<Route>,
    interfaces: AtomicU32,
}

impl Network {
    /// Makes the bridge in the network namespace of this process.
    pub async fn create() -> Result<Network> {
        let connection = Connection::<Route>::new()?;
        connection.set_link_up("lo").await.context("lo")?;
        connection.add_link(BridgeLink::new(BRIDGE).address(mac(RUNNER))).await.context("making a bridge")?;
        connection.add_address(Ipv4Address::new(BRIDGE, RUNNER, PREFIX)).await.context("the bridge's address")?;
        connection.set_link_up(BRIDGE).await.context("the bridge")?;
        Ok(Network { connection, interfaces: AtomicU32::new(0) })
    }

    /// Gives the network namespace of the process `pid` an interface `eth0` for the address `ip`.
    pub async fn connect(&self, ip: Ipv4Addr, pid: i32) -> Result<()> {
        let name = format!("pod{}", self.interfaces.fetch_add(1, Ordering::Relaxed));
        let pair = VethLink::new(name.as_str(), "eth0").peer_address(mac(ip)).peer_netns_pid(u32::try_from(pid)?);
        self.connection.add_link(pair.master(BRIDGE).up()).await.with_context(|| format!("making the interfaces of {ip}"))
    }
}

/// Configures the interfaces of the network namespace of this process, which [`Network::connect`] has made.
pub async fn configure_pod(ip: Ipv4Addr) -> Result<()> {
    let connection = Connection::<Route>::new()?;
    connection.set_link_up("lo").await.context("lo")?;
    connection.add_address(Ipv4Address::new("eth0", ip, PREFIX)).await.context("eth0's address")?;
    connection.set_link_up("eth0").await.context("eth0")?;
    // ClusterIPs need a route, although nftables redirects them: without one connect() fails before a packet exists.
    connection.add_route(Ipv4Route::default_route().gateway(RUNNER)).await.context("default route")
}

/// An interface address derived from the IP address, so that a pod which returns with its address is found by its
/// neighbours at once, whose ARP entries would be wrong for seconds otherwise.
fn mac(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x02, 0x00, a, b, c, d]
}
