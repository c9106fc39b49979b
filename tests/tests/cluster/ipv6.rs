//! Pods and Services with IPv6 addresses.

use crate::{app, run};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::able;
use weir_tests::cluster::Cluster;

const NAMESPACE: &str = "six";
const OBJECTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: both, namespace: six}
spec: {ipFamilyPolicy: PreferDualStack, selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: six}
spec: {containers: [{name: app, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [stand-in]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: outside, namespace: six, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: app, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [stand-in]}]}
"#;
/// Of the family that not every cluster has.
const ONLY: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: only, namespace: six}
spec: {ipFamilies: [IPv6], selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}
"#;

#[test]
fn an_app_is_called_by_ipv6_and_envoy_decides() {
    run(async |cluster| {
        let namespace = cluster.namespace(NAMESPACE)?;
        cluster.apply_text(&app(NAMESPACE, ", --address, '::'"))?;
        cluster.apply_text(OBJECTS)?;
        let pods = namespace.ready()?;
        let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "app").context("a pod of the app")?;
        if !able::to_call_by_ipv6(pod["status"]["podIPs"].as_array().map_or(0, Vec::len)) {
            return Ok(());
        }
        cluster.apply_text(ONLY)?;
        for (service, index) in [("both", 1), ("only", 0)] {
            cluster.apply_text(&route(service))?;
            let address = cluster.get(&["service", service, "-n", NAMESPACE])?["spec"]["clusterIPs"][index].clone();
            let address = address.as_str().filter(|address| address.contains(':')).context("an address of IPv6")?;
            let url = format!("http://{service}/");
            cluster.wait("the caller's Envoy knows it", || {
                let report = load(cluster, "caller", &url, &format!("[{address}]:80"), 1);
                Ok(report.is_ok_and(|report| report["values"]["envoy"] == 1).then_some(()))
            })?;
            let report = load(cluster, "caller", &url, &format!("[{address}]:80"), 500)?;
            println!("{service}: {} of {} failed", report["failed"], report["requests"]);
            ensure!(report["failed"] == 0 && report["values"]["envoy"] == 500, "{service}: {report:#}");
        }
        // From outside the mesh to the pod itself.
        let name = pod["metadata"]["name"].as_str().context("a name")?;
        let address = pod["status"]["podIPs"][1]["ip"].as_str().context("an address of IPv6")?;
        let before = cluster.arrived(NAMESPACE, name)?;
        let report = load(cluster, "outside", "http://pod/", &format!("[{address}]:8080"), 500)?;
        let passed = cluster.arrived(NAMESPACE, name)? - before;
        println!("the pod: {} of {} failed, {passed} passed by its Envoy", report["failed"], report["requests"]);
        ensure!(report["failed"] == 0 && passed >= 500, "{passed}: {report:#}");
        Ok(())
    });
}

/// Only a caller's own Envoy adds the header.
fn route(service: &str) -> String {
    format!(
        r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {service}, namespace: {NAMESPACE}}}
spec:
  hosts: [{service}]
  http: [{{headers: {{request: {{set: {{x-caller: envoy}}}}}}, route: [{{destination: {{host: {service}}}}}]}}]
"#
    )
}

/// What a load from a pod found, counted by the header that Envoy adds.
fn load(cluster: &Cluster, pod: &str, url: &str, connect: &str, requests: u32) -> Result<Value> {
    let requests = requests.to_string();
    let args = ["--url", url, "--connect", connect, "--requests", &requests, "--by", "/headers/x-caller"];
    let answer = cluster.kubectl(&[&["exec", pod, "-n", NAMESPACE, "-c", "app", "--", "weir-sample", "load"][..], &args].concat())?;
    Ok(serde_json::from_str(&answer)?)
}
