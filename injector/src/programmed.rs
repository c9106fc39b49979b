//! How many proxies have what was made of an object: what its status tells.

use crate::ads::service::Ads;
use crate::ads::subscription::Standing;
use crate::world::World;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_mesh::object::Key;

/// The kinds that have such a status: Istio's.
pub const KINDS: [&str; 4] = ["DestinationRule", "Gateway", "VirtualService", "WasmPlugin"];
/// How often the proxies are counted.
const PAUSE: Duration = Duration::from_secs(1);
/// Counting may take a fiftieth of one processor: in a large mesh it is done less often.
const REST: u32 = 50;

/// Of the proxies that need what was made of one object: how many have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The object's generation that was counted.
    pub generation: i64,
    /// They have all of it.
    pub have: usize,
    /// They do not have all of it yet.
    pub wait: usize,
    /// They rejected some of it and keep what they had.
    pub rejected: usize,
    /// Why one of those did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The counts by object, as `Kind namespace/name`.
pub type Report = BTreeMap<String, Count>;

/// The objects whose status is told, each as its user last wrote it.
pub fn subjects(world: &World) -> BTreeMap<&Key, &Value> {
    let accepted = world.objects.iter().map(|object| (&object.key, &object.value));
    let rejected = world.rejected.iter().map(|(key, value)| (key, &**value));
    accepted.chain(rejected).filter(|(key, _)| KINDS.contains(&key.kind)).collect()
}

/// `metadata.generation`; 0 for an object that has none.
pub fn generation(object: &Value) -> i64 {
    object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default()
}

/// Counts again and again, until nobody listens.
pub async fn count(ads: Ads, reports: watch::Sender<Arc<Report>>) {
    loop {
        let (counted, start) = (ads.clone(), Instant::now());
        match tokio::task::spawn_blocking(move || report(&counted)).await {
            Ok(report) => drop(reports.send_replace(Arc::new(report))),
            Err(error) => tracing::error!("counting what proxies have failed: {error}"),
        }
        let rest = PAUSE.max(start.elapsed() * REST);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = reports.closed() => return,
        }
    }
}

/// What the connected proxies have now.
fn report(ads: &Ads) -> Report {
    let world = ads.world.borrow().clone();
    let (mut names, mut counts) = (HashMap::new(), Vec::new());
    for (key, value) in subjects(&world) {
        names.insert(key.to_string(), counts.len());
        counts.push(Count { generation: generation(value), ..Count::default() });
    }
    for connection in ads.nodes.connections() {
        let stream = connection.stream();
        let current = world.told(&connection.node).zip(stream.snapshot()).is_some_and(|(new, has)| Arc::ptr_eq(&new, has));
        let mut worst: HashMap<usize, Standing<'_>> = HashMap::new();
        for (resource, standing) in stream.standings() {
            let standing = if current { standing } else { standing.max(Standing::Waits) };
            for object in resource.objects.iter().filter_map(|object| names.get(object)) {
                worst.entry(*object).and_modify(|worst| *worst = standing.max(*worst)).or_insert(standing);
            }
        }
        for (object, standing) in worst {
            let Some(count) = counts.get_mut(object) else { continue };
            match standing {
                Standing::Has => count.have += 1,
                Standing::Waits => count.wait += 1,
                Standing::Rejected(reason) => {
                    count.rejected += 1;
                    count.reason = reason.to_string();
                }
            }
        }
    }
    names.into_iter().filter_map(|(name, object)| Some((name, counts.get(object)?.clone()))).collect()
}

