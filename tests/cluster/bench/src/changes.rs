//! How soon a change is served on every node, and what many changes leave behind.

use crate::connect::Connection;
use crate::replicas::{self, Replica};
use crate::spread;
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use weir_tests::cluster::Cluster;

const HOST: &str = "changes.example";
/// The gateway's port in the pod.
const PORT: u16 = 8080;
/// Changes that are asked for at once.
const AT_ONCE: usize = 4;

/// The route that changes: it answers with a number.
fn routes(client: &Client) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService"));
    Api::namespaced_with(client.clone(), "default", &resource)
}

async fn change(routes: &Api<DynamicObject>, number: usize) -> Result<()> {
    let http = json!([{"directResponse": {"status": 200, "body": {"string": number.to_string()}}}]);
    let patch = Patch::Merge(json!({"spec": {"http": http}}));
    routes.patch("changes", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Times changes, from the API server's answer to the first request on the last of the nodes that is served by it.
pub async fn timed(cluster: &Cluster, client: &Client, count: usize) -> Result<()> {
    cluster.apply_text(&format!(
        r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: changes, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{HOST}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: changes, namespace: default}}
spec: {{hosts: [{HOST}], gateways: [changes], http: [{{directResponse: {{status: 200, body: {{string: "0"}}}}}}]}}
"#
    ))?;
    let gateways = replicas::addresses(cluster, "istio=ingressgateway")?;
    ensure!(gateways.len() == 3, "{gateways:?}");
    let gateways: Vec<SocketAddr> = gateways.into_iter().map(|ip| cluster.forward((ip, PORT).into())).collect::<Result<_>>()?;
    let (routes, mut times) = (routes(client), Vec::new());
    for number in 0..count {
        change(&routes, number).await?;
        let start = Instant::now();
        try_join_all(gateways.iter().map(|gateway| served(*gateway, number))).await?;
        // The first makes the listener too.
        times.extend((number > 0).then(|| start.elapsed()));
    }
    println!("a change, until it is served on all three nodes: {}", spread(&mut times));
    Ok(())
}

/// Waits until a gateway serves that change.
async fn served(gateway: SocketAddr, number: usize) -> Result<()> {
    let start = Instant::now();
    let mut connection = None;
    loop {
        ensure!(start.elapsed() < Duration::from_secs(30), "change {number} is not served");
        let ready = match connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::plain(gateway).await,
        };
        if let Ok(mut ready) = ready
            && let Ok((status, body)) = ready.get(HOST, "/").await
        {
            if status == 200 && body == number.to_string() {
                return Ok(());
            }
            connection = Some(ready);
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Makes many changes and prints the memory between them.
pub async fn many(client: &Client, replicas: &[Replica], count: usize) -> Result<()> {
    let routes = routes(client);
    let (start, part) = (Instant::now(), count.div_ceil(10).max(1));
    let mut done = 0;
    while done < count {
        let end = count.min(done + part);
        let changes = futures_util::stream::iter(done..end).map(|number| change(&routes, number)).buffer_unordered(AT_ONCE);
        changes.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>>>().context("a change")?;
        done = end;
        println!("after {done} changes, {:.0} s: {}", start.elapsed().as_secs_f64(), replicas::memory(replicas).await?);
    }
    Ok(())
}
