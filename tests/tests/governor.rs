//! A canary that fails loses its share by itself, in the Envoy that sees it.

use std::time::{Duration, Instant};
use weir_sample::load::args::numbered_users;
use weir_sample::load::{Config, Load};
use weir_tests::scenario::canary;
use weir_tests::tools::{project, wait_for};
use weir_tests::{Mesh, Up, able};

const GATEWAY: &str = "istio-ingressgateway-0.istio-system";
const SHARE: &str = "weir_canary_share.canary";
const SOON: Duration = Duration::from_secs(10);

/// A text of the canary demo with a change.
fn changed(file: &str, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(project("deploy/demos/canary").join(file)).unwrap();
    let changed = text.replace(from, to);
    assert_ne!(text, changed, "{file} has no {from}");
    changed
}

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
    let failing = changed("apps.yaml", "args: [colour, --colour, green]", "args: [colour, --colour, green, --errors, \"50\"]");
    mesh.apply_text(&failing).unwrap();
    let fails = async || (mesh.count(canary::URL, 200, &[]).await.ok()?.failed > 0).then_some(());
    wait_for("the canary to fail", Duration::from_secs(30), fails).await.unwrap();
    mesh.apply_text(&changed("weir.yaml", "stable: stable", "stable: stable\n        governor: {}")).unwrap();
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
    let mended = std::fs::read_to_string(project("deploy/demos/canary/apps.yaml")).unwrap();
    mesh.apply_text(&mended).unwrap();
    let load =
        Load::start(Config { duration: Some(Duration::from_secs(240)), rate: Some(100.0), users, ..mesh.load(canary::URL) }).unwrap();
    wait_for("the whole share", Duration::from_secs(230), async || (share(&mesh) == Some(10_000)).then_some(())).await.unwrap();
    load.stop().await;
}
