//! What `weir apply -f` and `weir delete -f` changed: a layer over the user's own files, until they are edited.

use super::rundir::RunDir;
use crate::files::{Sources, write_atomically};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::mesh::{self, Options};
use weir_mesh::object::{Kept, Key, Object, Objects, Rejected, SourceFile, keep, read};

/// The layer. The control plane reads it from one file, which comes after those of the user.
#[derive(Debug)]
pub struct Applied {
    path: PathBuf,
    sources: Sources,
    options: Options,
    files: Objects,
    /// The sources that were gone at the last look.
    missing: Vec<PathBuf>,
    layer: Layer,
}

type Layer = BTreeMap<Key, Change>;

/// What became of one object.
#[derive(Clone, Debug)]
struct Change {
    /// What it is now; none: it was deleted.
    now: Option<Arc<Object>>,
    /// What the user's files said then.
    before: Option<Arc<Object>>,
}

/// What to tell the one who asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What was done, and what to know about it.
    pub done: Vec<String>,
    /// What could not be done.
    pub failed: Vec<String>,
}

impl Applied {
    /// Nothing applied yet to the objects of the user's files.
    pub fn new(dir: &RunDir, sources: Sources, options: Options) -> Applied {
        let path = dir.applied().join("objects.json");
        Applied { path, sources, options, files: Objects::default(), missing: Vec::new(), layer: Layer::new() }
    }

    /// Reads the user's files: what is wrong with them, and what to tell. The newest write counts: an object that its file says
    /// anew, or no more, is what the file says.
    pub fn follow(&mut self) -> Result<(Vec<Finding>, Vec<String>)> {
        self.read(true)
    }

    /// Unless they are `quiet` one of them may be written just now: then what it lacks is not taken for removed.
    fn read(&mut self, quiet: bool) -> Result<(Vec<Finding>, Vec<String>)> {
        let texts = self.sources.read();
        let mut read = texts.read();
        let mut findings = std::mem::take(&mut read.findings);
        let before = std::mem::take(&mut self.files);
        self.files = before.update(read);
        self.files.note_kept(&before, &mut findings);
        let mut said = Vec::new();
        if quiet {
            let gone = texts.missing.iter().filter(|path| !self.missing.contains(path));
            said.extend(gone.map(|path| format!("{}: there is no such file or folder any more", path.display())));
            self.missing = texts.missing;
        }
        let mut layer = self.layer.clone();
        layer.retain(|key, change| match (self.files.get(key), &change.before) {
            // A last good state that stays is not what its file says.
            (Some(now), _) if before.get(key).is_some_and(|before| Arc::ptr_eq(before, now)) => true,
            (Some(now), _) if change.now.as_ref().is_some_and(|change| change.value == now.value) => false,
            (Some(now), Some(before)) if before.value == now.value => true,
            (Some(now), _) => {
                let verb = if change.now.is_some() { "apply" } else { "delete" };
                said.push(format!("{key}: {} was edited and counts again, no longer `weir {verb}`", now.place));
                false
            }
            (None, Some(before)) if quiet => {
                let file = before.place.file.display();
                said.extend(
                    change.now.as_ref().map(|_| format!("{key} was removed from {file}, and with it what `weir apply` made of it")),
                );
                false
            }
            (None, _) => true,
        });
        if layer.len() < self.layer.len() {
            self.write(layer)?;
        }
        Ok((findings, said))
    }

    /// The objects in force.
    pub fn in_force(&self) -> Objects {
        self.files.with(self.layer.iter().map(|(key, change)| (key, change.now.as_ref())))
    }

