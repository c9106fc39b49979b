//! What is read of files, and what of it stays when they break.

use super::*;
use crate::object::Objects;

fn one(text: &str) -> Read {
    read(&[SourceFile { path: "f.yaml".into(), text: text.into() }])
}

fn shown(read: &Read) -> Vec<String> {
    read.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn names_an_unknown_field_with_its_line() {
    let read = one(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n  - rout: []\n    redirect: {uri: /x}\n",
    );
    assert_eq!(
        shown(&read),
        [
            "f.yaml:7:11: warning [IST0106] VirtualService default/v spec.http[0].rout: Weir does not know this field; it has no effect: check its spelling"
        ]
    );
    assert_eq!(read.objects.len(), 1);
}

#[test]
fn a_misspelt_condition_keeps_the_last_good_state_and_does_not_hold_for_everything() {
    let route = |field: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [a]\n  http:\n  - match: [{{{field}: {{prefix: /beta}}}}]\n    redirect: {{uri: /x}}\n"
        )
    };
    let before = Objects::default().update(one(&route("uri")));
    let read = one(&route("uris"));
    assert!(
        shown(&read)[0].starts_with("f.yaml:7:20: error [IST0106] VirtualService default/v spec.http[0].match[0].uris: "),
        "{:?}",
        shown(&read)
    );
    let key = Key { kind: "VirtualService", namespace: "default".into(), name: "v".into() };
    assert!(std::sync::Arc::ptr_eq(before.get(&key).unwrap(), before.update(read).get(&key).unwrap()));
}

#[test]
fn rejects_a_wrong_type_with_its_path() {
    let read = one(
        "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {name: v, namespace: n}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - destination: {host: b}\n      weight: many\n",
    );
    assert_eq!(read.rejected, [Rejected::Object(Key { kind: "VirtualService", namespace: "n".into(), name: "v".into() })]);
    assert!(
        shown(&read)[0].starts_with("f.yaml:9:15: error [IST0106] VirtualService n/v spec.http[0].route[0].weight: "),
        "{:?}",
        shown(&read)
    );
}

#[test]
fn accepts_every_version_and_lists_and_float_weights() {
    for version in ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"] {
        let item = format!(
            "{{apiVersion: {version}, kind: VirtualService, metadata: {{name: v}}, spec: {{hosts: [a], http: [{{route: [{{destination: {{host: b}}, weight: 5.0}}]}}]}}}}"
        );
        let read = one(&format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n"));
        assert_eq!((read.objects.len(), shown(&read)), (1, vec![]), "{version}");
    }
}

#[test]
fn names_an_ignored_kind_once() {
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: b}\n";
    assert_eq!(shown(&one(text)), ["f.yaml:1:1: info: Job (batch/v1) is not a kind that Weir reads; all of them are ignored"]);
}

#[test]
fn keeps_the_last_good_state_of_what_is_broken() {
    let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {selector: {a: b}, servers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}]}\n";
    let objects = Objects::default().update(one(good));
    let names = |objects: &Objects| objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&objects), ["Gateway default/g", "Namespace a"]);
    assert_eq!(names(&objects.update(one("a: [1"))), ["Gateway default/g", "Namespace a"], "the whole file");
    assert_eq!(names(&objects.update(one(&good.replace("number: 80", "number: x")))), ["Gateway default/g", "Namespace a"], "one object");
    assert_eq!(names(&objects.update(one(&good.replace("kind: Gateway", "kind: Other")))), ["Namespace a"]);
}

