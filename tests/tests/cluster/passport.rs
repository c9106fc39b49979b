//! The keys of passports are renewed while users come, and nobody is on another version for it.

use crate::run;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::time::Duration;
use weir_sample::load::args::numbered_users;
use weir_sample::load::{self, Config, Load};
use weir_tests::Mesh;
use weir_tests::cluster::{Cluster, SYSTEM};

const URL: &str = "http://passport.example/";
const MANIFEST: &str = "tests/manifests/passport.yaml";
const SECRET: &str = "weir-passport";
/// In which version the last hop answered.
const VERSION: &str = "/orderHistory/version";

/// Each of 100 users, twenty times: by chance all have one version each in 1 of 2^1900 cases.
fn users(cluster: &Cluster) -> Config {
    Config { requests: Some(2000), by: vec![VERSION.into()], users: numbered_users(100), ..cluster.load(URL) }
}

fn current(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&["get", "secret", SECRET, "-n", SYSTEM, "-o", "go-template={{.data.current | base64decode}}"])
}

/// The proxies that make and that read passports, `NAME.NAMESPACE`.
fn proxies(cluster: &Cluster) -> Result<Vec<String>> {
    let of = |namespace: &str, app: &str| {
        let names = cluster.kubectl(&["get", "pods", "-n", namespace, "-l", &format!("app={app}"), "-o", "name"])?;
        anyhow::Ok(names.lines().map(|pod| format!("{}.{namespace}", pod.trim_start_matches("pod/"))).collect::<Vec<_>>())
    };
    Ok([of(SYSTEM, "weir-ingressgateway")?, of("passport", "front")?].concat())
}

/// Makes the keys due, and waits until they are one step further at all proxies.
fn step(cluster: &Cluster) -> Result<()> {
    let keys = || cluster.get(&["secret", SECRET, "-n", SYSTEM]).map(|secret| secret["data"].clone());
    let before = keys()?;
    cluster.kubectl(&["annotate", "secret", SECRET, "-n", SYSTEM, "--overwrite", "weir.io/changed=2026-01-01T00:00:00Z"])?;
    let after = cluster.wait("new keys", || Ok(Some(keys()?).filter(|keys| *keys != before)))?;
    let new = ["next", "previous"].into_iter().find(|name| after[name].is_string()).context("a key beside the current one")?;
    let template = format!("go-template={{{{.data.{new} | base64decode}}}}");
    let other = cluster.kubectl(&["get", "secret", SECRET, "-n", SYSTEM, "-o", &template])?;
    let both = format!("{:?}", [current(cluster)?, other]).replace(' ', "");
    for proxy in proxies(cluster)? {
        cluster.wait(&format!("the keys at {proxy}"), || {
            let filters = cluster.ask(&["proxy-config", "filters", &proxy, "-o", "json"]).unwrap_or_default();
            Ok(filters.split_whitespace().collect::<String>().contains(&both).then_some(()))
        })?;
    }
    Ok(())
}

#[test]
fn nobody_moves_when_the_keys_of_passports_are_renewed() {
    run(async |cluster| {
        let namespace = cluster.namespace("passport")?;
        cluster.apply(MANIFEST)?;
        let result = renewed(cluster, || namespace.ready().map(drop)).await;
        cluster.kubectl(&["delete", "wasmplugin", "passport", "-n", "istio-system"])?;
        result
    });
}

async fn renewed(cluster: &Cluster, ready: impl FnOnce() -> Result<()>) -> Result<()> {
    ready()?;
    cluster.answers(URL).await?;
    let mut seen = None;
    for _ in 0..20 {
        let report = load::run(users(cluster)).await?;
        let found = report.users.context("users")?;
        seen = Some(found.by_value).filter(|_| found.inconsistent == 0 && report.failed == 0);
        if seen.is_some() {
            break;
        }
    }
    let before = seen.context("no passport came to the second hop")?;
    ensure!(before.len() == 2, "users differ: {before:?}");
    let load = Load::start(Config { requests: None, duration: Some(Duration::from_secs(300)), rate: Some(100.0), ..users(cluster) })?;
    let mut keys = BTreeSet::from([current(cluster)?]);
    let steps = (0..4).try_for_each(|_| {
        step(cluster)?;
        keys.insert(current(cluster)?);
        anyhow::Ok(())
    });
    let report = load.stop().await;
    steps?;
    let found = report.users.as_ref().context("users")?;
    println!("{} requests under {} keys: {:?}", report.requests, keys.len(), found.by_value);
    ensure!(keys.len() == 3, "{} keys made passports", keys.len());
    ensure!(report.failed == 0 && found.inconsistent == 0 && found.by_value == before, "{report:#?}");
    Ok(())
}
