//! Who a user is, and who may have a canary, in real Envoys.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_sample::client::Client;
use weir_tests::scenario::canary;
use weir_tests::tools::{project, wait_for};
use weir_tests::{Mesh, Up, able};

const SOON: Duration = Duration::from_secs(20);
/// By chance, so many users have one colour at 50/50 in 1 of 2^39 cases.
const USERS: usize = 40;

fn demo(file: &str) -> String {
    std::fs::read_to_string(project("deploy/demos/canary").join(file)).unwrap()
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{text} has no {from}");
    text.replace(from, to)
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

/// The colour that a request gets, at the gateway or where a service behind it asks.
async fn colour(mesh: &Up, url: &str, pairs: &[(&str, &str)]) -> Option<String> {
    let answer = Client::new(Some(mesh.gateway())).get(url, headers(pairs), SOON).await.ok().filter(|answer| answer.status.is_success())?;
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    ["/colour", "/orderHistory/colour"].into_iter().find_map(|path| Some(body.pointer(path)?.as_str()?.to_string()))
}

/// Each user's colour, and that it is always the same one. `of` says what tells a user's request.
async fn colours(mesh: &Up, of: impl Fn(usize) -> (&'static str, String)) -> Result<BTreeMap<usize, String>, String> {
    let mut all = BTreeMap::new();
    for user in 0..USERS {
        let (name, value) = of(user);
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            seen.insert(colour(mesh, canary::URL, &[(name, &value)]).await.ok_or("no answer")?);
        }
        if seen.len() != 1 {
            return Err(format!("{name}: {value} has two colours"));
        }
        all.extend(seen.pop_first().map(|colour| (user, colour)));
    }
    Ok(all)
}

/// The same, as soon as no user has two.
async fn settled(mesh: &Up, of: impl Fn(usize) -> (&'static str, String)) -> BTreeMap<usize, String> {
    wait_for("one colour for each user", SOON, async || colours(mesh, &of).await.ok()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_what_the_trusted_proxy_says_and_nobody_else() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary", "tests/manifests/callers.yaml"]).unwrap();
    canary::step(&mesh, "2-50-50", 0.35..=0.65).await.unwrap();
    mesh.apply_text(&replaced(&demo("weir.yaml"), "- cookie: user", "- sourceAddress: {}")).unwrap();
    let forwarded = |before: &'static str| move |user: usize| ("x-forwarded-for", format!("{before}203.0.113.{user}"));
    let known = settled(&mesh, forwarded("")).await;
    assert_eq!(known.values().collect::<BTreeSet<_>>().len(), 2, "clients behind the proxy differ: {known:?}");
    let claimed = colours(&mesh, forwarded("198.51.100.1, ")).await.unwrap();
    assert_eq!(claimed, known, "what a client says of itself does not count");

    let callers = std::fs::read_to_string(project("tests/manifests/callers.yaml")).unwrap();
    let edge = callers.split("---\n").find(|object| object.contains("numTrustedProxies")).unwrap();
    mesh.apply_text(&replaced(edge, "numTrustedProxies: 1", "numTrustedProxies: 0")).unwrap();
    let one = wait_for("no proxy to be trusted", SOON, async || {
        let colours = colours(&mesh, forwarded("")).await.ok()?.into_values().collect::<BTreeSet<_>>();
        (colours.len() == 1).then_some(())
    });
    one.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_of_its_own_a_policy_knows_users_by_the_consistent_hash() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    canary::step(&mesh, "2-50-50", 0.35..=0.65).await.unwrap();
    mesh.apply_text(&replaced(&demo("weir.yaml"), "        key:\n          - cookie: user\n", "")).unwrap();
    let rule = demo("traffic.yaml").split("---\n").find(|object| object.contains("kind: DestinationRule")).map(str::to_string);
    let hashed = "host: colour\n  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user-id}}}\n";
    mesh.apply_text(&replaced(&rule.unwrap(), "host: colour\n", hashed)).unwrap();
    let known = settled(&mesh, |user| ("x-user-id", format!("u{user}"))).await;
    assert_eq!(known.values().collect::<BTreeSet<_>>().len(), 2, "users differ: {known:?}");
}

const MAY: &str = r#"
        allow:
          - {header: {name: x-group, exact: beta}, cookie: {name: country, oneOf: [de, fr]}}
          - {header: {name: x-group, exact: alpha}, percent: 50}
          - {source: {namespace: canary, workload: front}}
          - {source: {namespace: other}}
        deny: [{cookie: {name: user, oneOf: [bob, eve]}}]
"#;

/// The canary has the whole weight: who may have it gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_is_allowed_gets_the_canary_and_never_who_is_denied() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary", "tests/manifests/callers.yaml"]).unwrap();
    let all = demo("steps/2-50-50.yaml").replacen("weight: 50", "weight: 0", 1);
    mesh.apply_text(&replaced(&all, "weight: 50", "weight: 100")).unwrap();
    let everywhere = replaced(&demo("weir.yaml"), "  selector:\n    matchLabels:\n      istio: ingressgateway\n", "");
    mesh.apply_text(&replaced(&everywhere, "        override:\n", &format!("{}        override:\n", &MAY[1..]))).unwrap();
    let colour = async |url: &str, pairs: &[(&str, &str)]| colour(&mesh, url, pairs).await;
    let beta = [("x-group", "beta"), ("cookie", "country=fr; user=ann")];
    wait_for("the policy", SOON, async || {
        let (some, others) = (colour(canary::URL, &beta).await?, colour(canary::URL, &[]).await?);
        (some == "green" && others == "blue").then_some(())
    })
    .await
    .unwrap();
    for (pairs, expected) in [
        (&beta[..1], "blue"),
        (&[("x-group", "beta"), ("cookie", "country=it; user=ann")], "blue"),
        (&[("x-group", "beta"), ("cookie", "country=fr; user=eve")], "blue"),
        (&[("x-tester", "yes")], "green"),
        (&[("x-tester", "yes"), ("cookie", "user=bob")], "blue"),
        (&[("x-group", "alpha")], "blue"),
    ] {
        assert_eq!(colour(canary::URL, pairs).await.as_deref(), Some(expected), "{pairs:?}");
    }

    // The callers, each at the sidecar of its own.
    let called = async |caller: &str, pairs: &[(&str, &str)]| colour(&format!("http://{caller}.callers.localhost/"), pairs).await;
    let denied = [("cookie", "user=eve")];
    wait_for("the policy at the callers", SOON, async || {
        for caller in ["front", "back", "other"] {
            (called(caller, &denied).await? == "blue").then_some(())?;
        }
        Some(())
    })
    .await
    .unwrap();
    for (caller, pairs, expected) in
        [("front", &[][..], "green"), ("front", &denied, "blue"), ("back", &[], "blue"), ("back", &beta, "green"), ("other", &[], "green")]
    {
        assert_eq!(called(caller, pairs).await.as_deref(), Some(expected), "{caller} {pairs:?}");
    }

    // Half of the users of a group: of 200 at least 60 in all but one of 10^8 cases.
    let mut among = 0;
    for user in 0..200 {
        let cookie = format!("user=u{user}");
        let pairs = [("x-group", "alpha"), ("cookie", &cookie)];
        let first = colour(canary::URL, &pairs).await.unwrap();
        assert_eq!(called("back", &pairs).await.unwrap(), first, "{cookie}: the same everywhere");
        among += i32::from(first == "green");
    }
    assert!((60..=140).contains(&among), "{among} of 200");
}
