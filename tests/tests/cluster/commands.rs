//! The commands that read a mesh, as kubectl's plugin.

use crate::{app, run};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_tests::cluster::Cluster;
use weir_tests::tools::{texts, weir};

/// kubectl with a folder in its PATH where it finds the plugin: that reads the cluster also where `weir up` runs a mesh.
pub struct Plugin<'a> {
    cluster: &'a Cluster,
    folder: TempDir,
}

impl<'a> Plugin<'a> {
    pub fn new(cluster: &'a Cluster) -> Result<Plugin<'a>> {
        let folder = TempDir::with_prefix("weir-tests-")?;
        std::os::unix::fs::symlink(weir(), folder.path().join("kubectl-weir"))?;
        Ok(Plugin { cluster, folder })
    }

    /// What a command prints.
    pub fn text(&self, line: &str) -> Result<String> {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([self.folder.path().into()].into_iter().chain(std::env::split_paths(&others)))?;
        let output = self.cluster.program("kubectl").env("PATH", path).arg("weir").args(line.split(' ')).output()?;
        let (out, errors) = texts(&output);
        ensure!(output.status.success(), "kubectl weir {line}: {out}{errors}");
        Ok(out)
    }

    fn json(&self, line: &str) -> Result<Value> {
        serde_json::from_str(&self.text(&format!("{line} -o json"))?).with_context(|| line.to_string())
    }
}

#[test]
fn kubectl_weir_shows_what_every_proxy_has_and_what_is_wrong() {
    run(async |cluster| {
        let namespace = cluster.namespace("shown")?;
        cluster.apply_text(&app("shown", ""))?;
        let pods = namespace.ready()?;
        let plugin = Plugin::new(cluster)?;
        let all_synced = |status: &Value| {
            let proxies = status["proxies"].as_array().map_or(&[][..], Vec::as_slice);
            let synced = |proxy: &Value| ["CDS", "EDS", "LDS", "RDS"].iter().all(|kind| proxy["types"][kind]["state"] == "SYNCED");
            proxies.len() == 2 && proxies.iter().all(synced)
        };
        cluster.wait("both proxies have everything", || Ok(all_synced(&plugin.json("proxy-status -n shown")?).then_some(())))?;
        let everywhere = plugin.text("proxy-status")?;
        ensure!(everywhere.contains(".shown ") && everywhere.contains(".weir-system "), "{everywhere}");

        let name = pods[0]["metadata"]["name"].as_str().context("a name")?;
        let one = plugin.text(&format!("proxy-status {name} -n shown"))?;
        ensure!(one.contains("connected to weir-"), "{one}");
        let addresses = pods.iter().map(|pod| pod["status"]["podIP"].as_str().context("an address"));
        let addresses = addresses.collect::<Result<Vec<_>>>()?;
        for (part, expected) in [
            ("listeners", vec!["Route: 80"]),
            ("routes", vec!["app.shown.svc.cluster.local"]),
            ("clusters", vec!["app.shown.svc.cluster.local", "inbound"]),
            ("endpoints", addresses),
            ("filters", vec!["envoy.filters.http.router"]),
        ] {
            let table = plugin.text(&format!("proxy-config {part} {name}.shown"))?;
            ensure!(expected.iter().all(|text| table.contains(text)), "{part}, {expected:?}: {table}");
            let json = plugin.json(&format!("proxy-config {part} {name} -n shown"))?;
            ensure!(json.as_array().is_some_and(|list| !list.is_empty()), "{part}: {json:#}");
        }

        let fine = plugin.json("analyze -n shown")?;
        ensure!(fine == Value::Array(Vec::new()), "{fine:#}");
        cluster.kubectl(&["patch", "virtualservice", "app", "-n", "shown", "--type", "json", "-p", MISSPELT])?;
        let found = plugin.json("analyze -n shown")?;
        let named = found[0]["object"] == "VirtualService shown/app" && found[0]["field"] == "spec.http[0].route[0].destination.host";
        ensure!(named && found.as_array().is_some_and(|found| found.len() == 1), "{found:#}");
        Ok(())
    });
}

const MISSPELT: &str = r#"[{"op": "replace", "path": "/spec/http/0/route/0/destination/host", "value": "appp"}]"#;
