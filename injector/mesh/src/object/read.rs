//! Files in, typed objects out, with what is wrong named by file, line and field.

use super::kept::kept;
use super::parse::{known_kind, parse};
use super::yaml::{self, Document};
use super::{Key, Object, Positions, Read, Rejected, SourceFile, finding, shown, validate};
use crate::finding::{Finding, Place, Severity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Kinds without a namespace.
const CLUSTER_SCOPED: [&str; 3] = ["Namespace", "Node", "IPAddress"];
/// Kinds that belong to an application and say nothing about its traffic: ignored without a word.
const SILENT: [&str; 3] = ["ServiceAccount", "ConfigMap", "Secret"];

/// Reads files in their order; later files override objects of earlier ones (a warning when both stand in one folder).
/// An object with `metadata.deletionTimestamp` removes one of the same key.
pub fn read(files: &[SourceFile]) -> Read {
    let mut reader = Reader::default();
    for file in files {
        reader.file(file);
    }
    reader.done(files.iter().map(|file| file.path.clone()).collect())
}

/// Reads one object that comes from no file. One of a kind that Weir does not read gives nothing.
pub fn read_value(value: Value) -> Read {
    let mut reader = Reader::default();
    let nowhere = Path::new("");
    reader.object(nowhere, nowhere, value, Positions::default());
    reader.done(Vec::new())
}

#[derive(Default)]
struct Reader {
    objects: BTreeMap<Key, Object>,
    findings: Vec<Finding>,
    rejected: Vec<Rejected>,
    ignored: Vec<String>,
    ignored_kinds: BTreeSet<String>,
}

impl Reader {
    fn done(self, files: Vec<PathBuf>) -> Read {
        let (deleted, objects): (Vec<_>, Vec<_>) = self.objects.into_values().partition(|object| object.meta.deletion_timestamp.is_some());
        Read {
            objects,
            findings: self.findings,
            rejected: self.rejected,
            ignored: self.ignored,
            deleted: deleted.into_iter().map(|object| object.key).collect(),
            files,
        }
    }

    fn file(&mut self, file: &SourceFile) {
        if let Some(kept) = kept(&file.text) {
            for kept in kept {
                let positions = kept.positions();
                self.object(&kept.source, &kept.file, kept.object, positions);
            }
            return;
        }
        let place = Place { file: file.path.clone(), line: 0, column: 0 };
        for document in yaml::documents(&file.text) {
            match document {
                Ok(document) => self.document(&file.path, document),
                Err(error) => {
                    // Which objects the document held is not known.
                    self.rejected.push(Rejected::File(file.path.clone()));
                    self.findings.push(Finding {
                        severity: Severity::Error,
                        code: Some("IST0106"),
                        object: String::new(),
                        field: String::new(),
                        place: Place { line: error.line, column: error.column, ..place.clone() },
                        message: format!("this is not YAML: {}", error.message),
                        snippet: error.snippet,
                    });
                }
            }
        }
    }

    fn document(&mut self, file: &Path, document: Document) {
        let Document { mut value, positions } = document;
        if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
            && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take)
        {
            for (i, item) in items.into_iter().enumerate() {
                self.object(file, file, item, positions.below(&format!("items[{i}]")));
            }
            return;
        }
        self.object(file, file, value, positions);
    }

    /// Reads an object that its user wrote in `file`, and that was read from `source`.
    fn object(&mut self, source: &Path, file: &Path, value: Value, positions: Positions) {
        let (line, column) = positions.find("");
        let place = Place { file: file.to_path_buf(), line, column };
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let Some(known) = known_kind(&api_version, &kind) else {
            if !api_version.is_empty() && !kind.is_empty() {
                self.ignored.push(shown(&kind, &text("/metadata/namespace"), &text("/metadata/name")));
            } else {
                self.rejected.push(Rejected::File(source.to_path_buf()));
            }
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
        let is_known = problems.found.is_empty();
        let parsed = parse(known, &api_version, value.clone(), &mut problems);
        let rejected = problems.found.iter().any(|finding| finding.severity == Severity::Error);
        if !is_known {
            // Which object this was is not known, nor whether the file holds it elsewhere.
            problems.found.iter_mut().for_each(|finding| finding.object.clear());
            self.findings.append(&mut problems.found);
            self.rejected.push(Rejected::File(source.to_path_buf()));
            return;
        }
        self.findings.append(&mut problems.found);
        match parsed {
            Some((meta, kind)) if !rejected => {
                self.keep(Object { key, meta, source: source.to_path_buf(), place, positions, value, kind });
            }
            _ => self.rejected.push(Rejected::Object(key)),
        }
    }

    fn keep(&mut self, object: Object) {
        if let Some(earlier) = self.objects.get(&object.key)
            && earlier.source.parent() == object.source.parent()
        {
            let message = format!("the object stands in {} too; the later one counts", earlier.place);
            self.findings.push(object.finding(Severity::Warning, None, "metadata.name", message));
        }
        // A later good state takes the place of an earlier broken one, and nobody needs to mend that.
        let rejected = Rejected::Object(object.key.clone());
        if self.rejected.contains(&rejected) {
            self.rejected.retain(|other| *other != rejected);
            let name = object.key.to_string();
            self.findings.retain(|finding| finding.severity < Severity::Error || finding.object != name);
        }
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
mod tests;
