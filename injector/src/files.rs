//! The user's objects in files: which files there are, and their text.

pub mod follow;
pub mod state;
pub mod watch;

use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use weir_mesh::finding::{Finding, Place, Severity};
use weir_mesh::object::{self, Read, Rejected, SourceFile};

/// Files and folders in their order: later ones override earlier ones.
#[derive(Clone, Debug)]
pub struct Sources(pub Vec<PathBuf>);

/// What reading them gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The files, in order.
    pub files: Vec<SourceFile>,
    /// Files and folders that could not be read.
    pub findings: Vec<Finding>,
    /// Paths that do not exist.
    pub missing: Vec<PathBuf>,
    /// All that exist, in order: files, and what could not be read.
    order: Vec<PathBuf>,
}

impl Sources {
    /// Reads all files. Of a folder those that lie directly in it and end in `.yaml`, `.yml` or `.json`, sorted by name: what is meant
    /// for later, such as the steps of a release, may lie in a folder inside.
    pub fn read(&self) -> Texts {
        let mut texts = Texts::default();
        for path in &self.0 {
            if path.is_dir() {
                texts.folder(path);
            } else if !texts.file(path) {
                texts.missing.push(path.clone());
            }
        }
        texts
    }

    /// The same of sources that a user names just now: each is to be there, and a folder to hold manifests.
    pub fn read_all(&self) -> Result<Texts> {
        let texts = self.read();
        if let Some(path) = texts.missing.first() {
            bail!("{}: there is no such file or folder", path.display());
        }
        let holds = |path: &Path| texts.order.iter().any(|found| found == path || found.parent() == Some(path));
        if let Some(path) = self.0.iter().find(|path| !holds(path)) {
            bail!("{}: no *.yaml, *.yml or *.json in this folder", path.display());
        }
        Ok(texts)
    }
}

impl Texts {
    /// The objects of the files. What cannot be read is rejected as a whole, as what is no YAML.
    pub fn read(&self) -> Read {
        let mut read = object::read(&self.files);
        read.rejected.extend(self.findings.iter().map(|finding| Rejected::File(finding.place.file.clone())));
        read.findings.splice(0..0, self.findings.iter().cloned());
        read.files.clone_from(&self.order);
        read
    }

    fn folder(&mut self, folder: &Path) {
        let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(folder, &error),
        };
        let mut paths: Vec<_> = entries.iter().map(|entry| entry.path()).filter(|path| is_manifest(path) && !path.is_dir()).collect();
        paths.sort();
        for path in paths {
            // A file that went away since is none.
            self.file(&path);
        }
    }

    /// Reads a file; false if there is none.
    fn file(&mut self, path: &Path) -> bool {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                self.order.push(path.to_path_buf());
                self.files.push(SourceFile { path: path.to_path_buf(), text });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            Err(error) => self.unreadable(path, &error),
        }
        true
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.order.push(path.to_path_buf());
        self.findings.push(Finding {
            severity: Severity::Error,
            code: None,
            object: String::new(),
            field: String::new(),
            place: Place { file: path.to_path_buf(), line: 0, column: 0 },
            message: format!("cannot be read: {error}"),
            snippet: String::new(),
        });
    }
}

/// Writes a file so that a reader sees all of it or what was there before.
pub fn write_atomically(path: &Path, text: &str) -> Result<()> {
    let name = path.file_name().context("a file has a name")?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    std::fs::write(&temporary, text).with_context(|| format!("writing {}", temporary.display()))?;
    std::fs::rename(&temporary, path).with_context(|| format!("writing {}", path.display()))
}

/// Whether a folder's entry is a manifest. Hidden files are an editor's.
fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_mesh::object::Objects;

    #[test]
    fn reads_the_manifests_directly_in_a_folder_sorted_and_in_the_order_of_the_sources() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("in/steps.yaml")).unwrap();
        for name in ["in/b.yaml", "in/a.yml", "in/.#a.yml", "in/a.yml~", "in/c.json", "in/steps.yaml/d.yaml", "alone.txt"] {
            std::fs::write(at(name), name).unwrap();
        }
        let texts = Sources(vec![at("alone.txt"), at("in"), at("later")]).read();
        let names: Vec<_> = texts.files.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(names, ["alone.txt", "in/a.yml", "in/b.yaml", "in/c.json"]);
        assert_eq!((texts.findings, texts.missing), (vec![], vec![at("later")]));
    }

    #[test]
    fn a_file_that_is_no_text_is_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        let texts = Sources(vec![path.clone()]).read();
        let shown: Vec<_> = texts.findings.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [format!("{}: error: cannot be read: stream did not contain valid UTF-8", path.display())]);
        assert_eq!(texts.read().rejected, [Rejected::File(path)]);
    }

    #[test]
    fn what_cannot_be_read_any_more_stands_where_it_stood() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| root.path().join(name);
        let rule = |host: &str| {
            format!("{{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {{name: d}}, spec: {{host: {host}}}}}")
        };
        for (name, host) in [("a", "first"), ("b", "second"), ("c", "third")] {
            std::fs::create_dir(folder(name)).unwrap();
            std::fs::write(folder(name).join("f.yaml"), rule(host)).unwrap();
        }
        for (sources, broken, counts) in [(["a", "b"], "b", "second"), (["b", "c"], "b", "third")] {
            let sources = Sources(sources.map(folder).into());
            let before = Objects::default().update(sources.read().read());
            let good = std::fs::read(folder(broken).join("f.yaml")).unwrap();
            std::fs::write(folder(broken).join("f.yaml"), [0xff, 0xfe]).unwrap();
            let after = before.update(sources.read().read());
            let hosts: Vec<_> = after.iter().map(|object| object.value["spec"]["host"].clone()).collect();
            assert_eq!(hosts, [counts], "{sources:?}");
            std::fs::write(folder(broken).join("f.yaml"), good).unwrap();
        }
    }
}
