//! Modules that an Envoy does not have and gets from the control plane.

use super::bench::{Bench, until};
use super::plan::ApiType;
use crate::ads::status::State;
use crate::modules::{digest, store::Store};
use bytes::Bytes;
use std::time::{Duration, Instant};
use weir_mesh::mesh::{self, Module, Options};
use weir_mesh::object::{Objects, SourceFile, read};
use weir_mesh::snapshot::{self, Resource, Type};

/// The name of the filter.
const FILTER: &str = "shop.f";
/// A pod, and a plugin for it.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: a-0, namespace: shop}
spec: {containers: [{name: app}]}
status: {podIP: 198.18.1.2, phase: Running}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: f, namespace: shop}
spec: {url: weir-canary, pluginConfig: {version: 1, canaries: [{hosts: [reviews], key: [{cookie: user}]}]}}
"#;

/// A module that tells its version in a header of each response.
fn module(version: &str) -> Bytes {
    let text = format!(
        r#"(module
          (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "x-module")
          (data (i32.const 16) "{version}")
          (global $next (mut i32) (i32.const 1024))
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
            (global.get $next)
            (global.set $next (i32.add (global.get $next) (local.get $size))))
          (func (export "proxy_on_context_create") (param i32 i32))
          (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $add (i32.const 2) (i32.const 0) (i32.const 8) (i32.const 16) (i32.const {length})))
            (i32.const 0)))"#,
        length = version.len()
    );
    wat::parse_str(text).unwrap().into()
}

/// The filter as the control plane tells it to a proxy that lacks its module.
fn filter(version: &str) -> Resource {
    filter_of(Module::Served { sha256: digest(&module(version)) })
}

fn filter_of(module: Module) -> Resource {
    let modules = [("weir-canary".to_string(), module)].into();
    let options = Options { modules, marked: true, ..Default::default() };
    let files = [SourceFile { path: "shop.yaml".into(), text: OBJECTS.into() }];
    let (mesh, findings) = mesh::build(&Objects::default().update(read(&files)), &options);
    let node = "sidecar~198.18.1.2~a-0.shop~shop.svc.cluster.local".parse().unwrap();
    let snapshot = snapshot::build(&mesh, &node);
    let filters = snapshot.resources.get(&Type::ExtensionConfig).unwrap_or_else(|| panic!("{findings:?}"));
    Resource::clone(&filters[FILTER])
}

/// An Envoy with the module `v1`, which is served or not.
async fn start(served: &[&str]) -> Bench {
    let modules = Store::default();
    for version in served {
        modules.put(module(version));
    }
    Bench::with(ApiType::DeltaGrpc, modules, |plan| plan.filters = vec![(FILTER, Some(filter("v1")))]).await
}

async fn runs(bench: &Bench, version: &str) {
    until(version, async || bench.module().await.filter(|told| told == version)).await;
}

#[tokio::test]
async fn a_new_module_reaches_a_running_envoy_under_load_without_a_failed_request() {
    let mut bench = start(&["v1"]).await;
    runs(&bench, "v1").await;
    let load = bench.load().await;
    for version in ["v2", "v3", "v4", "v5"] {
        load.more(50).await;
        bench.modules.put(module(version));
        let start = Instant::now();
        bench.change(|plan| plan.filters[0].1 = Some(filter(version)));
        runs(&bench, version).await;
        assert!(start.elapsed() < Duration::from_secs(2), "{version} took {:?}", start.elapsed());
        bench.stands("ECDS", State::Synced).await;
    }
    assert_eq!(load.failures().await, [] as [&str; 0]);
    let stats = bench.admin("/stats?filter=cluster.weir.upstream_cx_total").await.unwrap();
    assert!(stats.contains(": 1\n"), "modules come from the replica that tells of them, on the same connection: {stats}");
}

#[tokio::test]
async fn an_envoy_that_starts_without_its_module_serves_nothing_until_it_comes() {
    let bench = start(&[]).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let told = tokio::time::timeout(Duration::from_millis(200), bench.module()).await.ok().flatten();
        assert_eq!(told, None, "a request passed without the filter");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.modules.put(module("v1"));
    let first = until("an answer", async || bench.module().await).await;
    assert_eq!(first, "v1");
}

#[tokio::test]
async fn where_a_module_is_missing_requests_fail_but_for_an_envoy_that_has_one() {
    let mut running = start(&["v1"]).await;
    runs(&running, "v1").await;
    let load = running.load().await;
    running.change(|plan| plan.filters[0].1 = Some(filter_of(Module::Missing)));
    let address = running.stop_server().unwrap();
    running.start_server(address).await;
    running.stands("ECDS", State::Synced).await;
    running.modules.put(module("v2"));
    running.change(|plan| plan.filters[0].1 = Some(filter("v2")));
    runs(&running, "v2").await;
    assert_eq!(load.failures().await, [] as [&str; 0]);

    let mut new =
        Bench::with(ApiType::DeltaGrpc, Store::default(), |plan| plan.filters = vec![(FILTER, Some(filter_of(Module::Missing)))]).await;
    runs(&new, "503").await;
    new.modules.put(module("v1"));
    new.change(|plan| plan.filters[0].1 = Some(filter("v1")));
    runs(&new, "v1").await;
}

#[tokio::test]
async fn a_module_that_does_not_come_leaves_the_old_one_in_force_and_is_told_until_it_comes() {
    let mut bench = start(&["v1"]).await;
    runs(&bench, "v1").await;
    let load = bench.load().await;
    bench.change(|plan| plan.filters[0].1 = Some(filter("v2")));
    let status = bench.stands("ECDS", State::Nacked).await;
    assert_eq!((status.rejected[0].name.as_str(), &status.rejected[0].objects[..]), (FILTER, &["WasmPlugin shop/f".to_string()][..]));
    assert_eq!(bench.module().await.as_deref(), Some("v1"));
    // A control plane that starts again, and by now has the module.
    let address = bench.stop_server().unwrap();
    bench.modules.put(module("v2"));
    bench.start_server(address).await;
    runs(&bench, "v2").await;
    bench.stands("ECDS", State::Synced).await;
    assert_eq!(load.failures().await, [] as [&str; 0]);
}
