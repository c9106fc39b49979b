//! A real Kubernetes cluster of three zones, with Weir in it: what its users do, and what they see.

mod commands;
mod faults;
mod installation;
mod ipv6;
mod rollouts;
mod told;

use anyhow::{Context, Result, ensure};
use commands::Plugin;
use serde_json::Value;
use std::time::Duration;
use weir_sample::load::{Config, Load};
use weir_tests::cluster::{self, Cluster};
use weir_tests::scenario::{bookinfo, canary, locality};
use weir_tests::{Figure, Mesh};

/// A pod that every namespace takes, also one with the restricted standard.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: app
      image: weir-sample:latest
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"#;

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
        let found = Plugin::new(cluster)?.text("analyze -n bookinfo")?;
        ensure!(found.is_empty(), "{found}");
        bookinfo::pages(cluster).await?.check();
        bookinfo::reviews(cluster).await?.check();
        Ok(())
    });
}

#[test]
fn calls_stay_in_their_zone_and_leave_it_when_its_node_is_drained() {
    run(async |cluster| {
        let namespace = cluster.namespace("locality")?;
        cluster.apply("deploy/demos/locality/apps.yaml")?;
        namespace.ready()?;
        cluster.apply("deploy/demos/locality/traffic.yaml")?;
        cluster.apply("deploy/demos/locality/weir.yaml")?;
        cluster.answers("http://locality.localhost/").await?;
        locality::stays(cluster).await?.check();
        // As when its node is drained: the pod's successor comes up elsewhere, and the successor of that one at home again.
        cluster.kubectl(&["cordon", "node-a"])?;
        let delete = |chosen: &[&str]| {
            let pods = cluster.kubectl(&[&["get", "pods", "-n", "locality", "-l", "app=order-history", "-o", "name"], chosen].concat())?;
            cluster.kubectl(&["delete", "-n", "locality", "--wait=false", pods.lines().next_back().context("a pod")?]).map(drop)
        };
        let gone = || delete(&["--field-selector=spec.nodeName=node-a"]);
        let back = || {
            cluster.kubectl(&["uncordon", "node-a"])?;
            delete(&["--sort-by=.metadata.creationTimestamp"])
        };
        let figure = locality::leaves_and_returns(cluster, "its node drained", gone, back).await;
        cluster.kubectl(&["uncordon", "node-a"])?;
        figure?.check();
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

/// A Deployment of the sample with a Service and a route from the ingress gateway.
fn app(namespace: &str, arguments: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: app, namespace: {namespace}}}
spec: {{selector: {{app: app}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app, namespace: {namespace}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      containers:
        - name: app
          image: weir-sample:latest
          imagePullPolicy: IfNotPresent
          args: [stand-in{arguments}]
          readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: app, namespace: {namespace}}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{namespace}.example]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: app, namespace: {namespace}}}
spec:
  hosts: [{namespace}.example]
  gateways: [app]
  http: [{{route: [{{destination: {{host: app}}}}]}}]
"#
    )
}

#[test]
fn no_request_is_lost_when_a_deployment_is_restarted() {
    run(async |cluster| {
        for (name, arguments) in [("drains", ""), ("ends-at-once", ", --abrupt")] {
            let namespace = cluster.namespace(name)?;
            cluster.apply_text(&app(name, arguments))?;
            namespace.ready()?;
            let url = format!("http://{name}.example/");
            cluster.answers(&url).await?;
            let load = Load::start(Config { duration: Some(Duration::from_secs(120)), rate: Some(200.0), ..cluster.load(&url) })?;
            cluster.kubectl(&["rollout", "restart", "deployment/app", "-n", name])?;
            cluster.kubectl(&["rollout", "status", "deployment/app", "-n", name, "--timeout=60s"])?;
            // Until the old pods have gone.
            cluster.wait("the old pods went", || {
                let pods = cluster.get(&["pods", "-n", name])?;
                Ok((pods["items"].as_array().map(Vec::len) == Some(2)).then_some(()))
            })?;
            let report = load.stop().await;
            println!("{name}: {} of {} failed", report.failed, report.requests);
            ensure!(report.failed == 0 && report.requests > 200, "{name}: {report:#?}");
        }
        Ok(())
    });
}

