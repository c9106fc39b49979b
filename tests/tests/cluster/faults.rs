//! What fails around an application under load, and what its users see of it: nothing.

use crate::{POD, app, run};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use weir_sample::load::{Config, Load, Report};
use weir_tests::Mesh;
use weir_tests::cluster::{Cluster, Namespace, SYSTEM, is_ready};
use weir_tests::tools::texts;

/// Sends 200 requests a second while something happens.
async fn under_load(cluster: &Cluster, name: &str, fault: impl AsyncFnOnce() -> Result<()>) -> Result<Report> {
    let url = format!("http://{name}.example/");
    cluster.answers(&url).await?;
    let load = Load::start(Config { duration: Some(Duration::from_secs(300)), rate: Some(200.0), ..cluster.load(&url) })?;
    fault().await?;
    cluster.answers(&url).await?;
    let report = load.stop().await;
    println!("{name}: {} of {} failed", report.failed, report.requests);
    Ok(report)
}

/// The same; no request may fail.
async fn unseen(cluster: &Cluster, name: &str, what: &str, fault: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let report = under_load(cluster, name, fault).await?;
    ensure!(report.failed == 0 && report.requests > 100, "{what}: {report:#?}");
    Ok(())
}

fn available(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["rollout", "status", "deployment/weir", "-n", SYSTEM, "--timeout=90s"]).map(drop)
}

#[test]
fn an_application_does_not_see_the_control_plane_fail() {
    run(async |cluster| {
        let name = "faults";
        let namespace = cluster.namespace(name)?;
        cluster.apply_text(&app(name, ""))?;
        namespace.ready()?;
        unseen(cluster, name, "a replica of the control plane killed", async || {
            let pods = cluster.kubectl(&["get", "pods", "-n", SYSTEM, "-l", "app=weir", "-o", "name"])?;
            let first = pods.lines().next().context("a replica")?;
            cluster.kubectl(&["delete", "-n", SYSTEM, first, "--force", "--grace-period=0"])?;
            available(cluster)
        })
        .await?;
        unseen(cluster, name, "both replicas away", async || {
            cluster.kubectl(&["scale", "deployment/weir", "-n", SYSTEM, "--replicas=0"])?;
            cluster.wait("no replica is left", || {
                let pods = cluster.get(&["pods", "-n", SYSTEM, "-l", "app=weir"])?;
                Ok((pods["items"].as_array().map(Vec::len) == Some(0)).then_some(()))
            })?;
            cluster.wait("no Envoy has a stream", || Ok((connected(cluster, &namespace)? == [0, 0]).then_some(())))?;
            during(Duration::from_secs(30), || only_labelled_namespaces_wait(cluster, name))?;
            cluster.kubectl(&["scale", "deployment/weir", "-n", SYSTEM, "--replicas=2"])?;
            cluster.wait("a replica is back", || {
                let pods = cluster.get(&["pods", "-n", SYSTEM, "-l", "app=weir"])?;
                Ok(pods["items"].as_array().into_iter().flatten().any(is_ready).then_some(()))
            })?;
            let ready = Instant::now();
            // An attempt counts as a stream until it fails, so one look is not enough.
            let mut looks = Vec::new();
            cluster.wait("the Envoys are back on their streams", || {
                looks.push(ready.elapsed());
                if connected(cluster, &namespace)? != [1, 1] {
                    looks.clear();
                }
                Ok((looks.len() == 3).then_some(()))
            })?;
            println!("back on their streams after {:?}", looks[0]);
            ensure!(looks[0] < Duration::from_secs(3), "back on their streams after {:?}", looks[0]);
            available(cluster)
        })
        .await?;
        unseen(cluster, name, "the API server restarted", async || {
            cluster.signal("kube-apiserver", Signal::KILL)?;
            cluster.wait("the API server is back", || Ok(cluster.kubectl(&["get", "--raw", "/readyz"]).ok()))?;
            available(cluster)
        })
        .await?;
        unseen(cluster, name, "etcd paused", async || {
            cluster.signal("etcd", Signal::STOP)?;
            let write = ["create", "configmap", "written", "-n", name, "--request-timeout=1s"];
            let paused = during(Duration::from_secs(10), || {
                ensure!(cluster.kubectl(&write).is_err(), "etcd was not paused");
                Ok(())
            });
            cluster.signal("etcd", Signal::CONT)?;
            paused?;
            cluster.wait("the API server is back", || Ok(cluster.kubectl(&["get", "--raw", "/readyz"]).ok()))?;
            available(cluster)
        })
        .await?;
        unseen(cluster, name, "the control plane upgraded and set back", async || new_modules_come_with_a_new_build(cluster, &namespace))
            .await?;
        an_envoy_is_killed(cluster, &namespace).await?;
        a_node_is_cut_off(cluster, &namespace)?;
        // What was told before is told anew to whoever comes now.
        cluster.kubectl(&["rollout", "restart", "deployment/app", "-n", name])?;
        cluster.kubectl(&["rollout", "status", "deployment/app", "-n", name, "--timeout=90s"]).map(drop)
    });
}

