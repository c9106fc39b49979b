//! Weir comes to a cluster of its own, is upgraded, and goes without a trace.

use crate::POD;
use anyhow::{Result, ensure};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use weir_cluster::pki;
use weir_tests::able;
use weir_tests::cluster::{Cluster, SYSTEM};
use weir_tests::tools::texts;

/// It stands beside its gateway.
const STRANGER: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: edge, namespace: weir-system}
spec: {defaultBackend: {service: {name: weir-ingressgateway, port: {number: 80}}}}
"#;
/// What would become of an object.
const DRY_RUN: &[&str] = &["create", "--dry-run=server", "-o", "yaml", "-f", "-"];

/// What an installation may bring, by name.
fn inventory(cluster: &Cluster) -> Result<String> {
    let kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,\
                 validatingwebhookconfigurations,priorityclasses,deployments,services,configmaps,secrets,serviceaccounts";
    cluster.kubectl(&["get", kinds, "-A", "-o", "name", "--sort-by=.metadata.name"])
}

/// The API server refuses what Weir could not use, and warns of what has no effect.
fn validates(cluster: &Cluster) -> Result<()> {
    let route = |host: &str, timeout: &str| {
        format!(
            r"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: validated, namespace: default}}
spec: {{hosts: [a.example], http: [{{timeout: {timeout}, route: [{{destination: {{host: {host}}}}}]}}]}}
"
        )
    };
    let refused = cluster.wait("a bad object is refused", || Ok(cluster.try_text(&route("kubernetes", "1ns"))?.err()))?;
    ensure!(refused.contains("spec.http[0].timeout"), "{refused}");
    let warned = cluster.try_text(&route("nowhere", "1s"))?;
    ensure!(warned.as_ref().is_ok_and(|text| text.contains("Warning:") && text.contains("nowhere")), "{warned:?}");
    let fine = cluster.try_text(&route("kubernetes", "1s"))?;
    ensure!(fine.as_ref().is_ok_and(|text| !text.contains("Warning:")), "{fine:?}");
    Ok(())
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
        no_admission_fails_while_the_certificate_is_rotated(&cluster)?;
        let set = [
            "controlPlane.replicas=1",
            "validation.enabled=true",
            "sidecarInjector.enableNamespacesByDefault=true",
            // The cluster's DNS knows both.
            "global.proxy.clusterDomain=other.example",
        ];
        let upgraded = cluster.ask(&[&["upgrade", "--wait"][..], &set.map(|value| ["--set", value]).concat()].concat())?;
        let replicas = cluster.get(&["deployment", "weir", "-n", SYSTEM])?["spec"]["replicas"].clone();
        ensure!(replicas == 1, "{upgraded}");
        validates(&cluster)?;
        injects_by_default(&cluster)?;
        cluster.ask(&["upgrade", "--wait", "--set", "sidecarInjector.enableNamespacesByDefault=false"])?;
        cluster.wait("the default is taken back", || Ok((!cluster.kubectl_with(DRY_RUN, POD)?.contains("istio-proxy")).then_some(())))?;
        cluster.apply_text(STRANGER)?;
        let gone = cluster.ask(&["uninstall"])?;
        ensure!(gone.contains("because it holds what did not come with Weir: Ingress edge, Secret webhook"), "{gone}");
        let gone = cluster.ask(&["uninstall", "--purge", "--yes"])?;
        println!("{check}\n{installed}\n{again}\n{fit}\n{version}\n{upgraded}\n{gone}");
        cluster.wait("the namespace has gone", || {
            Ok((!cluster.kubectl(&["get", "namespaces", "-o", "name"])?.contains(SYSTEM)).then_some(()))
        })?;
        let after = inventory(&cluster)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        helm_tests_its_release(&cluster)
    };
    test().unwrap();
}

/// Namespaces without a label too, but not those that no mesh is for.
fn injects_by_default(cluster: &Cluster) -> Result<()> {
    cluster.wait("a namespace without a label is injected", || {
        Ok(cluster.kubectl_with(DRY_RUN, POD)?.contains("istio-proxy").then_some(()))
    })?;
    for namespace in ["kube-system", SYSTEM] {
        let pod = cluster.kubectl_with(&[DRY_RUN, &["-n", namespace]].concat(), POD)?;
        ensure!(!pod.contains("istio-proxy"), "{namespace}: {pod}");
    }
    Ok(())
}

/// A certificate of the user's takes the place of Weir's own, then another of another authority.
fn no_admission_fails_while_the_certificate_is_rotated(cluster: &Cluster) -> Result<()> {
    let namespace = cluster.namespace("admitted")?;
    let certificate = || {
        let [certificate, key, authority] = pki::server("weir.weir-system.svc")?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook", "namespace": SYSTEM}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": authority},
        });
        cluster.apply_text(&secret.to_string())
    };
    let admit = || {
        let args = ["run", "pod", "--image=weir-sample", "-n", &namespace.name, "--dry-run=server", "-o", "yaml"];
        ensure!(cluster.kubectl(&args)?.contains("istio-proxy"), "it was left without a proxy");
        Ok(())
    };
    let rotate = || {
        certificate()?;
        cluster.ask(&["upgrade", "--wait", "--set", "sidecarInjector.certificateSecret=webhook"])?;
        certificate()?;
        cluster.wait("both replicas show the new certificate", || {
            // One of those before the upgrade may go meanwhile.
            let logs = cluster.kubectl(&["logs", "-n", SYSTEM, "-l", "app=weir", "--tail=-1"]).unwrap_or_default();
            Ok((logs.matches("a new certificate is shown").count() == 2).then_some(()))
        })
    };
    let rotated = AtomicBool::new(false);
    let admitted = std::thread::scope(|scope| {
        let admissions = scope.spawn(|| {
            let mut admitted = 0;
            while !rotated.load(Ordering::Relaxed) {
                admit()?;
                admitted += 1;
            }
            anyhow::Ok(admitted)
        });
        let result = rotate();
        rotated.store(true, Ordering::Relaxed);
        let admitted = admissions.join().expect("no panic")?;
        result.map(|()| admitted)
    })?;
    println!("{admitted} pods admitted while the certificate was rotated");
    // Under the new one alone.
    admit()?;
    // It started under Weir's own certificate, and had to find all its replicas anew.
    cluster.wait("the gateway has its stream", || Ok(cluster.ask(&["proxy-status"])?.contains("weir-ingressgateway").then_some(())))
}

fn helm_tests_its_release(cluster: &Cluster) -> Result<()> {
    for line in [
        "install weir deploy/chart -n weir-system --create-namespace --wait --timeout 2m --set ingressGateway.service.type=ClusterIP",
        "test weir -n weir-system --timeout 1m",
        "uninstall weir -n weir-system --wait",
    ] {
        let output = cluster.program("helm").args(line.split(' ')).output()?;
        let (out, errors) = texts(&output);
        println!("{out}");
        ensure!(output.status.success(), "helm {line}: {out}{errors}");
    }
    Ok(())
}
