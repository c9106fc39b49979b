//! What the filters do in real Envoys, seen from outside and by what they count and log.

use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use weir_sample::client::Client;
use weir_sample::load::{Config, Report, run};
use weir_tests::lone_envoy::LoneEnvoy;
use weir_tests::scenario::canary;
use weir_tests::tools::{modules, project, wait_for};
use weir_tests::{Mesh, Up, able};

const GATEWAY: &str = "istio-ingressgateway-0.istio-system";
const SOON: Duration = Duration::from_secs(10);

fn header(name: &'static str, value: &'static str) -> HeaderMap {
    [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
}

/// Waits until the filter has brought its counts to Envoy.
async fn counts(mesh: &Up, counter: &str, at_least: u64) {
    let seen = wait_for(counter, SOON, async || mesh.counted(GATEWAY, counter).ok().filter(|count| *count >= at_least)).await;
    seen.unwrap_or_else(|error| panic!("{error}; all: {}", mesh.admin(GATEWAY, "/stats?filter=weir_", false).unwrap()));
}

/// Lets the gateway's Envoy log debug lines of filters until one has all of these parts.
async fn logs(mesh: &Up, url: &str, parts: &[&str]) {
    mesh.admin(GATEWAY, "/logging?wasm=debug", true).unwrap();
    let what = format!("a line with {parts:?}");
    let logged = wait_for(&what, SOON, async || {
        run(Config { requests: Some(1), users: vec!["ada".into()], ..mesh.load(url) }).await.ok()?;
        let log = mesh.ask(&["logs", GATEWAY, "-c", "istio-proxy"]).ok()?;
        log.lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    });
    logged.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canary_filter_counts_and_tells_why() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    mesh.count(canary::URL, 100, &[]).await.unwrap();
    counts(&mesh, "weir_canary_no_key", 100).await;
    run(Config { requests: Some(100), users: vec!["ada".into()], ..mesh.load(canary::URL) }).await.unwrap();
    counts(&mesh, "weir_canary_bucket", 100).await;
    run(Config { requests: Some(100), headers: header("x-tester", "yes"), ..mesh.load(canary::URL) }).await.unwrap();
    counts(&mesh, "weir_canary_override", 100).await;
    assert_eq!(mesh.counted(GATEWAY, "weir_canary_no_policy").unwrap(), 0);
    logs(&mesh, canary::URL, &["outbound|80|", "|colour.canary.svc.cluster.local: bucket ", " by cookie user"]).await;
}

/// The colours of 40 answers. Drawn at 50/50 per request all have one in 1 of 2^39 cases.
async fn colours(mesh: &Up, url: &str, headers: HeaderMap) -> Vec<String> {
    let report = run(Config { requests: Some(40), headers, by: vec!["/colour".into()], ..mesh.load(url) }).await.unwrap();
    report.values.into_keys().collect()
}

/// The canary demo at 50/50, with a policy that finds users by these sources.
async fn keyed(sources: &[&str]) -> Up {
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    let policy = std::fs::read_to_string(project("deploy/demos/canary/weir.yaml")).unwrap();
    let sources: Vec<_> = sources.iter().map(|source| format!("- {source}")).collect();
    let keyed = policy.replace("- cookie: user", &sources.join("\n          "));
    assert_ne!(policy, keyed);
    canary::step(&mesh, "2-50-50", 0.35..=0.65).await.unwrap();
    mesh.apply_text(&keyed).unwrap();
    mesh
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_known_by_header_and_by_address_too() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = keyed(&["header: x-user-id", "sourceAddress: {}"]).await;
    let colours = async |headers| colours(&mesh, canary::URL, headers).await;
    wait_for("one colour for one address", SOON, async || (colours(HeaderMap::new()).await.len() == 1).then_some(())).await.unwrap();
    let of_users = [colours(header("x-user-id", "u1")).await, colours(header("x-user-id", "u2")).await];
    let of_others = [colours(header("x-user-id", "u3")).await, colours(header("x-user-id", "u4")).await];
    let all: Vec<_> = of_users.iter().chain(&of_others).collect();
    assert!(all.iter().all(|colours| colours.len() == 1), "{all:?}");
    assert!(all.iter().any(|colours| colours != &all[0]), "users differ: {all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_makes_users_by_a_cookie_and_knows_them_by_it() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = keyed(&["query: user", "mint: {name: weir-user, lifetime: 720h}"]).await;
    let client = Client::new(Some(mesh.gateway()));
    let get = async |headers: HeaderMap| {
        let answer = client.get(canary::URL, headers, SOON).await.unwrap();
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned()).collect();
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        (body["colour"].as_str().unwrap().to_owned(), cookies)
    };
    wait_for("a cookie", SOON, async || (get(HeaderMap::new()).await.1.len() == 1).then_some(())).await.unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let (colour, cookies) = get(HeaderMap::new()).await;
        let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
        for _ in 0..5 {
            let with = [(COOKIE, HeaderValue::from_str(pair).unwrap())].into_iter().collect();
            assert_eq!(get(with).await, (colour.clone(), vec![]), "{pair}");
        }
        seen.insert(colour);
    }
    assert_eq!(seen.len(), 2, "users differ");
    counts(&mesh, "weir_canary_minted", 41).await;
    assert_eq!(colours(&mesh, &format!("{}?user=ann", canary::URL), HeaderMap::new()).await.len(), 1);
}

/// `{"iss": "me", "sub": "ann", "who": {"id": "bob"}}`, signed (HS256) by the key below.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsifQ.eyJpc3MiOiJtZSIsInN1YiI6ImFubiIsIndobyI6eyJpZCI6ImJvYiJ9fQ.fM_2iO7_UkTX3tIpwVzd9hCIshJqp3HZbp8MhIZP170";
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