/// Adds what another replica counted. It may know another generation of an object: then its proxies have not got this one.
pub fn add(report: &mut Report, other: &Report) {
    for (object, count) in report {
        let Some(other) = other.get(object) else { continue };
        if other.generation == count.generation {
            count.have += other.have;
            count.wait += other.wait;
            count.rejected += other.rejected;
            if count.reason.is_empty() {
                count.reason.clone_from(&other.reason);
            }
        } else {
            count.wait += other.have + other.wait + other.rejected;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ads::nodes::Nodes;
    use crate::ads::stream::{Protocol, Request};
    use crate::canary::engine::Canaries;
    use weir_mesh::mesh::Options;
    use weir_mesh::object::{Objects, SourceFile, read};
    use weir_mesh::snapshot::Type;

    const MESH: &str = r"
apiVersion: v1
kind: Service
metadata: {name: a, namespace: n}
spec: {clusterIP: 198.18.0.9, selector: {app: a}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: n, labels: {app: a}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 198.18.0.1, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: n, generation: 3}
spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: unused, namespace: n}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
";

    fn world(mesh: &str) -> Arc<World> {
        let objects = Objects::default().update(read(&[SourceFile { path: "m.yaml".into(), text: mesh.into() }]));
        let options = Options::default();
        Arc::new(World::new(objects, Vec::new(), &options))
    }

    #[tokio::test]
    async fn a_proxy_waits_has_or_rejects() {
        let (publish, world_now) = watch::channel(world(MESH));
        let ads = Ads { world: world_now, nodes: Nodes::default(), tokens: None, canaries: Canaries::unheard() };
        let expect = |have, wait, rejected, reason: &str| {
            let count = Count { generation: 3, have, wait, rejected, reason: reason.into() };
            let expected = Report::from([("VirtualService n/v".into(), count), ("Gateway n/unused".into(), Count::default())]);
            assert_eq!(report(&ads), expected);
        };
        expect(0, 0, 0, "");

        let connected = ads.nodes.connect("sidecar~198.18.0.1~p.n~n.svc.cluster.local".parse().unwrap(), Protocol::Delta);
        let connection = &connected.connection;
        let newest = async || ads.world.borrow().clone().snapshot(&connection.node).await.unwrap();
        let snapshot = newest().await;
        let routes = &snapshot.resources[&Type::RouteConfiguration];
        let (name, _) = routes.iter().find(|(_, routes)| routes.objects.contains(&"VirtualService n/v".to_string())).unwrap();
        connection.stream().update(snapshot.clone());
        expect(0, 0, 0, "");
        let ask = |subscribe: &[&String], nonce, error: Option<&str>| {
            let subscribe = subscribe.iter().map(ToString::to_string).collect();
            let error = error.map(str::to_string);
            let (known, unsubscribe) = (BTreeMap::new(), Vec::new());
            connection.stream().request(Request { kind: Type::RouteConfiguration, subscribe, unsubscribe, known, nonce, error }).pushes
        };
        let first = ask(&[name], None, None);
        expect(0, 1, 0, "");
        ask(&[], Some(first[0].nonce), None);
        expect(1, 0, 0, "");

        publish.send_replace(world(MESH));
        expect(0, 1, 0, "");
        let snapshot = newest().await;
        connection.stream().update(snapshot);
        expect(1, 0, 0, "");

        publish.send_replace(world(&MESH.replace("http: [{", "http: [{timeout: 3s, ")));
        let snapshot = newest().await;
        let second = connection.stream().update(snapshot);
        expect(0, 1, 0, "");
        ask(&[], Some(second[0].nonce), Some("too short"));
        expect(0, 0, 1, "too short");
        drop(connected);
        expect(0, 0, 0, "");
    }

    #[test]
    fn replicas_add_up() {
        let count = |generation, have, rejected, reason: &str| Count { generation, have, wait: 1, rejected, reason: reason.into() };
        let mut report = Report::from([("a".into(), count(2, 1, 0, "")), ("b".into(), count(2, 1, 0, ""))]);
        add(&mut report, &[("a".into(), count(2, 2, 1, "why")), ("b".into(), count(1, 2, 0, "")), ("c".into(), count(1, 9, 0, ""))].into());
        let b = Count { wait: 4, ..count(2, 1, 0, "") };
        assert_eq!(report, [("a".into(), Count { wait: 2, ..count(2, 3, 1, "why") }), ("b".into(), b)].into());
    }
}
