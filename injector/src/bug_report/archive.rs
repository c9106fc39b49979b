//! The archive: a .tar.gz into which only what was redacted gets.

use crate::redact;
use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// An archive that is being filled.
pub struct Archive {
    tar: tar::Builder<GzEncoder<File>>,
    root: String,
    path: PathBuf,
    time: Timestamp,
    /// So many files, by the folder that they are in.
    counts: BTreeMap<String, usize>,
    /// What could not be had.
    missing: Vec<String>,
}

impl Archive {
    /// A new one in the folder, named by the time. Only its owner may read it.
    pub fn create(folder: &std::path::Path, time: Timestamp) -> Result<Archive> {
        use std::os::unix::fs::OpenOptionsExt;
        let root = format!("weir-bug-report-{}", time.strftime("%Y%m%dT%H%M%SZ"));
        let path = folder.join(format!("{root}.tar.gz"));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).with_context(|| path.display().to_string())?;
        let tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        Ok(Archive { tar, root, path, time, counts: BTreeMap::new(), missing: Vec::new() })
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, text: &str) -> Result<()> {
        let text = redact::text(text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len().try_into()?);
        header.set_mode(0o600);
        header.set_mtime(self.time.as_second().try_into().unwrap_or(0));
        self.tar.append_data(&mut header, format!("{}/{name}", self.root), text.as_bytes())?;
        let folder = name.split_once('/').map_or(name, |(folder, _)| folder);
        *self.counts.entry(folder.into()).or_default() += 1;
        Ok(())
    }

    /// Adds objects, as documents of one YAML file; none make no file.
    pub fn objects(&mut self, name: &str, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        let mut text = String::new();
        for object in objects {
            text += &format!("---\n{}", serde_saphyr::to_string(&redact::object(object))?);
        }
        if text.is_empty() { Ok(()) } else { self.text(name, &text) }
    }

    /// Notes what could not be had, and why.
    pub fn lacks(&mut self, what: &str, why: impl std::fmt::Display) -> Result<()> {
        self.missing.push(format!("{what}: {why}"));
        Ok(())
    }

    /// Ends it: its path, what is in it, and what is not.
    pub fn finish(mut self) -> Result<(PathBuf, BTreeMap<String, usize>, Vec<String>)> {
        if !self.missing.is_empty() {
            self.text("missing.txt", &(self.missing.join("\n") + "\n"))?;
        }
        self.tar.into_inner()?.finish()?;
        Ok((self.path, self.counts, self.missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use serde_json::json;
    use std::io::Read;

    #[test]
    fn nothing_gets_in_that_was_not_redacted() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::create(folder.path(), Timestamp::UNIX_EPOCH).unwrap();
        archive.text("logs/a.log", "Bearer abcdefghijk").unwrap();
        archive.objects("istio/a.yaml", [json!({"password": "x"})]).unwrap();
        archive.objects("istio/none.yaml", []).unwrap();
        archive.lacks("logs/b.log", "Bearer abcdefghijk").unwrap();
        let (path, counts, missing) = archive.finish().unwrap();
        assert_eq!((counts.len(), missing.len()), (3, 1));
        let mut found = Vec::new();
        for entry in tar::Archive::new(GzDecoder::new(File::open(path).unwrap())).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        let name = |name: &str| format!("weir-bug-report-19700101T000000Z/{name}");
        assert_eq!(
            found,
            [
                (name("logs/a.log"), "Bearer REMOVED".to_string()),
                (name("istio/a.yaml"), "---\npassword: REMOVED\n".to_string()),
                (name("missing.txt"), "logs/b.log: Bearer REMOVED\n".to_string()),
            ]
        );
    }
}
