//! What `weir apply -f` and `weir delete -f` leave: files that the control plane and the runner read after the user's own.

use super::rundir::RunDir;
use crate::files::write_atomically;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use weir_mesh::finding::Severity;
use weir_mesh::object::{Rejected, SourceFile, read};

/// An object's kind, namespace and name.
type Name = (String, String, String);

/// The folder of applied files. Each is newer than those before it, so what it says counts.
#[derive(Debug)]
pub struct Applied {
    dir: RunDir,
    files: Vec<(PathBuf, BTreeSet<Name>)>,
    number: u32,
}

impl Applied {
    /// Nothing applied yet.
    pub fn new(dir: RunDir) -> Applied {
        Applied { dir, files: Vec::new(), number: 0 }
    }

    /// Adds or replaces the objects of `text`; returns what to tell the user. A text that is no YAML is refused, and an object
    /// that is not valid leaves its last good state in force.
    pub fn apply(&mut self, file: &str, text: String) -> Result<String> {
        let read = read(&[SourceFile { path: PathBuf::from(file), text: text.clone() }]);
        let said: Vec<_> = read.findings.iter().map(ToString::to_string).collect();
        if read.rejected.iter().any(|rejected| matches!(rejected, Rejected::File(_))) {
            bail!("{}", said.join("\n"));
        }
        let objects = objects(&text)?;
        if objects.is_empty() {
            bail!("{file}: no objects");
        }
        let valid = read.findings.iter().all(|finding| finding.severity < Severity::Error);
        let names = objects.iter().map(name).collect::<Result<BTreeSet<_>>>()?;
        self.add("applied", text, names.clone(), valid)?;
        Ok(said.into_iter().chain(names.iter().map(|name| format!("{} applied", shown(name)))).collect::<Vec<_>>().join("\n"))
    }

    /// Removes the objects that `text` names.
    pub fn delete(&mut self, text: &str) -> Result<String> {
        let objects = objects(text)?;
        let names = objects.iter().map(name).collect::<Result<BTreeSet<_>>>()?;
        let removals = objects.iter().map(|object| {
            let (_, namespace, name) = name(object)?;
            // Any time will do: the file's place says since when.
            let metadata = json!({"name": name, "namespace": namespace, "deletionTimestamp": "2000-01-01T00:00:00Z"});
            Ok(format!("---\n{}\n", json!({"apiVersion": object.get("apiVersion"), "kind": object.get("kind"), "metadata": metadata})))
        });
        let text = removals.collect::<Result<String>>()?;
        self.add("deleted", text, names.clone(), true)?;
        Ok(names.iter().map(|name| format!("{} deleted", shown(name))).collect::<Vec<_>>().join("\n"))
    }

    fn add(&mut self, verb: &str, text: String, names: BTreeSet<Name>, valid: bool) -> Result<()> {
        self.number += 1;
        let path = self.dir.applied().join(format!("{:06}-{verb}.yaml", self.number));
        write_atomically(&path, &text)?;
        if valid {
            // Older files whose objects all stand in this one say nothing any more.
            let (stale, kept) = std::mem::take(&mut self.files).into_iter().partition(|(_, older)| older.is_subset(&names));
            self.files = kept;
            for (path, _) in stale {
                std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        self.files.push((path, names));
        Ok(())
    }
}

fn objects(text: &str) -> Result<Vec<Value>> {
    // As the control plane reads them: a namespace `n` is no `false`.
    let options = serde_saphyr::options! { legacy_octal_numbers: true, strict_booleans: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).context("not YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn name(object: &Value) -> Result<Name> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_string);
    let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else { bail!("an object needs kind and metadata.name") };
    let default = if kind == "Namespace" { "" } else { "default" };
    Ok((kind, text("/metadata/namespace").unwrap_or_else(|| default.into()), name))
}

fn shown((kind, namespace, name): &Name) -> String {
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, port: u16) -> String {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: n}}\nspec: {{ports: [{{port: {port}}}]}}\n")
    }

    fn files(dir: &RunDir) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(dir.applied()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_file_is_newer_and_those_that_say_nothing_any_more_go() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir(folder.path().into());
        std::fs::create_dir(dir.applied()).unwrap();
        let mut applied = Applied::new(dir.clone());
        assert_eq!(applied.apply("f", service("a", 1) + "---\n" + &service("b", 1)).unwrap(), "Service n/a applied\nService n/b applied");
        applied.apply("f", service("a", 2)).unwrap();
        applied.apply("f", service("a", 3)).unwrap();
        assert_eq!(files(&dir), ["000001-applied.yaml", "000003-applied.yaml"]);
        assert_eq!(applied.delete(&service("a", 3)).unwrap(), "Service n/a deleted");
        assert_eq!(files(&dir), ["000001-applied.yaml", "000004-deleted.yaml"]);

        let sources = files(&dir).into_iter().map(|name| {
            let path = dir.applied().join(name);
            SourceFile { text: std::fs::read_to_string(&path).unwrap(), path }
        });
        let read = read(&sources.collect::<Vec<_>>());
        assert_eq!(read.objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>(), ["Service n/b"]);
    }

    #[test]
    fn what_is_no_yaml_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir(folder.path().into());
        std::fs::create_dir(dir.applied()).unwrap();
        let mut applied = Applied::new(dir.clone());
        assert!(applied.apply("f.yaml", "a: [".into()).unwrap_err().to_string().contains("f.yaml"));
        assert!(applied.delete("a: [").is_err());
        assert_eq!(files(&dir), [""; 0]);
    }
}
