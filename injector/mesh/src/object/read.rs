//! Files in, typed objects out, with what is wrong named by file, line and field.

use super::parse::{known_kind, parse};
use super::yaml::{self, Document};
use super::{Key, Object, Positions, Read, Rejected, SourceFile, finding, validate};
use crate::finding::{Finding, Place, Severity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Kinds without a namespace.
const CLUSTER_SCOPED: [&str; 2] = ["Namespace", "IPAddress"];
/// Kinds that belong to an application and say nothing about its traffic: ignored without a word.
const SILENT: [&str; 3] = ["ServiceAccount", "ConfigMap", "Secret"];

/// Reads files in their order; later files override objects of earlier ones (a warning when both stand in one folder).
/// An object with `metadata.deletionTimestamp` removes one of the same key.
pub fn read(files: &[SourceFile]) -> Read {
    let mut reader = Reader::default();
    for file in files {
        reader.file(file);
    }
    let (deleted, objects): (Vec<_>, Vec<_>) = reader.objects.into_values().partition(|object| object.meta.deletion_timestamp.is_some());
    Read {
        objects,
        findings: reader.findings,
        rejected: reader.rejected,
        deleted: deleted.into_iter().map(|object| object.key).collect(),
        files: files.iter().map(|file| file.path.clone()).collect(),
    }
}

#[derive(Default)]
struct Reader {
    objects: BTreeMap<Key, Object>,
    findings: Vec<Finding>,
    rejected: Vec<Rejected>,
    ignored_kinds: BTreeSet<String>,
}

impl Reader {
    fn file(&mut self, file: &SourceFile) {
        let place = Place { file: file.path.clone(), line: 0, column: 0 };
        for document in yaml::documents(&file.text) {
            match document {
                Ok(document) => self.document(&place, document),
                Err(error) => {
                    // Which objects the document held is not known.
                    self.rejected.push(Rejected::File(file.path.clone()));
                    self.findings.push(Finding {
                        severity: Severity::Error,
                        code: Some("IST0106"),
                        object: String::new(),
                        field: String::new(),
                        place: Place { line: error.line, column: error.column, ..place.clone() },
                        message: format!("this is not YAML: {}; what the file said before stays in force", error.message),
                        snippet: error.snippet,
                    });
                }
            }
        }
    }

    fn document(&mut self, place: &Place, document: Document) {
        let Document { mut value, positions } = document;
        if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
            && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take)
        {
            for (i, item) in items.into_iter().enumerate() {
                self.object(place, item, positions.below(&format!("items[{i}]")));
            }
            return;
        }
        self.object(place, value, positions);
    }

    fn object(&mut self, file: &Place, value: Value, positions: Positions) {
        let (line, column) = positions.find("");
        let place = Place { line, column, ..file.clone() };
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let Some(known) = known_kind(&api_version, &kind) else {
            self.unknown_kind(&place, &api_version, &kind);
            return;
        };
        let namespace = match text("/metadata/namespace") {
            _ if CLUSTER_SCOPED.contains(&known) => String::new(),
            namespace if namespace.is_empty() => "default".into(),
            namespace => namespace,
        };
        let key = Key { kind: known, namespace, name: text("/metadata/name") };
        let mut problems = Problems { key: &key, place: &place, positions: &positions, found: Vec::new() };
        validate::key(&key, &mut problems);
        let parsed = parse(known, &api_version, value, &mut problems);
        let rejected = problems.found.iter().any(|finding| finding.severity == Severity::Error);
        self.findings.append(&mut problems.found);
        match parsed {
            Some((meta, kind)) if !rejected => self.keep(Object { key, meta, place, positions, kind }),
            _ => self.rejected.push(Rejected::Object(key)),
        }
    }

    fn keep(&mut self, object: Object) {
        if let Some(earlier) = self.objects.get(&object.key)
            && earlier.place.file.parent() == object.place.file.parent()
        {
            let message = format!("the object stands in {} too; the later one counts", earlier.place);
            self.findings.push(object.finding(Severity::Warning, None, "metadata.name", message));
        }
        // A later good state takes the place of an earlier broken one.
        self.rejected.retain(|rejected| *rejected != Rejected::Object(object.key.clone()));
        self.objects.insert(object.key.clone(), object);
    }

    fn unknown_kind(&mut self, place: &Place, api_version: &str, kind: &str) {
        let (severity, message) = if kind.is_empty() || api_version.is_empty() {
            (Severity::Error, "no Kubernetes object: it needs apiVersion and kind".to_string())
        } else if SILENT.contains(&kind) {
            return;
        } else if self.ignored_kinds.insert(format!("{api_version} {kind}")) {
            (Severity::Info, format!("{kind} ({api_version}) is not a kind that Weir reads; all of them are ignored"))
        } else {
            return;
        };
        self.findings.push(Finding {
            severity,
            code: None,
            object: String::new(),
            field: String::new(),
            place: place.clone(),
            message,
            snippet: String::new(),
        });
    }
}

/// Collects what is wrong with one object.
pub(super) struct Problems<'a> {
    key: &'a Key,
    place: &'a Place,
    positions: &'a Positions,
    found: Vec<Finding>,
}

impl Problems<'_> {
    pub(super) fn add(&mut self, severity: Severity, field: &str, message: String) {
        self.found.push(finding(self.key, self.place, self.positions, severity, Some("IST0106"), field, message));
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            names(&objects.update(one(&good.replace("number: 80", "number: x")))),
            ["Gateway default/g", "Namespace a"],
            "one object"
        );
        assert_eq!(names(&objects.update(one(&good.replace("kind: Gateway", "kind: Other")))), ["Namespace a"]);
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
        let host = |name: &str| {
            format!("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec: {{host: {name}}}\n")
        };
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
}