    /// Adds or replaces the objects of these files; those that are not valid stay as they are.
    pub fn apply(&mut self, files: &[SourceFile]) -> Result<Answer> {
        let mut answer = self.refresh()?;
        let read = read(files);
        let (errors, warnings): (Vec<_>, Vec<_>) = read.findings.iter().partition(|finding| finding.severity == Severity::Error);
        answer.failed.extend(errors.into_iter().map(ToString::to_string));
        answer.done.extend(warnings.into_iter().filter(|finding| finding.severity == Severity::Warning).map(ToString::to_string));
        let before = mesh::build(&self.in_force(), &self.options).1;
        let mut layer = self.layer.clone();
        let mut changed = Vec::new();
        for object in read.objects {
            changed.push((object.key.to_string(), "applied"));
            self.put(&mut layer, object.key.clone(), Some(object));
        }
        for key in read.deleted {
            changed.push((key.to_string(), "deleted"));
            self.put(&mut layer, key, None);
        }
        self.write(layer)?;
        self.finish(answer, before, &changed, read.ignored)
    }

    /// Removes the objects that these files name.
    pub fn delete(&mut self, files: &[SourceFile]) -> Result<Answer> {
        let mut answer = self.refresh()?;
        let read = read(files);
        let nameless = read.findings.iter().filter(|finding| finding.severity == Severity::Error && finding.object.is_empty());
        answer.failed.extend(nameless.map(ToString::to_string));
        // What goes need not be valid.
        let rejected = read.rejected.into_iter().filter_map(|rejected| match rejected {
            Rejected::Object(key) => Some(key),
            Rejected::File(_) => None,
        });
        let keys = read.objects.into_iter().map(|object| object.key).chain(read.deleted).chain(rejected);
        let now = self.in_force();
        let before = mesh::build(&now, &self.options).1;
        let mut layer = self.layer.clone();
        let mut changed = Vec::new();
        let mut going = BTreeSet::new();
        for key in keys {
            // With a Namespace goes all that is in it, as in a cluster.
            let inside = now.iter().map(|object| &object.key).filter(|other| key.kind == "Namespace" && other.namespace == key.name);
            let found: Vec<_> = inside.chain(now.get(&key).map(|object| &object.key)).cloned().collect();
            if found.is_empty() {
                answer.failed.push(format!("{key}: not found"));
            }
            going.extend(found);
        }
        for key in going {
            changed.push((key.to_string(), "deleted"));
            self.put(&mut layer, key, None);
        }
        self.write(layer)?;
        self.finish(answer, before, &changed, read.ignored)
    }

    /// What was edited a moment ago is older than what is asked for now.
    fn refresh(&mut self) -> Result<Answer> {
        Ok(Answer { done: self.read(false)?.1, failed: Vec::new() })
    }

    /// What the files say may be known here alone, or be there for the control plane alone: so the layer says it all.
    fn put(&self, layer: &mut Layer, key: Key, object: Option<Object>) {
        let before = self.files.get(&key).cloned();
        let now = object.map(|object| Arc::new(Object { source: self.path.clone(), ..object }));
        layer.insert(key, Change { now, before });
    }

    /// The layer's file holds all of it, so that the control plane sees a change as a whole.
    fn write(&mut self, layer: Layer) -> Result<()> {
        let kept = layer.iter().map(|(key, change)| match &change.now {
            Some(object) => Kept::from(&**object),
            None => Kept::removal(key, &self.path),
        });
        write_atomically(&self.path, &keep(kept)?)?;
        self.layer = layer;
        Ok(())
    }

    /// Adds what was done, after what is found about it, also of other objects that it concerns.
    fn finish(&self, mut answer: Answer, before: Vec<Finding>, changed: &[(String, &str)], ignored: Vec<String>) -> Result<Answer> {
        let ours = |finding: &Finding| changed.iter().any(|(name, _)| *name == finding.object);
        let findings = mesh::build(&self.in_force(), &self.options).1;
        let new = findings.iter().filter(|finding| finding.severity >= Severity::Warning && (ours(finding) || !before.contains(finding)));
        answer.done.extend(new.map(ToString::to_string));
        answer.done.extend(changed.iter().map(|(name, done)| format!("{name} {done}")));
        answer.done.extend(ignored.into_iter().map(|name| format!("{name} ignored: Weir does not read this kind")));
        if answer == Answer::default() {
            answer.failed.push("no objects in it".into());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
