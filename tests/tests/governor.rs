//! A canary that fails loses its share by itself, in the Envoy that sees it.

use std::time::{Duration, Instant};
use weir_sample::load::args::numbered_users;
use weir_sample::load::{Config, Load};
use weir_tests::scenario::{canary, governor};
use weir_tests::tools::{project, wait_for};
use weir_tests::{Mesh, Up, able};

const GATEWAY: &str = "istio-ingressgateway-0.istio-system";
const SHARE: &str = "weir_canary_share.canary";
const SOON: Duration = Duration::from_secs(10);

/// What part of its users the canary may have at the gateway, in ten thousandths, if it was ever held back.
fn share(mesh: &Up) -> Option<u64> {
    let stats = mesh.admin(GATEWAY, &format!("/stats?filter={SHARE}"), false).ok()?;
    stats.lines().find_map(|line| line.rsplit_once(": ")?.1.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_half_errors_is_held_back_within_seconds_and_returns_when_it_is_mended() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    canary::step(&mesh, "1-90-10", 0.02..=0.2).await.unwrap();
    mesh.apply_text(&governor::apps(50).unwrap()).unwrap();
    let fails = async || (mesh.count(canary::URL, 200, &[]).await.ok()?.failed > 0).then_some(());
    wait_for("the canary to fail", Duration::from_secs(30), fails).await.unwrap();
    let plugin = std::fs::read_to_string(project("deploy/demos/canary/weir.yaml")).unwrap();
    mesh.apply_text(&plugin.replace("stable: stable", "stable: stable\n        governor: {}")).unwrap();
    let governed = async || mesh.admin(GATEWAY, "/config_dump", false).ok()?.contains("governor").then_some(());
    wait_for("the governor", SOON, governed).await.unwrap();

    let users = numbered_users(1_000);
    let begin = Instant::now();
    let minute = Config { duration: Some(Duration::from_secs(60)), rate: Some(100.0), users: users.clone(), ..mesh.load(canary::URL) };
    let load = Load::start(minute).unwrap();
    // Among 10,000 simulated canaries the slowest was found after 3.3 s, half of them after 1 s.
    wait_for("no share", SOON, async || (share(&mesh) == Some(0)).then_some(())).await.unwrap();
    let held_after = begin.elapsed();
    let report = load.finish().await;
    println!("held back after {:.1} s; in 60 s {} of {} requests failed", held_after.as_secs_f64(), report.failed, report.requests);
    assert!(report.failed <= 30, "{report:?}");
    assert!(report.requests > 5_000);
    let log = mesh.ask(&["logs", GATEWAY, "-c", "istio-proxy"]).unwrap();
    assert!(log.contains("canary canary of colour.canary.svc.cluster.local: held back"), "{log}");

    // Mended, it is let in again by and by.
    mesh.apply_text(&governor::apps(0).unwrap()).unwrap();
    let load =
        Load::start(Config { duration: Some(Duration::from_secs(240)), rate: Some(100.0), users, ..mesh.load(canary::URL) }).unwrap();
    wait_for("the whole share", Duration::from_secs(230), async || (share(&mesh) == Some(10_000)).then_some(())).await.unwrap();
    load.stop().await;
}

/// What part of its users the canary may have at each caller.
fn shares(mesh: &Up) -> Vec<Option<u64>> {
    let pods = mesh.pods("canary", "caller").unwrap();
    let share = |(pod, _): &(String, String)| {
        let stats = mesh.admin(pod, &format!("/stats?filter={SHARE}"), false).ok()?;
        stats.lines().find_map(|line| line.rsplit_once(": ")?.1.trim().parse().ok())
    };
    pods.iter().map(share).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_plane_holds_a_canary_back_by_what_all_proxies_saw_and_people_steer_it() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    governor::prepare(&mesh).await.unwrap();
    governor::is_held_back_in_the_whole_mesh(&mesh).await.unwrap().check();
    let verdict = async |expected: &str| {
        let is = async || (governor::status(&mesh).ok()?["verdict"] == expected).then_some(());
        wait_for(expected, SOON, is).await.unwrap();
    };
    let shown = mesh.ask(&["canary", "list", "-o", "wide"]).unwrap();
    println!("{shown}");
    let status = governor::status(&mesh).unwrap();
    assert!(status["holds"].as_u64() >= Some(1) && status["why"].as_str().unwrap().contains("it fails more often"), "{status:#}");
    assert!(status["ofCanary"]["success"].as_f64() < Some(80.0) && status["ofStable"]["success"].as_f64() == Some(100.0), "{status:#}");

    // By hand, by name, and for longer than the control plane lives.
    let refused = |args: &[&str]| String::from_utf8_lossy(&mesh.weir(args).unwrap().stderr).into_owned();
    assert!(refused(&["canary", "hold", "green"]).contains("there is no canary green; there is:\n  colour/canary -n canary"));
    mesh.ask(&["canary", "hold", governor::NAME]).unwrap();
    verdict("heldByHand").await;
    mesh.kill_control_plane().unwrap();
    verdict("heldByHand").await;
    wait_for("nobody's share", SOON, async || shares(&mesh).iter().all(|share| *share == Some(0)).then_some(())).await.unwrap();
    let calls = governor::Calls::start(&mesh, Duration::from_secs(10)).unwrap();
    let watched = mesh.ask(&["canary", "watch", "canary", "--for", "3s"]).unwrap();
    assert!(watched.lines().count() >= 3 && watched.contains("held back by hand") && watched.contains("0 % of 10 % in force"), "{watched}");
    let (requests, failed) = calls.finish().await.unwrap();
    assert!(requests > 900 && failed == 0, "{failed} of {requests}");

    // Mended and resumed, it has all of its users at once, also where a proxy held it back by itself.
    mesh.apply_text(&governor::apps(0).unwrap()).unwrap();
    let mended = async || (mesh.count(canary::URL, 400, &["/colour"]).await.ok()?.failed == 0).then_some(());
    wait_for("a canary that is mended", SOON, mended).await.unwrap();
    mesh.ask(&["canary", "resume", "canary", "-n", "canary"]).unwrap();
    verdict("open").await;
    wait_for("the whole share", SOON, async || shares(&mesh).iter().all(|share| *share == Some(10_000)).then_some(())).await.unwrap();
    let calls = governor::Calls::start(&mesh, Duration::from_secs(20)).unwrap();
    let (requests, failed) = calls.finish().await.unwrap();
    assert!(requests > 1_900 && failed == 0, "{failed} of {requests}");
    let status = governor::status(&mesh).unwrap();
    assert!(status["verdict"] == "open" && status["ofCanary"]["requests"].as_u64() > Some(50), "{status:#}");
}
