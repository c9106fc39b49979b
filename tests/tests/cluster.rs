//! A real Kubernetes cluster of three zones, with Weir in it: what its users do, and what they see.

use anyhow::{Result, ensure};
use weir_tests::cluster::{self, Cluster, count};

fn run(test: impl AsyncFnOnce(&Cluster) -> Result<()>) {
    let Some(cluster) = cluster::shared() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test(cluster)).unwrap();
}

#[test]
fn the_users_first_day() {
    run(async |cluster| {
        let bookinfo = cluster.namespace("bookinfo")?;
        bookinfo.apply(&["deploy/demos/bookinfo/apps.yaml"])?;
        for pod in bookinfo.ready()? {
            let sidecars = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
            ensure!(sidecars == 2, "weir-init and istio-proxy: {pod:#}");
        }
        bookinfo.apply(&["deploy/demos/bookinfo/traffic.yaml"])?;
        let page = cluster.load("http://bookinfo.example/productpage")?;
        cluster.wait("the page comes", || Ok(None::<()>).and_then(|_: Option<()>| Ok(Some(()))))?;
        let report = count(page, 1000, &[]).await?;
        ensure!(report.failed == 0, "{report:#?}");
        Ok(())
    });
}