#[test]
fn a_pod_is_not_told_the_configuration_of_another() {
    run(async |cluster| {
        let victim = cluster.namespace("victim")?;
        cluster.apply_text(&app("victim", ""))?;
        let pod = victim.ready()?.first().context("a pod")?.clone();
        let (name, ip) = (pod["metadata"]["name"].as_str().context("a name")?, pod["status"]["podIP"].as_str().context("an address")?);
        let id = format!("sidecar~{ip}~{name}.victim~victim.svc.cluster.local");
        let _thief = cluster.namespace("thief")?;
        cluster.apply_text(&format!(
            r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: another-name, namespace: thief}}
data: {{custom_bootstrap.json: '{{"node": {{"id": "{id}"}}}}'}}
---
apiVersion: v1
kind: Pod
metadata: {{name: thief, namespace: thief, annotations: {{sidecar.istio.io/bootstrapOverride: another-name}}}}
spec:
  containers: [{{name: app, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [stand-in]}}]
"#
        ))?;
        let refused = format!("the token is of the pod thief/thief, which may not ask for the configuration of victim/{name}");
        cluster.wait("the control plane says that it refused", || {
            let logs = ["logs", "-n", cluster::SYSTEM, "-l", "app.kubernetes.io/component=control-plane", "--tail=-1"];
            Ok(cluster.kubectl(&logs)?.contains(&refused).then_some(()))
        })?;
        let thief = cluster.get(&["pod", "thief", "-n", "thief"])?;
        ensure!(!cluster::is_ready(&thief), "{thief:#}");
        Ok(())
    });
}

