//! The server with a real Envoy: the rules of [`super::stream`] follow its behaviour, and here it is asked.

mod bench;
mod modules;
mod plan;

use super::status::{Rejection, State};
use bench::{Bench, until};
use plan::{ApiType, denying, extension, invalid, passing};
use std::time::{Duration, Instant};

/// So soon after a change of the world the Envoy uses it.
const SOON: Duration = Duration::from_secs(2);

async fn clusters_come_and_go_under_load(protocol: ApiType) {
    let mut bench = Bench::start(protocol, |_| {}).await;
    bench.answers(200).await;
    let load = bench.load().await;
    for round in 1..=10 {
        let name = format!("c{round}");
        bench.change(|plan| (plan.clusters, plan.route) = (vec![(name.clone(), 1)], name.clone()));
        until(&name, async || bench.clusters().await.filter(|clusters| *clusters == [name.clone()])).await;
        load.more(20).await;
    }
    for timeout in 2..=6 {
        let start = Instant::now();
        bench.change(|plan| plan.clusters = vec![("c10".into(), timeout)]);
        let config = format!("\"connect_timeout\": \"{timeout}s\"");
        until(&config, async || bench.admin("/config_dump?resource=dynamic_active_clusters").await.filter(|it| it.contains(&config))).await;
        assert!(start.elapsed() < SOON, "the changed cluster warmed for {:?}", start.elapsed());
        load.more(20).await;
    }
    assert_eq!(load.failures().await, [] as [&str; 0]);
}

#[tokio::test]
async fn clusters_come_change_and_go_under_load_without_a_failed_request() {
    clusters_come_and_go_under_load(ApiType::DeltaGrpc).await;
}

#[tokio::test]
async fn clusters_come_change_and_go_in_the_state_of_the_world_too() {
    clusters_come_and_go_under_load(ApiType::Grpc).await;
}

#[tokio::test]
async fn a_control_plane_that_is_killed_comes_back_with_what_changed_meanwhile() {
    let mut bench = Bench::start(ApiType::DeltaGrpc, |_| {}).await;
    bench.answers(200).await;
    let load = bench.load().await;
    for round in 1..=3 {
        let address = bench.stop_server().unwrap();
        let name = format!("c{round}");
        bench.change(|plan| (plan.clusters, plan.route) = (vec![(name.clone(), 1)], name.clone()));
        load.more(100).await;
        bench.start_server(address).await;
        until(&name, async || bench.clusters().await.filter(|clusters| *clusters == [name.clone()])).await;
    }
    assert_eq!(load.failures().await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_rejected_cluster_stops_no_other_and_is_named_with_the_reason() {
    let mut bench = Bench::start(ApiType::DeltaGrpc, |_| {}).await;
    bench.answers(200).await;
    bench.change(|plan| plan.clusters = vec![("c0".into(), 1), ("bad".into(), 0), ("good".into(), 1)]);
    until("the good one", async || bench.clusters().await.filter(|clusters| *clusters == ["c0", "good"])).await;
    let status = bench.stands("CDS", State::Nacked).await;
    let found: Vec<_> = status.rejected.iter().map(|Rejection { name, objects, .. }| (name.as_str(), objects.clone())).collect();
    assert_eq!(found, [("bad", vec!["Test bad".to_string()])]);
    assert!(status.rejected[0].reason.contains("ConnectTimeout"), "{status:?}");
    bench.change(|plan| plan.clusters[1].1 = 1);
    bench.stands("CDS", State::Synced).await;
}

#[tokio::test]
async fn a_filter_that_does_not_exist_or_is_rejected_leaves_what_was_in_force() {
    let mut bench = Bench::start(ApiType::DeltaGrpc, |plan| plan.filters = vec![("f", None)]).await;
    // The listener waits the filter's timeout of 5 s, then the default serves.
    bench.answers(200).await;
    bench.change(|plan| plan.filters[0].1 = Some(extension("f", denying())));
    bench.answers(403).await;
    bench.change(|plan| plan.filters[0].1 = Some(extension("f", invalid())));
    let status = bench.stands("ECDS", State::Nacked).await;
    assert_eq!(status.rejected.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["f"]);
    assert_eq!(bench.get(&bench.url().await).await.unwrap().0, 403);
    bench.change(|plan| plan.filters[0].1 = Some(extension("f", passing())));
    bench.answers(200).await;
    bench.stands("ECDS", State::Synced).await;
    bench.change(|plan| plan.filters[0].1 = Some(extension("f", denying())));
    bench.answers(403).await;
    bench.change(|plan| plan.filters[0].1 = None);
    bench.answers(200).await;
}

#[tokio::test]
async fn a_route_that_does_not_exist_keeps_a_listener_from_its_start_for_the_timeout_only() {
    let mut bench = Bench::start(ApiType::DeltaGrpc, |plan| plan.route = String::new()).await;
    bench.answers(404).await;
    bench.change(|plan| plan.route = "c0".into());
    bench.answers(200).await;
}
