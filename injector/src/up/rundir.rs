//! The folder of a run: where it is, what lies in it, and how other commands find it.

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The file that tells a run's folder from any other.
const LOCK: &str = "weir.lock";
/// The longest path of a socket (`sockaddr_un`).
const SOCKET_PATH: usize = 107;

/// Names inside the folder.
#[derive(Clone, Debug)]
pub struct RunDir(pub PathBuf);

impl RunDir {
    /// Commands of other terminals connect here.
    pub fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The control plane answers here.
    pub fn serve_socket(&self) -> PathBuf {
        self.0.join("serve.sock")
    }

    /// What `weir apply` and `weir delete` left.
    pub fn applied(&self) -> PathBuf {
        self.0.join("applied")
    }

    /// What a cluster's own parts would write: pods, addresses.
    pub fn cluster(&self) -> PathBuf {
        self.0.join("cluster")
    }

    /// What the control plane keeps between its starts.
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// The filters' modules, for the control plane.
    pub fn modules(&self) -> PathBuf {
        self.0.join("modules")
    }

    /// A pod's files: Envoy's bootstrap, resolv.conf.
    pub fn pod(&self, namespace: &str, pod: &str) -> PathBuf {
        self.0.join("pods").join(format!("{pod}.{namespace}"))
    }

    /// A container's log.
    pub fn log(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.0.join("logs").join(format!("{pod}.{namespace}")).join(format!("{container}.log"))
    }

    /// The control plane's log.
    pub fn serve_log(&self) -> PathBuf {
        self.0.join("logs").join("weir-serve.log")
    }
}

/// A run's folder while `weir up` runs; a lock tells others that it does, however it ends.
#[derive(Debug)]
pub struct Owned {
    /// The folder.
    pub dir: RunDir,
    /// Made by us where nobody asked for it, so removed in the end.
    temporary: bool,
    _lock: File,
}

impl Owned {
    /// Makes the folder that the user named, or one of our own; removes what runs that died left behind.
    pub fn create(asked: Option<&Path>) -> Result<Owned> {
        let path = match asked {
            Some(path) => std::path::absolute(path)?,
            None => {
                let parent = parent();
                make_private(&parent)?;
                remove_abandoned(&parent);
                parent.join(std::process::id().to_string())
            }
        };
        if RunDir(path.clone()).control().as_os_str().len() > SOCKET_PATH {
            bail!("{}: too long a path for the sockets in it: choose a shorter --run-dir", path.display());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        // What lies in a run's folder is removed below.
        if !path.join(LOCK).exists() && std::fs::read_dir(&path)?.next().is_some() {
            bail!("{} holds files that are no run's: name a new or empty folder with --run-dir", path.display());
        }
        let Some(lock) = lock(&path)? else { bail!("{}: another weir up uses this folder", path.display()) };
        let dir = RunDir(path);
        for stale in [dir.control(), dir.serve_socket()] {
            let _ = std::fs::remove_file(stale);
        }
        for folder in [dir.applied(), dir.cluster(), dir.state(), dir.modules(), dir.0.join("logs"), dir.0.join("pods")] {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(folder)?;
        }
        Ok(Owned { dir, temporary: asked.is_none(), _lock: lock })
    }

    /// Removes the folder; one that the user named keeps its logs.
    pub fn remove(self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.dir.0);
        } else {
            let _ = std::fs::remove_file(self.dir.control());
            let _ = std::fs::remove_file(self.dir.serve_socket());
        }
    }
}

/// Where runs have their folders by default: this user's alone.
fn parent() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !folder.is_empty() && Path::new(&folder).is_dir() => PathBuf::from(folder).join("weir"),
        _ => std::env::temp_dir().join(format!("weir-{}", rustix::process::geteuid().as_raw())),
    }
}

fn make_private(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let metadata = folder.symlink_metadata()?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        bail!("{} is not a folder that only you can write to: remove it, or name another with --run-dir", folder.display());
    }
    Ok(())
}

/// The lock of a run's folder; none while a run has it.
fn lock(folder: &Path) -> Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

fn remove_abandoned(parent: &Path) {
    for folder in folders(parent) {
        // A folder without a lock file is about to get one.
        if folder.join(LOCK).exists() && lock(&folder).is_ok_and(|lock| lock.is_some()) {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Connects to the running mesh: the one in `asked`, else the only one of this user.
pub fn connect(asked: Option<&Path>) -> Result<UnixStream> {
    find(asked).map(|(stream, _)| stream)
}

/// The same, with its folder.
pub fn find(asked: Option<&Path>) -> Result<(UnixStream, RunDir)> {
    if let Some(path) = asked {
        return connect_to(RunDir(path.to_path_buf())).with_context(|| format!("no mesh runs in {}", path.display()));
    }
    let mut running = running();
    match (running.pop(), running.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => bail!(
            "no mesh runs here (looked in {}): start one with `weir up`, or name its folder with --run-dir; \
             what a cluster runs is kubectl's to show and to change",
            parent().display()
        ),
        (Some(last), _) => {
            let names = running.into_iter().chain([last]).map(|(_, dir)| format!("\n  --run-dir {}", dir.0.display()));
            bail!("several meshes run here; say which:{}", names.collect::<String>())
        }
    }
}

/// Whether a mesh of this user runs.
pub fn is_one_running() -> bool {
    !running().is_empty()
}

fn running() -> Vec<(UnixStream, RunDir)> {
    folders(&parent()).into_iter().filter_map(|folder| connect_to(RunDir(folder)).ok()).collect()
}

fn connect_to(dir: RunDir) -> std::io::Result<(UnixStream, RunDir)> {
    Ok((UnixStream::connect(dir.control())?, dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_folder_of_the_users_is_left_alone_and_one_of_a_run_is_cleared() {
        let folder = TempDir::new().unwrap();
        let note = folder.path().join("applied").join("notes.txt");
        std::fs::create_dir(folder.path().join("applied")).unwrap();
        std::fs::write(&note, "mine").unwrap();
        let refused = Owned::create(Some(folder.path())).unwrap_err().to_string();
        assert!(refused.contains("holds files that are no run's"), "{refused}");
        assert!(note.exists());

        let run = folder.path().join("run");
        let owned = Owned::create(Some(&run)).unwrap();
        std::fs::write(owned.dir.applied().join("objects.json"), "").unwrap();
        assert!(Owned::create(Some(&run)).unwrap_err().to_string().contains("another weir up uses"));
        owned.remove();
        let again = Owned::create(Some(&run)).unwrap();
        assert_eq!(std::fs::read_dir(again.dir.applied()).unwrap().count(), 0);
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_named() {
        let folder = TempDir::new().unwrap();
        let long = folder.path().join("x".repeat(100));
        assert!(Owned::create(Some(&long)).unwrap_err().to_string().contains("choose a shorter --run-dir"));
        assert!(!long.exists());
    }
}
