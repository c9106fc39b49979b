//! The objects in force, in a file: so that a control plane that starts while a source is broken goes on where the last one ended.

use super::{Sources, write_atomically};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use weir_mesh::finding::{Finding, Severity};
use weir_mesh::object::{Kept, Objects, keep};

/// The file.
#[derive(Clone, Debug)]
pub struct State(PathBuf);

impl State {
    /// In a folder, which is made if it is not there.
    pub fn within(folder: &Path) -> Result<State> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(State(folder.join("objects.json")))
    }

    /// What was in force when it was written last, nothing if it never was, and what of it cannot be read.
    pub fn load(&self) -> (Objects, Vec<Finding>) {
        let mut read = Sources(vec![self.0.clone()]).read().read();
        let mut findings = std::mem::take(&mut read.findings);
        // The others are found again where the objects come from.
        findings.retain(|finding| finding.severity == Severity::Error);
        (Objects::default().update(read), findings)
    }

    /// Writes what is in force now.
    pub fn save(&self, objects: &Objects) -> Result<()> {
        write_atomically(&self.0, &keep(objects.iter().map(|object| Kept::from(&**object)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_mesh::object::{SourceFile, read};

    #[test]
    fn what_was_saved_is_loaded_and_a_folder_that_is_new_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::within(&folder.path().join("state")).unwrap();
        let loaded = || {
            let (objects, findings) = state.load();
            (objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>(), findings.len())
        };
        assert_eq!(loaded(), (vec![], 0));
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n".to_string();
        state.save(&Objects::default().update(read(&[SourceFile { path: "a.yaml".into(), text }]))).unwrap();
        assert_eq!(loaded(), (vec!["Namespace a".into()], 0));
        state.save(&Objects::default()).unwrap();
        assert_eq!(loaded(), (vec![], 0));
        std::fs::write(&state.0, "{\"kept\":[").unwrap();
        assert_eq!(loaded(), (vec![], 1), "what is lost is not lost without a word");
    }
}
