//! How soon an Envoy is back on its stream after the control plane was away.

use crate::connect::Connection;
use crate::replicas::addresses;
use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use weir_tests::cluster::{Cluster, SYSTEM};

/// So long all replicas are away: longer than any wait between two attempts.
const AWAY: Duration = Duration::from_secs(30);
/// It stays so for so long.
const STEADY: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(120);

/// Takes all replicas away and back.
pub async fn measure(cluster: &Cluster) -> Result<()> {
    let gateways: Vec<IpAddr> = addresses(cluster, "istio=ingressgateway")?;
    let gateways: Vec<SocketAddr> = gateways.into_iter().map(|ip| cluster.forward((ip, 15090).into())).collect::<Result<_>>()?;
    cluster.kubectl(&["scale", "deployment/weir", "-n", SYSTEM, "--replicas=0"])?;
    try_join_all(gateways.iter().map(|gateway| until(*gateway, false))).await?;
    sleep(AWAY).await;
    cluster.kubectl(&["scale", "deployment/weir", "-n", SYSTEM, "--replicas=2"])?;
    let asked = Instant::now();
    let back = try_join_all(gateways.iter().map(|gateway| until(*gateway, true)));
    let ready = async {
        while addresses(cluster, "app=weir")?.is_empty() {
            ensure!(asked.elapsed() < LIMIT, "no replica is back");
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(Instant::now())
    };
    let (back, ready) = tokio::try_join!(back, ready)?;
    let after: Vec<_> = back.iter().map(|at| format!("{:.1} s", at.saturating_duration_since(ready).as_secs_f64())).collect();
    println!("all replicas away for {AWAY:?}: after the first was ready the Envoys were back on their streams in {}", after.join(", "));
    cluster.kubectl(&["rollout", "status", "deployment/weir", "-n", SYSTEM, "--timeout=90s"]).map(drop)
}

/// When the Envoy is connected, or not. An attempt counts as connected until it fails, so that one look is not enough.
async fn until(gateway: SocketAddr, connected: bool) -> Result<Instant> {
    let (start, mut since) = (Instant::now(), None);
    loop {
        ensure!(start.elapsed() < LIMIT, "not seen: connected {connected}");
        if let Ok(mut connection) = Connection::plain(gateway).await
            && let Ok((_, page)) = connection.get("stats", "/stats/prometheus?filter=control_plane.connected_state").await
            && let Some(state) = page.lines().find_map(|line| line.strip_prefix("envoy_control_plane_connected_state{} "))
            && (state == "1") == connected
        {
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() > STEADY {
                return Ok(since);
            }
        } else {
            since = None;
        }
        sleep(Duration::from_millis(50)).await;
    }
}
