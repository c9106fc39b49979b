//! Reads anything as objects and tells every pod of the mesh that comes of it what it would be told: nothing panics.
//! Run it with `cargo +nightly fuzz run read` in `injector/mesh`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_mesh::mesh::{self, Options};
use weir_mesh::node::{Node, Role};
use weir_mesh::object::{self, Objects, SourceFile};
use weir_mesh::snapshot;

fuzz_target!(|text: &str| {
    let read = object::read(&[SourceFile { path: "f.yaml".into(), text: text.into() }]);
    let options = Options { marked: true, ..Default::default() };
    let (mesh, _) = mesh::build(&Objects::default().update(read), &options);
    for workload in &mesh.workloads {
        let (pod, namespace) = (workload.name.clone(), workload.namespace.clone());
        for role in [Role::Sidecar, Role::Router] {
            let node = Node { role, ip: workload.address, pod: pod.clone(), namespace: namespace.clone(), domain: "cluster.local".into(), modules: Default::default() };
            snapshot::build(&mesh, &node);
        }
    }
});