#[test]
fn an_object_that_loses_its_identity_keeps_its_last_good_state() {
    let good = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: h}\n";
    let before = Objects::default().update(one(good));
    for (from, to, expected) in [
        ("kind: DestinationRule", "", "error: no Kubernetes object: it needs apiVersion and kind; what the"),
        ("apiVersion: networking.istio.io/v1", "", "error: no Kubernetes object: it needs apiVersion and kind; what the"),
        ("name: d", "", "error [IST0106] metadata.name: the object needs a name; what the"),
        ("name: d", "name: [d]", "error [IST0106] metadata.name: the object needs a name; what the"),
        ("name: d", "name: d, namespace: a.b", "error [IST0106] metadata.namespace: a namespace is of at most 63 "),
    ] {
        let mut read = one(&good.replace(from, to));
        let mut findings = std::mem::take(&mut read.findings);
        let after = before.update(read);
        after.note_kept(&before, &mut findings);
        assert_eq!(after.iter().map(|object| object.key.name.as_str()).collect::<Vec<_>>(), ["d"], "{to}");
        let said = findings.first().map(ToString::to_string).unwrap_or_default();
        assert!(said.contains(expected) && said.ends_with("; what the file said before stays in force"), "{findings:?}");
    }
}

#[test]
fn a_document_is_read_whatever_stands_above_it() {
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: a}\n";
    for (above, errors) in [("{~: a}", 0), ("{a: .nan}", 0), ("{a: 1, a: 2}", 1)] {
        let read = one(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {above}\n{rule}"));
        assert_eq!((read.findings.len(), read.rejected.len(), read.objects.len()), (errors, errors, 1), "{above}");
    }
}

#[test]
fn a_last_good_state_stands_where_its_file_stands() {
    let host =
        |name: &str| format!("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec: {{host: {name}}}\n");
    let both = |first: &str, second: &str| {
        read(&[("a/f.yaml", first), ("b/f.yaml", second)].map(|(path, text)| SourceFile { path: path.into(), text: text.into() }))
    };
    let hosts = |objects: &Objects| {
        let host = |object: &std::sync::Arc<Object>| match &object.kind {
            crate::object::Kind::DestinationRule(rule) => rule.host.clone(),
            _ => String::new(),
        };
        objects.iter().map(host).collect::<Vec<_>>()
    };
    let before = Objects::default().update(both(&host("old"), &host("override")));
    assert_eq!(hosts(&before), ["override"]);
    for broken in ["a: [", &host("''")] {
        let after = before.update(both(&host("old"), broken));
        assert_eq!(hosts(&after), ["override"], "the earlier file does not come back: {broken}");
    }
    assert_eq!(hosts(&before.update(both("a: [", &host("newer")))), ["newer"], "a later file counts");
    let gone = host("x").replace("name: d", "name: d, deletionTimestamp: '2026-01-01T00:00:00Z'");
    let first = Objects::default().update(both(&host("old"), ""));
    assert!(hosts(&first.update(both("a: [", &gone))).is_empty(), "a deletion counts");
}

#[test]
fn a_field_that_is_null_is_not_there() {
    let read = one(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  gateways:\n  http:\n  - match:\n    route: [{destination: {host: b}, weight: ~}]\n",
    );
    assert_eq!((shown(&read), read.objects.len()), (vec![], 1));
}

#[test]
fn a_deletion_in_a_later_source_removes_the_object() {
    let namespace = SourceFile { path: "a/f.yaml".into(), text: "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n".into() };
    let gone = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}\n";
    let gone = SourceFile { path: "b/f.yaml".into(), text: gone.into() };
    let read = read(&[namespace, gone]);
    assert_eq!((read.objects.len(), read.findings.len()), (0, 0));
}

#[test]
fn a_deletion_needs_no_spec() {
    for (version, kind) in [
        ("networking.istio.io/v1", "Gateway"),
        ("networking.istio.io/v1", "VirtualService"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        ("v1", "Service"),
        ("v1", "Pod"),
        ("apps/v1", "Deployment"),
    ] {
        let gone = "{name: x, deletionTimestamp: '2026-01-01T00:00:00Z'}";
        let read = one(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {gone}\n"));
        assert_eq!((shown(&read), read.deleted.len(), read.rejected.len()), (vec![], 1, 0), "{kind}");
    }
}
