//! What the tests of this folder share: a mesh with a canary, and what proxies saw of it.

use crate::world::World;
use weir_mesh::mesh::Options;
use weir_mesh::mesh::canary::Name;
use weir_mesh::object::{Objects, SourceFile, read};
use weir_policy::canary::governor::{Answer, Governor, Record, State, Subset, Tolerance};

const MESH: &str = r"
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 198.18.0.9, selector: {app: reviews}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: front, namespace: shop, labels: {app: front}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 198.18.0.1, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: bank}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 198.18.0.2, conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]}]
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: canary, namespace: shop}
spec: {url: 'oci://hub/weir-canary:v1', pluginConfig: {version: 1, canaries: [{hosts: [reviews], governor: {}}]}}
";

/// A world with a governed canary `v2` of `reviews.shop`, which the pod `front` calls; with a change of its text.
pub fn world(from: &str, to: &str) -> World {
    let text = MESH.replace(from, to);
    let objects = Objects::default().update(read(&[SourceFile { path: "m.yaml".into(), text }]));
    let module = weir_mesh::mesh::Module::File { path: "m.wasm".into(), sha256: None };
    World::new(objects, Vec::new(), &Options { modules: [("weir-canary".to_string(), module)].into(), ..Options::default() })
}

/// That canary.
pub fn name() -> Name {
    Name { service: "reviews.shop.svc.cluster.local".into(), canary: "v2".into() }
}

/// A block of 32 answers, four of them the canary's, of which so many failed, of users from this number on.
pub fn block(failures: u16, first_user: u16) -> Record {
    let mut closed = Vec::new();
    let answer = |place: u16| match place {
        0..4 => Answer { subset: Subset::Canary, bucket: Some(first_user + place), micros: (place >= failures).then_some(9_000) },
        _ => Answer { subset: Subset::Stable, bucket: None, micros: Some(8_000 + u32::from(place) * 100) },
    };
    let answers: Vec<_> = (0..32).map(answer).collect();
    Governor::new(1e-200, Tolerance::DEFAULT).observe(&mut State::default(), &answers, 0, &mut closed);
    Record::Block(closed.pop().expect("a block").into())
}
