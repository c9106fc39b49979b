//! Container images without a container engine: one layer of files, as `docker save` would write it.

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tar::{Builder, EntryType, Header};

/// What an image holds and how it starts.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its names, with tags: `docker.io/library/weir:0.1.0`.
    pub names: Vec<String>,
    /// Its files: path inside to path on this machine. The shared libraries of a program come along.
    pub files: BTreeMap<PathBuf, PathBuf>,
    /// Program and arguments.
    pub entrypoint: Vec<String>,
    /// `UID:GID`.
    pub user: String,
}

impl Image {
    /// Writes the image to a file.
    pub fn write(&self, to: &Path) -> Result<()> {
        let layer = self.layer()?;
        let layer_digest = hex(&layer);
        let config = json!({
            "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
        });
        let config = serde_json::to_vec(&config)?;
        let (config_name, layer_name) = (format!("{}.json", hex(&config)), format!("{layer_digest}/layer.tar"));
        let manifest = serde_json::to_vec(&json!([{"Config": config_name, "RepoTags": self.names, "Layers": [layer_name]}]))?;
        let mut archive = Builder::new(std::io::BufWriter::new(std::fs::File::create(to)?));
        for (name, bytes) in [(config_name.as_str(), &config), (&layer_name, &layer), ("manifest.json", &manifest)] {
            let mut header = header(EntryType::Regular, 0o644);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes.as_slice())?;
        }
        archive.into_inner()?.flush().with_context(|| to.display().to_string())
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut files = self.files.clone();
        for program in self.files.values() {
            files.extend(libraries(program).into_iter().map(|library| (library.clone(), library)));
        }
        let mut layer = Builder::new(Vec::new());
        for (folder, mode) in [("tmp", 0o1777), ("etc", 0o755), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755), ("run", 0o755)] {
            layer.append_data(&mut header(EntryType::Directory, mode), folder, std::io::empty())?;
        }
        for (inside, file) in files {
            let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let mut header = header(EntryType::Regular, 0o755);
            header.set_size(bytes.len() as u64);
            layer.append_data(&mut header, inside.strip_prefix("/").unwrap_or(&inside), bytes.as_slice())?;
        }
        Ok(layer.into_inner()?)
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header
}

/// The shared libraries that a program loads; none for one that loads none, and for what is no program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let Ok(output) = Command::new("ldd").arg(program).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(|word| word.trim_end_matches(':').into()).collect()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