/// Of each pod, whether its Envoy has a stream.
fn connected(cluster: &Cluster, namespace: &Namespace<'_>) -> Result<Vec<u64>> {
    let pods = namespace.pods()?;
    let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    names.map(|pod| cluster.counter(&namespace.name, pod, "envoy_control_plane_connected_state", "")).collect()
}

/// While no control plane runs: pods of namespaces without injection come as ever, of those with it they are refused.
fn only_labelled_namespaces_wait(cluster: &Cluster, labelled: &str) -> Result<()> {
    let create = |namespace: &str| cluster.kubectl_with(&["create", "-n", namespace, "--dry-run=server", "-f", "-"], POD);
    for namespace in ["default", "kube-system", SYSTEM] {
        create(namespace)?;
    }
    let error = create(labelled).err().context("it was taken without its proxy")?.to_string();
    ensure!(error.contains("namespace.sidecar-injector.weir.io") && error.contains("\"weir\""), "{error}");
    Ok(())
}

/// Only requests that its own pod has may fail, and it is back at once.
async fn an_envoy_is_killed(cluster: &Cluster, namespace: &Namespace<'_>) -> Result<()> {
    let pods = namespace.ready()?;
    let pod = pods[0]["metadata"]["name"].as_str().context("a name")?;
    let report = under_load(cluster, &namespace.name, async || {
        cluster.kill_envoy(&namespace.name, pod)?;
        let killed = Instant::now();
        cluster.wait("it is back", || {
            let pod = cluster.get(&["pod", pod, "-n", &namespace.name])?;
            let proxy = pod["status"]["initContainerStatuses"].as_array().into_iter().flatten().find(|of| of["name"] == "istio-proxy");
            Ok((is_ready(&pod) && proxy.is_some_and(|proxy| proxy["restartCount"] == 1 && proxy["ready"] == true)).then_some(()))
        })?;
        println!("an Envoy killed: back after {:?}", killed.elapsed());
        ensure!(killed.elapsed() < Duration::from_secs(5), "back after {:?}", killed.elapsed());
        Ok(())
    })
    .await?;
    // As many as may have been on their way.
    ensure!(report.failed <= 16, "an Envoy killed: {report:#?}");
    Ok(())
}

/// A caller elsewhere sees nothing of it, if there are retries, and a timeout for each try.
fn a_node_is_cut_off(cluster: &Cluster, namespace: &Namespace<'_>) -> Result<()> {
    let name = &namespace.name;
    cluster.apply_text(&format!(
        r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: retries, namespace: {name}}}
spec:
  hosts: [app]
  http:
    - retries: {{attempts: 3, perTryTimeout: 500ms}}
      headers: {{request: {{set: {{x-retries: "3"}}}}}}
      route: [{{destination: {{host: app}}}}]
"#
    ))?;
    let pods = namespace.ready()?;
    let text = |pod: usize, pointer: &str| pods[pod].pointer(pointer).and_then(Value::as_str).context("a pod");
    let (caller, other) = (text(0, "/metadata/name")?, text(1, "/metadata/name")?);
    let cut = text(1, "/spec/nodeName")?;
    ensure!(text(0, "/spec/nodeName")? != cut, "both pods are on {cut}");
    cluster.wait("the caller's Envoy has the retries", || {
        let answer = cluster.kubectl(&["exec", "-n", name, caller, "-c", "app", "--", "weir-sample", "fetch", "http://app/"])?;
        Ok(answer.contains("x-retries").then_some(()))
    })?;
    let service = cluster.get(&["service", "app", "-n", name])?;
    // Without a name, for DNS may be cut off too.
    let address = format!("{}:80", service["spec"]["clusterIP"].as_str().context("an address")?);
    let args = ["--url", "http://app/", "--connect", &address, "--rate", "200", "--concurrency", "400", "--duration", "40s"];
    let load = from_pod(cluster, name, caller, &args)?;
    let before = cluster.arrived(name, other)?;
    cluster.wait("the load is felt", || Ok((cluster.arrived(name, other)? > before + 100).then_some(())))?;
    cluster.plug(cut, false)?;
    let is = |state: &'static str| {
        let ready = format!("--for=condition=Ready={state}");
        cluster.kubectl(&["wait", &ready, &format!("node/{cut}"), "--timeout=60s"])
    };
    let noticed = is("Unknown");
    cluster.plug(cut, true)?;
    noticed?;
    is("True")?;
    let report = report(load)?;
    println!("{cut} cut off: {} of {} failed, {}", report["failed"], report["requests"], report["latency"]);
    ensure!(report["failed"] == 0 && report["requests"].as_u64() > Some(7500), "{report:#}");
    namespace.ready().map(drop)
}

