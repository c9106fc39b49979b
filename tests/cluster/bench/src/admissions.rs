//! What an admission costs, asked over HTTPS as the API server does.

use crate::connect::{Connection, tls, tls_stream};
use crate::replicas::{NAME, Replica};
use crate::spread;
use anyhow::{Result, ensure};
use hyper::Request;
use hyper::body::Bytes;
use serde_json::json;
use std::time::{Duration, Instant};
use weir_tests::cluster::Cluster;

/// So many are asked one after the other for the CPU time, and at a rate for the latency.
const COUNT: u32 = 2000;
/// A second.
const RATE: u32 = 50;

/// Measures at one replica.
pub async fn measure(cluster: &Cluster, replica: &Replica) -> Result<()> {
    let mut connection = Connection::new(tls_stream(&tls(cluster, &["http/1.1"])?, replica.webhook).await?).await?;
    for _ in 0..100 {
        ask(&mut connection).await?;
    }
    let before = replica.metric("process_cpu_seconds_total").await?;
    for _ in 0..COUNT {
        ask(&mut connection).await?;
    }
    let spent = replica.metric("process_cpu_seconds_total").await? - before;
    println!("an admission: {:.2} ms of CPU", spent * 1000.0 / f64::from(COUNT));

    let (start, mut times) = (Instant::now(), Vec::new());
    for number in 0..COUNT / 2 {
        let due = start + Duration::from_secs(1) / RATE * number;
        tokio::time::sleep_until(due.into()).await;
        ask(&mut connection).await?;
        times.push(due.elapsed());
    }
    println!("admissions at {RATE}/s: {}", spread(&mut times));
    Ok(())
}

async fn ask(connection: &mut Connection) -> Result<()> {
    let container = json!({"name": "app", "image": "example/app:1", "ports": [{"containerPort": 8080}],
        "env": [{"name": "A", "value": "b"}], "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}}, "livenessProbe": {"tcpSocket": {"port": 8080}}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "app-6f9c-", "namespace": "shop", "labels": {"app": "app", "version": "v1"}},
        "spec": {"serviceAccountName": "app", "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]},
    });
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "namespace": "shop", "operation": "CREATE", "object": pod}});
    let request = Request::post("/inject").header("host", NAME).header("content-type", "application/json");
    let (status, body) = connection.ask(request, Bytes::from(review.to_string())).await?;
    let answer: serde_json::Value = serde_json::from_slice(&body)?;
    ensure!(status == 200 && answer["response"]["patch"].is_string(), "{status} {answer}");
    Ok(())
}
