//! What a VirtualService and a DestinationRule ask for, done by a real Envoy.

use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use weir_sample::client::{Answer, Client};
use weir_sample::load::{Config, run};
use weir_tests::tools::wait_for;
use weir_tests::{Mesh, Up, able};

const GATEWAY: &str = "istio-ingressgateway-0.istio-system";
const LIMIT: Duration = Duration::from_secs(10);

/// A request of the gateway; a path may begin with another host.
async fn send(mesh: &Up, method: Method, url: &str, headers: &[(&'static str, &'static str)]) -> Answer {
    let url = if url.starts_with('/') { format!("http://routes.example{url}") } else { format!("http://{url}") };
    let mut request = Request::builder().method(method).uri(url).body(Full::default()).unwrap();
    *request.headers_mut() =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect::<HeaderMap>();
    Client::new(Some(mesh.gateway())).send(request, LIMIT).await.unwrap()
}

async fn get(mesh: &Up, path: &str) -> Answer {
    send(mesh, Method::GET, path, &[]).await
}

fn told(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_envoy_does_what_the_route_says() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["tests/manifests/routes.yaml"]).unwrap();
    changes(&mesh).await;
    attempts(&mesh).await;
    faults(&mesh).await;
    matches(&mesh).await;
    endpoints(&mesh).await;
}

/// Redirects, rewrites and headers.
async fn changes(mesh: &Up) {
    let answer = get(mesh, "/old").await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].to_str().unwrap()), (308, "http://other.example/new"));

    let answer = told(&get(mesh, "/prefixed/a?b=c").await);
    assert_eq!((&answer["path"], &answer["headers"]["host"]), (&"/a?b=c".into(), &"rewritten.example".into()));
    assert_eq!(told(&get(mesh, "/books/7/pages").await)["path"], "/pages/of/7");

    let headers = [("x-set", "theirs"), ("x-added", "one"), ("x-dropped", "gone")];
    let answer = send(mesh, Method::GET, "/headers", &headers).await;
    assert_eq!((answer.headers["x-answer"].to_str().unwrap(), answer.headers.get("content-type")), ("ours", None));
    let arrived = &told(&answer)["headers"];
    assert_eq!((&arrived["x-set"], &arrived["x-added"], &arrived["x-dropped"]), (&"ours".into(), &"one, more".into(), &Value::Null));
}

/// Timeouts, retries and mirrors.
async fn attempts(mesh: &Up) {
    let started = Instant::now();
    assert_eq!(get(mesh, "/delay/5000").await.status, 504);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());

    for (status, attempts) in [("500", "4"), ("501", "1")] {
        let answer = get(mesh, &format!("/status/{status}")).await;
        assert_eq!((answer.status.as_str(), &told(&answer)["headers"]["x-envoy-attempt-count"]), (status, &attempts.into()));
    }

    for _ in 0..20 {
        assert_eq!(get(mesh, "/mirrored").await.status, 200);
    }
    let mirrored = async || mesh.counted(GATEWAY, "shadow.routes.svc.cluster.local.upstream_rq_200$").ok().filter(|count| *count == 20);
    wait_for("20 mirrored requests", LIMIT, mirrored).await.unwrap();
}

/// Half of 400 are aborted: fewer than 130 or more than 270 in fewer than one of ten million runs.
async fn faults(mesh: &Up) {
    let report = mesh.count("http://routes.example/aborted", 400, &[]).await.unwrap();
    let aborted = report.statuses.get("418").copied().unwrap_or_default();
    assert!((130..=270).contains(&aborted) && report.statuses.len() == 2, "{report:?}");

    let started = Instant::now();
    assert_eq!(get(mesh, "/delayed").await.status, 200);
    // Envoy's timers go by the time at which its loop woke up, so they may fire a little early.
    assert!(started.elapsed() >= Duration::from_millis(390), "{:?}", started.elapsed());
}

async fn matches(mesh: &Up) {
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(Method, &str, Headers, &str); 17] = [
        (Method::GET, "/match", &[], "v1"),
        (Method::GET, "/matching", &[], "v1"),
        (Method::GET, "/match", &[("x-exact", "yes")], "v2"),
        (Method::GET, "/match", &[("x-exact", "yes!")], "v1"),
        (Method::GET, "/match", &[("x-prefix", "abc")], "v2"),
        (Method::GET, "/match", &[("x-prefix", "cab")], "v1"),
        (Method::GET, "/match", &[("x-regex", "ab1")], "v2"),
        (Method::GET, "/match", &[("x-regex", "ab12")], "v1"),
        (Method::GET, "/match", &[("x-present", "")], "v2"),
        (Method::PUT, "/match", &[], "v2"),
        (Method::POST, "/match", &[], "v1"),
        (Method::GET, "/match?version=v2", &[], "v2"),
        (Method::GET, "/match?version=v3", &[], "v1"),
        (Method::GET, "/match/case", &[], "v2"),
        (Method::GET, "v2.example/match", &[], "v2"),
        (Method::GET, "/match/without", &[], "v2"),
        (Method::GET, "/match/without", &[("x-v1", "1")], "v1"),
    ];
    for (method, path, headers, version) in cases {
        let answer = send(mesh, method.clone(), path, headers).await;
        assert_eq!(told(&answer)["version"], version, "{method} {path} {headers:?}");
    }
    assert_eq!(get(mesh, "/elsewhere").await.status, 404);
}

/// Consistent hashing and shares of zones.
async fn endpoints(mesh: &Up) {
    // An Envoy pays for what it calls, not for what there is.
    let requests = || mesh.admin(GATEWAY, "/stats?filter=hashed.*upstream_rq_total", false).unwrap();
    assert_eq!(requests(), "");
    let pods = async |user: &str| {
        let headers = [(HeaderName::from_static("x-user"), HeaderValue::from_str(user).unwrap())].into_iter().collect();
        let load = Config { requests: Some(30), headers, by: vec!["/pod".into()], ..mesh.load("http://routes.example/hashed") };
        run(load).await.unwrap().values.into_keys().collect::<Vec<_>>()
    };
    let mut all = BTreeSet::new();
    for user in 0..10 {
        let pods = pods(&format!("user-{user}")).await;
        assert_eq!(pods.len(), 1, "user {user} has one pod: {pods:?}");
        all.extend(pods);
    }
    assert!(all.len() > 1, "users are spread: {all:?}");
    assert!(requests().ends_with(": 300\n"), "{}", requests());

    // Zone b has one endpoint of five, and gets 40 % +- 6: more is off in one of ten million runs.
    let report = mesh.count("http://routes.example/spread", 2000, &["/zone"]).await.unwrap();
    let far = report.values.get("b").copied().unwrap_or_default();
    assert!(report.failed == 0 && (680..=920).contains(&far), "{report:?}");
}