#[test]
fn a_job_ends_and_its_init_containers_reach_the_mesh() {
    run(async |cluster| {
        let namespace = cluster.namespace("jobs")?;
        cluster.apply_text(&app("jobs", ""))?;
        namespace.ready()?;
        // Only a caller's own Envoy adds the header.
        cluster.apply_text(
            r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: from-inside, namespace: jobs}
spec:
  hosts: [app]
  http: [{headers: {request: {set: {x-caller: envoy}}}, route: [{destination: {host: app}}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: asks, namespace: jobs}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      initContainers: [{name: first, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [fetch, "http://app/first"]}]
      containers: [{name: then, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [fetch, "http://app/then"]}]
"#,
        )?;
        cluster.kubectl(&["wait", "--for=condition=Complete", "job/asks", "-n", "jobs", "--timeout=60s"])?;
        for container in ["first", "then"] {
            let told = cluster.kubectl(&["logs", "job/asks", "-n", "jobs", "-c", container])?;
            ensure!(told.contains("x-caller"), "{container}: {told}");
        }
        Ok(())
    });
}

#[test]
fn pods_of_a_stateful_set_are_called_by_their_own_names() {
    run(async |cluster| {
        let namespace = cluster.namespace("stateful")?;
        cluster.apply_text(
            r#"
apiVersion: v1
kind: Service
metadata: {name: store, namespace: stateful}
spec: {clusterIP: None, selector: {app: store}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: stateful}
spec:
  serviceName: store
  replicas: 2
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers:
        - name: app
          image: weir-sample:latest
          imagePullPolicy: IfNotPresent
          args: [stand-in]
          env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          # Envoy accepts every connection: this one must ask for the app all the same.
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: stateful}
spec: {containers: [{name: app, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [stand-in]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: store, namespace: stateful}
spec:
  hosts: [store]
  http: [{headers: {request: {set: {x-caller: envoy}}}, route: [{destination: {host: store}}]}]
"#,
        )?;
        // The second comes when the first is ready.
        cluster.wait("three pods", || Ok((namespace.pods()?.len() == 3).then_some(())))?;
        let pods = namespace.ready()?;
        let first = pods.iter().find(|pod| pod["metadata"]["name"] == "store-0").and_then(|pod| pod["status"]["podIP"].as_str());
        // Endpoints that somebody else names, as those of the API server.
        cluster.apply_text(&format!(
            r#"
apiVersion: v1
kind: Service
metadata: {{name: elsewhere, namespace: stateful}}
spec: {{ports: [{{name: http, port: 8080}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: elsewhere, namespace: stateful, labels: {{kubernetes.io/service-name: elsewhere}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{{addresses: [{}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: elsewhere, namespace: stateful}}
spec:
  hosts: [elsewhere]
  http: [{{headers: {{request: {{set: {{x-caller: envoy}}}}}}, route: [{{destination: {{host: elsewhere}}}}]}}]
"#,
            first.context("an address of store-0")?
        ))?;
        let exec = ["exec", "caller", "-n", "stateful", "-c", "app", "--", "weir-sample"];
        for (host, pods) in [
            ("store-0.store.stateful.svc.cluster.local", &["store-0"][..]),
            ("store-1.store.stateful.svc.cluster.local", &["store-1"]),
            ("store", &["store-0", "store-1"]),
            ("elsewhere", &["store-0"]),
        ] {
            let url = format!("http://{host}:8080/");
            cluster.wait("the caller's Envoy knows it", || {
                let answer = cluster.kubectl(&[&exec[..], &["fetch", &url]].concat()).unwrap_or_default();
                Ok(answer.contains("x-caller").then_some(()))
            })?;
            let report = cluster.kubectl(&[&exec[..], &["load", "--url", &url, "--requests", "500", "--by", "/pod"]].concat())?;
            let report: Value = serde_json::from_str(&report)?;
            println!("{url}: {} of {} failed, {}", report["failed"], report["requests"], report["values"]);
            let answered = report["values"].as_object().context("values")?;
            ensure!(report["failed"] == 0 && answered.keys().all(|pod| pods.contains(&pod.as_str())), "{url}: {report:#}");
        }
        Ok(())
    });
}

#[test]
fn pods_that_want_no_proxy_have_none_and_a_broken_annotation_is_refused_by_name() {
    run(async |cluster| {
        let namespace = cluster.namespace("choosy")?;
        let pod = |name: &str, more: &str, spec: &str| {
            format!(
                r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: choosy{more}}}
spec: {{{spec}containers: [{{name: app, image: "weir-sample:latest", imagePullPolicy: IfNotPresent, args: [stand-in]}}]}}
"#
            )
        };
        cluster.apply_text(&pod("by-label", ", labels: {sidecar.istio.io/inject: \"false\"}", ""))?;
        cluster.apply_text(&pod("by-annotation", ", annotations: {sidecar.istio.io/inject: \"false\"}", ""))?;
        cluster.apply_text(&pod("host-network", "", "hostNetwork: true, "))?;
        cluster.apply_text(&pod("with", "", ""))?;
        let containers = |name: &str| -> Result<usize> {
            let pods = namespace.pods()?;
            let pod = pods.iter().find(|pod| pod["metadata"]["name"] == name).context("the pod")?;
            Ok(pod["spec"]["initContainers"].as_array().map_or(0, Vec::len))
        };
        for (name, expected) in [("by-label", 0), ("by-annotation", 0), ("host-network", 0), ("with", 2)] {
            ensure!(containers(name)? == expected, "{name}");
        }
        let broken = pod("broken", ", annotations: {traffic.sidecar.istio.io/excludeInboundPorts: eighty}", "");
        let error = cluster.apply_text(&broken).err().context("it was taken")?.to_string();
        ensure!(error.contains("traffic.sidecar.istio.io/excludeInboundPorts") && error.contains("eighty"), "{error}");
        Ok(())
    });
}