/// The filters of a pod that goes on running, under load of its own, are those of the control plane's build, forth and back.
fn new_modules_come_with_a_new_build(cluster: &Cluster, namespace: &Namespace<'_>) -> Result<()> {
    let name = &namespace.name;
    cluster.apply_text(&format!(
        r#"
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{name: near, namespace: {name}}}
spec:
  url: file:///etc/weir/modules/weir-locality.wasm
  pluginConfig: {{version: 1, services: [{{hosts: [app]}}]}}
"#
    ))?;
    let pods = namespace.ready()?;
    let caller = pods[0]["metadata"]["name"].as_str().context("a name")?;
    let module = |other_than: &str| {
        cluster.wait("another module", || {
            let chains: Value = serde_json::from_str(&cluster.ask(&["proxy-config", "filters", caller, "-n", name, "-o", "json"])?)?;
            let mut filters = chains.as_array().into_iter().flatten().flat_map(|chain| chain["filters"].as_array().into_iter().flatten());
            let module = filters.find_map(|filter| filter["module"].as_str());
            Ok(module.filter(|module| *module != other_than).map(str::to_string))
        })
    };
    let first = module("")?;
    let decided = || cluster.counter(name, caller, "weir_locality_near", "");
    let mut load = from_pod(cluster, name, caller, &["--url", "http://app/", "--rate", "100", "--duration", "75s"])?;
    let before = cluster.wait("the filter decides", || Ok(decided().ok()))?;
    for tag in ["next", ""] {
        let before = module("")?;
        cluster.ask(&["upgrade", "--wait", "--set", &format!("global.tag={tag}")])?;
        let image = &cluster.get(&["deployment", "weir", "-n", SYSTEM])?["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(image.as_str().is_some_and(|image| image.ends_with("weir:next")) == (tag == "next"), "{image}");
        module(&before)?;
    }
    ensure!(load.try_wait()?.is_none(), "the load ended before the upgrades");
    ensure!(module("")? == first, "the modules of the first build are back");
    let report = report(load)?;
    let decisions = decided()? - before;
    println!("new modules in a pod that runs: {} of {} failed, {decisions} by the filter", report["failed"], report["requests"]);
    // A module that goes does not tell its last half second.
    ensure!(report["failed"] == 0 && report["requests"] == 7500 && decisions > 7000, "{decisions} by the filter: {report:#}");
    cluster.kubectl(&["delete", "wasmplugin", "near", "-n", name]).map(drop)
}

/// Sends load from a pod of the sample.
fn from_pod(cluster: &Cluster, namespace: &str, pod: &str, args: &[&str]) -> Result<Child> {
    let mut kubectl = cluster.program("kubectl");
    kubectl.args(["exec", "-n", namespace, pod, "-c", "app", "--", "weir-sample", "load"]).args(args);
    Ok(kubectl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// What a load tells when it ends.
fn report(load: Child) -> Result<Value> {
    let output = load.wait_with_output()?;
    let (out, errors) = texts(&output);
    serde_json::from_str(&out).with_context(|| format!("{out}{errors}"))
}

/// Checks something again and again for a while.
fn during(time: Duration, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < time {
        check()?;
    }
    Ok(())
}
