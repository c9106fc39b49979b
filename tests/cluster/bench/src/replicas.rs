//! The replicas of the control plane, and what they tell of themselves.

use crate::connect::Connection;
use anyhow::{Context, Result};
use std::net::{IpAddr, SocketAddr};
use weir_tests::cluster::{Cluster, SYSTEM, is_ready};

/// The name by which all know the control plane.
pub const NAME: &str = "weir.weir-system.svc";

/// One of them, by addresses of this machine that lead there.
pub struct Replica {
    /// For the API server.
    pub webhook: SocketAddr,
    /// For proxies.
    pub proxies: SocketAddr,
    monitoring: SocketAddr,
}

impl Replica {
    /// Those that are ready.
    pub fn all(cluster: &Cluster) -> Result<Vec<Replica>> {
        let address = |ip: IpAddr, port| cluster.forward((ip, port).into());
        let replica = |ip| Ok(Replica { webhook: address(ip, 15017)?, proxies: address(ip, 15012)?, monitoring: address(ip, 15014)? });
        addresses(cluster, "app=weir")?.into_iter().map(replica).collect()
    }

    /// One of its metrics.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let (_, page) = Connection::plain(self.monitoring).await?.get("metrics", "/metrics").await?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("{name} in {page}"))
    }
}

/// The pods of Weir's that have a label and are ready.
pub fn addresses(cluster: &Cluster, label: &str) -> Result<Vec<IpAddr>> {
    let pods = cluster.get(&["pods", "-n", SYSTEM, "-l", label])?;
    let ready =
        pods["items"].as_array().into_iter().flatten().filter(|pod| is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null());
    ready.map(|pod| Ok(pod["status"]["podIP"].as_str().context("an address")?.parse()?)).collect()
}

/// The memory of each, for people.
pub async fn memory(replicas: &[Replica]) -> Result<String> {
    let mut each = Vec::new();
    for replica in replicas {
        each.push(format!("{:.0} MB", replica.metric("process_resident_memory_bytes").await? / 1e6));
    }
    Ok(format!("memory of the replicas {}", each.join(", ")))
}
