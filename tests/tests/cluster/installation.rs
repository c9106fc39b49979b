//! Weir comes to a cluster of its own, is upgraded, and goes without a trace.

use anyhow::{Result, ensure};
use weir_tests::able;
use weir_tests::cluster::{Cluster, SYSTEM};

/// What an installation may bring, by name.
fn inventory(cluster: &Cluster) -> Result<String> {
    let kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,\
                 validatingwebhookconfigurations,priorityclasses,deployments,services,configmaps,secrets,serviceaccounts";
    cluster.kubectl(&["get", kinds, "-A", "-o", "name", "--sort-by=.metadata.name"])
}

#[test]
fn weir_comes_is_upgraded_and_goes_without_a_trace() {
    // A cluster that the user names is not to be emptied.
    if !able::to_run_a_cluster() || weir_tests::cluster::named().is_some() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let test = || {
        let before = inventory(&cluster)?;
        let check = cluster.ask(&["check"])?;
        let installed = cluster.ask(&["install", "--wait"])?;
        let again = cluster.ask(&["install", "--wait"])?;
        let fit = cluster.ask(&["check"])?;
        let version = cluster.ask(&["version"])?;
        ensure!(version.matches(env!("CARGO_PKG_VERSION")).count() >= 2, "client and control plane: {version}");
        let upgraded = cluster.ask(&["upgrade", "--wait", "--set", "controlPlane.replicas=1"])?;
        let replicas = cluster.get(&["deployment", "weir", "-n", SYSTEM])?["spec"]["replicas"].clone();
        ensure!(replicas == 1, "{upgraded}");
        let gone = cluster.ask(&["uninstall", "--purge", "--yes"])?;
        println!("{check}\n{installed}\n{again}\n{fit}\n{version}\n{upgraded}\n{gone}");
        cluster.wait("the namespace has gone", || {
            Ok((!cluster.kubectl(&["get", "namespaces", "-o", "name"])?.contains(SYSTEM)).then_some(()))
        })?;
        let after = inventory(&cluster)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        anyhow::Ok(())
    };
    test().unwrap();
}
