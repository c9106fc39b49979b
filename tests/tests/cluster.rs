//! A real Kubernetes cluster of three zones, with Weir in it: what its users do, and what they see.

use anyhow::{Result, ensure};
use weir_tests::cluster::{self, Cluster};
use weir_tests::scenario::{bookinfo, canary, locality};
use weir_tests::{Figure, Mesh};

fn run(test: impl AsyncFnOnce(&Cluster) -> Result<()>) {
    let Some(cluster) = cluster::shared() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test(cluster)).unwrap();
}

#[test]
fn the_users_first_day() {
    run(async |cluster| {
        let namespace = cluster.namespace("bookinfo")?;
        cluster.apply("deploy/demos/bookinfo/apps.yaml")?;
        for pod in namespace.ready()? {
            let names: Vec<_> =
                pod["spec"]["initContainers"].as_array().into_iter().flatten().map(|container| &container["name"]).collect();
            ensure!(names == ["weir-init", "istio-proxy"], "{pod:#}");
        }
        cluster.apply("deploy/demos/bookinfo/traffic.yaml")?;
        cluster.answers("http://books.example/productpage").await?;
        bookinfo::pages(cluster).await?.check();
        bookinfo::reviews(cluster).await?.check();
        Ok(())
    });
}

#[test]
fn calls_stay_in_their_zone() {
    run(async |cluster| {
        let namespace = cluster.namespace("locality")?;
        cluster.apply("deploy/demos/locality/apps.yaml")?;
        namespace.ready()?;
        cluster.apply("deploy/demos/locality/traffic.yaml")?;
        cluster.apply("deploy/demos/locality/weir.yaml")?;
        cluster.answers("http://locality.localhost/").await?;
        locality::stays(cluster).await?.check();
        Ok(())
    });
}

#[test]
fn a_canary_from_blue_to_green() {
    run(async |cluster| {
        let namespace = cluster.namespace("canary")?;
        cluster.apply("deploy/demos/canary/apps.yaml")?;
        namespace.ready()?;
        cluster.apply("deploy/demos/canary/traffic.yaml")?;
        cluster.apply("deploy/demos/canary/weir.yaml")?;
        cluster.answers(canary::URL).await?;
        canary::share_without_user(cluster).await?.check();
        canary::users_keep_their_version(cluster).await?.iter().for_each(Figure::check);
        canary::tester(cluster).await?.check();
        canary::spoofed_headers(cluster).await?.check();
        Ok(())
    });
}
