//! The filters' Wasm modules: finds them, and gives each a file name that is its hash, so that a changed module is a new file to Envoy.

pub mod pull;
pub mod store;

use anyhow::Context;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use store::Store;
use weir_mesh::mesh::Module;

/// The modules of this release.
pub const NAMES: [&str; 2] = ["weir-canary", "weir-locality"];

/// The folder of the modules: what the user said, else `$WEIR_MODULES`, else `modules` beside the executable or beside its folder.
pub fn folder(named: Option<&Path>) -> Option<PathBuf> {
    let named = named.map(Path::to_path_buf).or_else(|| std::env::var_os("WEIR_MODULES").map(PathBuf::from));
    let beside = || {
        let executable = std::env::current_exe().ok()?;
        executable.ancestors().skip(1).take(2).map(|folder| folder.join("modules")).find(|folder| folder.is_dir())
    };
    named.or_else(beside)
}

/// Modules that are there, and what is wrong with the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// By name.
    pub found: BTreeMap<String, Module>,
    /// One text for each module that cannot be used.
    pub missing: Vec<String>,
}

/// All modules, built or not, for those who only look for what is wrong with objects: whether modules are built is said elsewhere.
pub fn all() -> BTreeMap<String, Module> {
    let folder = folder(None).unwrap_or_default();
    let module = |name: &str| {
        let file = folder.join(format!("{name}.wasm"));
        Module::File { sha256: std::fs::read(&file).ok().map(|bytes| digest(&bytes)), path: file }
    };
    NAMES.map(|name| (name.to_string(), module(name))).into()
}

/// Takes the modules of `folder` into what the control plane serves.
pub fn serve(folder: &Path, store: &Store) -> Modules {
    let mut modules = Modules::default();
    for name in NAMES {
        let source = folder.join(format!("{name}.wasm"));
        match std::fs::read(&source).with_context(|| source.display().to_string()) {
            Ok(bytes) => drop(modules.found.insert(name.to_string(), Module::Served { sha256: store.put(bytes.into()) })),
            Err(error) => modules.missing.push(format!("module {name}: {error:#}")),
        }
    }
    modules
}

/// Places every module of `folder` in it once more, as `SHA256.wasm`.
pub fn place(folder: &Path) -> Modules {
    let mut modules = Modules::default();
    for name in NAMES {
        match place_one(folder, name) {
            Ok(module) => drop(modules.found.insert(name.to_string(), module)),
            Err(error) => modules.missing.push(format!("module {name}: {error:#}; `make wasm` builds it")),
        }
    }
    modules
}

/// Copies the modules of `from` into another folder, each by its hash; those hashes.
pub fn hand_out(from: &Path, to: &Path) -> anyhow::Result<BTreeSet<String>> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    let one = |name: &str| {
        let source = from.join(format!("{name}.wasm"));
        let bytes = std::fs::read(&source).with_context(|| source.display().to_string())?;
        let hash = digest(&bytes);
        let target = to.join(format!("{hash}.wasm"));
        std::fs::write(&target, bytes).with_context(|| target.display().to_string())?;
        Ok(hash)
    };
    NAMES.into_iter().map(one).collect()
}

/// The sha256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether it is one, as [`digest`] writes it.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn place_one(folder: &Path, name: &str) -> anyhow::Result<Module> {
    let source = folder.join(format!("{name}.wasm"));
    let bytes = std::fs::read(&source).with_context(|| source.display().to_string())?;
    let hash = digest(&bytes);
    let path = std::path::absolute(folder.join(format!("{hash}.wasm")))?;
    if std::fs::read(&path).is_ok_and(|there| digest(&there) == hash) {
        return Ok(Module::File { path, sha256: Some(hash) });
    }
    // A copy, not a link: whoever builds the module anew may write into the old file.
    let place = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(&path)?;
        Ok(())
    };
    place().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Module::File { path, sha256: Some(hash) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_a_module_by_its_hash_and_names_the_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weir-canary.wasm"), "abc").unwrap();
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let placed = folder.path().join(format!("{hash}.wasm"));
        let canary = Module::File { path: placed.clone(), sha256: Some(hash.into()) };
        let missing = folder.path().join("weir-locality.wasm").display().to_string();
        let expected = Modules {
            found: BTreeMap::from([("weir-canary".to_string(), canary)]),
            missing: vec![format!("module weir-locality: {missing}: No such file or directory (os error 2); `make wasm` builds it")],
        };
        assert_eq!(place(folder.path()), expected);
        assert_eq!(place(folder.path()), expected, "a second time");
        assert_eq!(std::fs::read(&placed).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
        std::fs::write(&placed, "damaged").unwrap();
        place(folder.path());
        assert_eq!(std::fs::read(&placed).unwrap(), b"abc");
    }
}
