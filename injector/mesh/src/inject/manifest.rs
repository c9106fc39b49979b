//! Injection of the pod templates in a user's files: YAML in, YAML out.
//!
//! A document that stays as it is keeps its text, with comments. One that is changed is written anew: its fields keep their order, its
//! comments are lost.

use super::{Namespace, Selection, Values, inject as inject_pod, select, status, uninject as uninject_pod};
use crate::finding::{Finding, Place, Severity};
use crate::object::SourceFile;
use crate::object::yaml::{self, Document};
use serde_json::Value;

/// What a file's documents became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// All documents in their order. Of no use if a finding is an error.
    pub text: String,
    /// What is wrong, what is to be known, and which pods got no proxy.
    pub findings: Vec<Finding>,
}

/// How to inject.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The namespace of objects that name none.
    pub namespace: &'a str,
    /// The settings.
    pub values: &'a Values,
    /// The PEM by which proxies know the control plane; without one, an object that is to be injected is an error.
    pub ca: Option<&'a str>,
}

/// Kinds with a pod template: kind, group, and where in the object it is.
const KINDS: [(&str, &str, &str); 9] = [
    ("Pod", "", ""),
    ("ReplicationController", "", "/spec/template"),
    ("Deployment", "apps", "/spec/template"),
    ("StatefulSet", "apps", "/spec/template"),
    ("DaemonSet", "apps", "/spec/template"),
    ("ReplicaSet", "apps", "/spec/template"),
    ("Job", "batch", "/spec/template"),
    ("CronJob", "batch", "/spec/jobTemplate/spec/template"),
    ("Rollout", "argoproj.io", "/spec/template"),
];

/// Adds the proxy to all pods and pod templates that are to have one; whoever asks for this asks for all of a file's.
pub fn inject(file: &SourceFile, request: &Request) -> Output {
    edit(file, &|object, findings| {
        let name = |field: &str| object.value.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let namespace = name("namespace").unwrap_or(request.namespace);
        if let Selection::Skip(why_not) = select(object.template, &Namespace::asking(namespace, request.values), request.values) {
            findings.push((Severity::Info, String::new(), why_not.to_string()));
            return None;
        }
        let Some(ca) = request.ca else {
            findings.push((Severity::Error, String::new(), "the CA is needed by which the proxy knows the control plane".into()));
            return None;
        };
        let owner = if object.pointer.is_empty() { None } else { name("name") };
        match inject_pod(object.template, owner, request.values, ca) {
            Ok(injected) => {
                findings.extend(injected.warnings.into_iter().map(|warning| (Severity::Warning, String::new(), warning)));
                (!injected.patch.0.is_empty()).then_some(injected.pod)
            }
            Err(problems) => {
                findings.extend(problems.into_iter().map(|problem| (Severity::Error, problem.field, problem.message)));
                None
            }
        }
    })
}

/// Takes the proxy out of all pods and pod templates that Weir injected.
pub fn uninject(file: &SourceFile) -> Output {
    edit(file, &|object, findings| {
        let pod = uninject_pod(object.template);
        if pod.is_none() && status::text(object.template).is_some() {
            findings.push((Severity::Warning, String::new(), "another mesh's injector was here: it stays as it is".into()));
        }
        pod
    })
}

/// An object with a pod template.
struct Object<'a> {
    value: &'a Value,
    pointer: &'static str,
    template: &'a Value,
}

/// What is found about an object: how bad, the field, the message.
type Found = Vec<(Severity, String, String)>;
/// Makes another pod template of an object's; none: it stays.
type Edit<'a> = dyn Fn(&Object, &mut Found) -> Option<Value> + 'a;

fn edit(file: &SourceFile, edit: &Edit) -> Output {
    let mut output = Output::default();
    let mut line = 0;
    for text in chunks(&file.text) {
        match changed(file, text, line, edit, &mut output.findings) {
            Some(value) => {
                if is_separator(text) {
                    output.text.push_str("---\n");
                }
                output.text.push_str(&write(&value));
            }
            None => output.text.push_str(text),
        }
        line += text.lines().count();
    }
    output
}

/// The parts of a text that each hold one document, with the `---` in front of it. Inside of a document no line can begin so.
fn chunks(text: &str) -> Vec<&str> {
    let (mut chunks, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if is_separator(line) && at > start {
            chunks.extend(text.get(start..at));
            start = at;
        }
        at += line.len();
    }
    chunks.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    chunks
}

fn is_separator(text: &str) -> bool {
    text.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// The document of a chunk, if it is changed. Its lines are counted from `line`.
fn changed(file: &SourceFile, chunk: &str, line: usize, edit: &Edit, findings: &mut Vec<Finding>) -> Option<Value> {
    let place = |line: usize, column: usize| Place { file: file.path.clone(), line, column };
    let says_nothing = |line: &str| line.is_empty() || line.starts_with(['#', '%']) || line.starts_with("...") || is_separator(line);
    if chunk.lines().all(says_nothing) {
        return None;
    }
    let mut failed = |at: (usize, usize), message: String, snippet: String| {
        let place = place(line + at.0, at.1);
        let (object, field) = Default::default();
        findings.push(Finding { severity: Severity::Error, code: None, object, field, place, message, snippet });
    };
    let mut documents = yaml::documents(chunk);
    let mut document = match (documents.pop(), documents.is_empty()) {
        (None, _) => return None,
        (Some(Ok(document)), true) => document,
        (Some(Err(error)), true) => {
            failed((error.line, error.column), format!("this is not YAML: {}", error.message), error.snippet);
            return None;
        }
        (Some(_), false) => {
            failed((1, 1), "more than one document: --- goes between them".into(), String::new());
            return None;
        }
    };
    let mut is_changed = false;
    for (pointer, path) in objects(&document) {
        let Some(found) = document.value.pointer(&pointer) else { continue };
        let Some(object) = object(found) else { continue };
        let mut about = Found::new();
        let edited = edit(&object, &mut about);
        let (name, template) = (shown(found), format!("{pointer}{}", object.pointer));
        findings.extend(about.into_iter().map(|(severity, field, message)| {
            let (below, column) = document.positions.find(&path);
            let place = place(line + below, column);
            Finding { severity, code: None, object: name.clone(), field, place, message, snippet: String::new() }
        }));
        if let Some((slot, edited)) = document.value.pointer_mut(&template).zip(edited) {
            *slot = edited;
            is_changed = true;
        }
    }
    is_changed.then_some(document.value)
}

/// Where the objects of a document are: in a list, or the document itself; as JSON pointer and as path.
fn objects(document: &Document) -> Vec<(String, String)> {
    let is_list = document.value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match document.value.get("items").and_then(Value::as_array).filter(|_| is_list) {
        Some(items) => (0..items.len()).map(|i| (format!("/items/{i}"), format!("items[{i}]"))).collect(),
        None => vec![(String::new(), String::new())],
    }
}

fn object(value: &Value) -> Option<Object<'_>> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let group = text("apiVersion")?.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = text("kind")?;
    let (.., pointer) = KINDS.iter().find(|(known, of, _)| *known == kind && *of == group)?;
    // A Rollout may borrow the template of a Deployment.
    Some(Object { value, pointer, template: value.pointer(pointer).filter(|template| template.is_object())? })
}

fn shown(value: &Value) -> String {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = [text("/metadata/namespace"), text("/metadata/name")].join("/");
    format!("{} {}", text("/kind"), name.trim_start_matches('/'))
}

/// As kubectl writes it: block style, lists not indented, long texts in one line.
fn write(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text = serde_saphyr::to_string_with_options(value, options).unwrap_or_default();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
