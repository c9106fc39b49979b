//! The load generator's counting, against servers on loopback.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_sample::app::Role;
use weir_sample::load::{self, Config, Failure, Load};
use weir_sample::server::Server;

use crate::{identity, nowhere, start, url};

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn users(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn stand_in() -> Server {
    start(Role::StandIn, identity("shop-1", "v1", "a")).await
}

#[tokio::test]
async fn counts_answers_by_status_and_by_what_pointers_find() {
    let server = stand_in().await;
    let by = vec!["/zone".to_owned(), "/version".to_owned()];

    let report = load::run(Config { requests: Some(50), by, ..Config::new(url(&server, "/")) }).await.unwrap();

    assert_eq!((report.requests, report.failed), (50, 0));
    assert_eq!(report.statuses, counts(&[("200", 50)]));
    assert_eq!(report.values, counts(&[("a v1", 50)]));
    assert_eq!((report.failures, report.users, report.timeline), (vec![], None, vec![]));
    assert!(report.latency.p50_ms > 0.0 && report.latency.p50_ms <= report.latency.max_ms);
}

#[tokio::test]
async fn counts_failures_with_their_reasons() {
    let server = start(Role::Details, identity("", "", "")).await;
    let report = load::run(Config { requests: Some(7), ..Config::new(url(&server, "/nothing")) }).await.unwrap();
    assert_eq!((report.failed, report.statuses), (7, counts(&[("404", 7)])));
    let first_at_ms = report.failures[0].first_at_ms;
    assert_eq!(report.failures, [Failure { reason: "404 not found".into(), count: 7, first_at_ms }]);

    let (_kept, nowhere) = nowhere();
    let report = load::run(Config { requests: Some(3), ..Config::new(format!("http://{nowhere}/")) }).await.unwrap();
    assert_eq!((report.failed, report.statuses), (3, counts(&[("none", 3)])));
    assert!(report.failures[0].reason.contains("refused"), "{:?}", report.failures);
}

#[tokio::test]
async fn a_request_that_takes_too_long_failed() {
    let server = stand_in().await;
    let timeout = Duration::from_millis(50);
    let report = load::run(Config { requests: Some(2), timeout, ..Config::new(url(&server, "/delay/5000")) }).await.unwrap();
    assert_eq!((report.failed, report.failures[0].reason.as_str()), (2, "no answer within 50ms"));
}

#[tokio::test]
async fn deals_the_requests_to_the_users_in_turn() {
    let server = stand_in().await;
    let config = Config {
        requests: Some(6),
        users: users(&["ada", "bob", "eve"]),
        by: vec!["/headers/cookie".to_owned()],
        ..Config::new(url(&server, "/"))
    };

    let report = load::run(config).await.unwrap();

    assert_eq!(report.values, counts(&[("user=ada", 2), ("user=bob", 2), ("user=eve", 2)]));
    let users = report.users.unwrap();
    assert_eq!((users.seen, users.inconsistent), (3, 0));
    assert_eq!(users.by_value, counts(&[("user=ada", 1), ("user=bob", 1), ("user=eve", 1)]));
    assert_eq!(users.all["bob"], counts(&[("user=bob", 2)]));
}

#[tokio::test]
async fn connects_where_told_and_keeps_the_hosts_name() {
    let server = stand_in().await;
    let config = Config {
        requests: Some(4),
        connect: Some(server.addresses[0]),
        by: vec!["/headers/host".to_owned()],
        ..Config::new("http://canary.localhost/")
    };
    assert_eq!(load::run(config).await.unwrap().values, counts(&[("canary.localhost", 4)]));
}

#[tokio::test]
async fn a_rate_is_kept_even_if_answers_are_late() {
    let server = stand_in().await;
    let config = Config { requests: Some(40), rate: Some(200.0), concurrency: 64, ..Config::new(url(&server, "/delay/300")) };

    let begin = Instant::now();
    let report = load::run(config).await.unwrap();

    // 40 requests are due within 200 ms; the last answer comes 300 ms after. Waiting for answers would take seconds.
    assert_eq!((report.requests, report.failed), (40, 0));
    assert!(begin.elapsed() >= Duration::from_millis(195 + 300));
    assert!(report.latency.p50_ms >= 300.0);
}

#[tokio::test]
async fn a_server_that_stalls_shows_in_the_latency_of_the_requests_behind_it() {
    let server = stand_in().await;
    let config = Config { requests: Some(4), rate: Some(1000.0), concurrency: 1, ..Config::new(url(&server, "/delay/100")) };
    // One at a time: the last one is due after 3 ms and answered after 400.
    assert!(load::run(config).await.unwrap().latency.max_ms >= 390.0);
}

#[tokio::test]
async fn ends_when_its_time_is_over_or_when_it_is_stopped() {
    let server = stand_in().await;
    let config = Config { duration: Some(Duration::from_millis(250)), rate: Some(100.0), timeline: true, ..Config::new(url(&server, "/")) };
    let report = load::run(config.clone()).await.unwrap();
    assert!((1..=26).contains(&report.requests), "{report:?}");
    let times: Vec<u64> = report.timeline.iter().map(|bucket| bucket.at_ms).collect();
    assert!(times.iter().all(|at| at % 100 == 0) && times.is_sorted(), "{times:?}");
    assert_eq!(report.timeline.iter().flat_map(|bucket| bucket.values.values()).sum::<u64>(), report.requests);

    let load = Load::start(Config { duration: Some(load::LONGEST), ..config }).unwrap();
    while load.report().requests == 0 {
        tokio::task::yield_now().await;
    }
    assert!(load.stop().await.elapsed_ms < 10_000);
}

#[tokio::test]
async fn a_load_without_bounds_is_refused() {
    let refused = |config: Config| Load::start(config).err().unwrap().to_string();
    let bounded = || Config { requests: Some(1), ..Config::new("http://shop/") };

    assert_eq!(refused(Config::new("http://shop/")), "a load needs an end: a number of requests or a duration");
    assert_eq!(refused(Config { requests: Some(load::MOST_REQUESTS + 1), ..bounded() }), "at most 1000000 requests");
    assert_eq!(refused(Config { duration: Some(load::LONGEST * 2), ..bounded() }), "at most 600s");
    assert_eq!(refused(Config { concurrency: 0, ..bounded() }), "a concurrency from 1 to 1024");
    assert_eq!(refused(Config { rate: Some(0.0), ..bounded() }), "a rate above 0");
    assert_eq!(refused(Config { url: "no url".into(), ..bounded() }), "no url is no URL");
}