#[tokio::test]
async fn a_user_is_known_by_a_claim_of_a_verified_token_alone() {
    if !able::to_run_envoy() || !able::to_run_a_mesh() {
        return;
    }
    let filter = |claim: &str| {
        let key = json!([{"jwtClaim": claim}]);
        let config = json!({"version": 1, "routed": true, "canaries": [{"hosts": ["a"], "train": "autumn", "key": key}]}).to_string();
        let code = json!({"local": {"filename": modules("modules").join("weir-canary.wasm")}});
        json!({"name": "canary", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "canary", "root_id": "weir-canary",
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": config},
                "vm_config": {"vm_id": "canary", "runtime": "envoy.wasm.runtime.v8", "code": code},
            },
        }})
    };
    let keys = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "k", "k": KEY}]}).to_string();
    let verify = json!({"name": "jwt", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        // As Istio has it.
        "providers": {"me": {"issuer": "me", "local_jwks": {"inline_string": keys}, "payload_in_metadata": "payload"}},
        "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [
            {"provider_name": "me"}, {"allow_missing_or_failed": {}},
        ]}}}],
    }});
    let route = json!({"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [{
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "response_headers_to_add": [{"header": {"key": "x-bucket", "value": "%REQ(x-weir-bucket)%"}}],
    }]}]});
    let router = json!({"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    let address = |to: SocketAddr| json!({"socket_address": {"address": to.ip(), "port_value": to.port()}});
    // Its signature is another's.
    let forged = format!("{}A", &TOKEN[..TOKEN.len() - 1]);
    assert_ne!(forged, TOKEN);
    for (claim, bucket) in [("sub", "2952"), ("who.id", "5617")] {
        let envoy = LoneEnvoy::with(|gateway, admin| {
            let manager = json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "a", "http_filters": [verify, filter(claim), router], "route_config": route,
            });
            let chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
            json!({
                "admin": {"address": address(admin)},
                "static_resources": {"listeners": [{"address": address(gateway), "filter_chains": [chain]}]},
            })
        });
        let gateway = envoy.as_ref().unwrap().gateway;
        let client = Client::new(Some(gateway));
        let ask = async |token: &str| {
            let token = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            let answer = client.get("http://a/", [(AUTHORIZATION, token)].into_iter().collect(), SOON).await.ok()?;
            Some(answer.headers.get("x-bucket").map(|bucket| bucket.to_str().unwrap().to_owned()))
        };
        let known = wait_for("an answer", SOON, async || ask(TOKEN).await).await.unwrap();
        assert_eq!(known.as_deref(), Some(bucket), "{claim}");
        assert_eq!(ask(&forged).await.unwrap(), None, "{claim}");
    }
}

/// They share the filter's module, and so a VM in each worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_policies_of_one_filter_keep_apart() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary", "tests/manifests/paint.yaml"]).unwrap();
    canary::step(&mesh, "2-50-50", 0.35..=0.65).await.unwrap();
    let paint = "http://paint.localhost/colour";
    for (url, own, other) in
        [(canary::URL, ("cookie", "user=ann"), ("x-painter", "ann")), (paint, ("x-painter", "ann"), ("cookie", "user=ann"))]
    {
        assert_eq!(colours(&mesh, url, header(own.0, own.1)).await.len(), 1, "{url} knows users by {}", own.0);
        assert_eq!(colours(&mesh, url, header(other.0, other.1)).await.len(), 2, "{url} knows none by {}", other.0);
    }
}

/// A thousand requests at a rate at which the filter's probes are few.
async fn ask(mesh: &Up) -> Report {
    let load = Config { requests: Some(1000), rate: Some(200.0), by: vec!["/zone".into()], ..mesh.load("http://zones/") };
    run(load).await.unwrap()
}

/// Without outlier detection Envoy alone would try the pod of the own zone for each request, and retry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_locality_filter_leaves_a_zone_that_fails_and_returns_to_it() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["tests/manifests/zones.yaml"]).unwrap();
    let report = ask(&mesh).await;
    assert_eq!((report.failed, report.values.get("b")), (0, Some(&1000)), "{report:?}");
    counts(&mesh, "weir_locality_failover", 900).await;
    counts(&mesh, "weir_locality_failed", 5).await;
    // Two workers learn it each, from one answer in eight, and then probe now and then.
    let retries = mesh.counted(GATEWAY, "outbound.80..backend.*upstream_rq_retry$").unwrap();
    assert!((10..=100).contains(&retries), "{retries} of 1,000 were tried in zone a");

    let broken = std::fs::read_to_string(project("tests/manifests/zones.yaml")).unwrap();
    let deployment = broken.split("---\n").find(|object| object.contains("name: backend-a")).unwrap();
    mesh.apply_text(&deployment.replace("8888", "8080")).unwrap();
    wait_for("zone a to be used again", SOON * 3, async || {
        let report = mesh.count("http://zones/", 50, &["/zone"]).await.ok()?;
        (report.values.get("a") == Some(&50)).then_some(())
    })
    .await
    .unwrap();
    // One endpoint of five in all: priorities by locality, from the policy alone.
    let report = ask(&mesh).await;
    assert_eq!((report.failed, report.values.get("a")), (0, Some(&1000)), "{report:?}");

    let answer = Client::new(Some(mesh.gateway())).get("http://zones/", HeaderMap::new(), SOON).await.unwrap();
    let served_by = answer.headers["x-weir-served-by"].to_str().unwrap();
    assert!(served_by.starts_with("a/198.18.") && served_by.ends_with(":8080"), "{served_by}");
    logs(&mesh, "http://zones/", &["outbound|80||backend.zones.svc.cluster.local: no zone named"]).await;
}
