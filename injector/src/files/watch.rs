//! Notices that sources change: written in place, renamed over, or that appear where there was nothing.

use super::{Sources, is_manifest};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// After a first event: wait until nothing happens for so long.
const QUIET: Duration = Duration::from_millis(30);
/// ... but not longer than this: an edit arrives at the Envoys within 300 ms.
const LONGEST: Duration = Duration::from_millis(100);
/// Where the kernel cannot watch (its limit of watches is reached), look so often.
const BLIND: Duration = Duration::from_secs(1);

/// A watch over all sources.
pub struct Watch {
    sources: Vec<PathBuf>,
    /// The sources, and where their symlinks lead now.
    interesting: Arc<Mutex<Vec<PathBuf>>>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
    blind: bool,
}

impl Watch {
    /// Watches from now on.
    pub fn new(sources: &Sources) -> Watch {
        let sources: Vec<_> = sources.0.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
        let changed = Arc::new(Notify::new());
        let interesting = Arc::<Mutex<Vec<PathBuf>>>::default();
        let mut watch = Watch {
            sources,
            interesting: interesting.clone(),
            watcher: None,
            folders: BTreeSet::new(),
            changed: changed.clone(),
            blind: false,
        };
        let tell = move |event: notify::Result<Event>| {
            let matters = |event: Event| matters(&event, &interesting.lock().unwrap_or_else(PoisonError::into_inner));
            if event.map_or(true, matters) {
                changed.notify_one();
            }
        };
        match notify::recommended_watcher(tell) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.go_blind(&error),
        }
        watch.renew();
        watch
    }

    /// Returns when the sources may have changed and have been quiet since.
    pub async fn changed(&mut self) {
        if self.blind {
            let _ = timeout(BLIND, self.changed.notified()).await;
        } else {
            self.changed.notified().await;
        }
        let end = Instant::now() + LONGEST;
        tokio::select! {
            () = sleep_until(end) => {}
            () = async { while timeout(QUIET, self.changed.notified()).await.is_ok() {} } => {}
        }
        self.renew();
    }

    /// Watches the folders that exist now, and what symlinks lead to now. Call it before reading, so that no write falls in between.
    fn renew(&mut self) {
        let interesting = self.sources.iter().flat_map(|path| [Some(path.clone()), path.canonicalize().ok()]).flatten().collect();
        *self.interesting.lock().unwrap_or_else(PoisonError::into_inner) = interesting;
        let mut wanted = BTreeMap::new();
        for (id, folder) in self.sources.iter().flat_map(|path| folders_of(path)) {
            // The kernel watches a folder once, by whichever name came last.
            wanted.entry(id).or_insert(folder);
        }
        let wanted: BTreeSet<_> = wanted.into_values().collect();
        let Some(watcher) = self.watcher.as_mut() else { return };
        for folder in self.folders.difference(&wanted) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        let mut failed = None;
        for folder in &wanted {
            // Also those that are watched already: one that was removed and made anew has lost its watch.
            failed = watcher.watch(folder, RecursiveMode::NonRecursive).err().or(failed);
        }
        self.folders = wanted;
        if let Some(error) = failed {
            self.go_blind(&error);
        }
    }

    fn go_blind(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.blind, true) {
            tracing::warn!("cannot watch the files ({error}): looking at them every {} s", BLIND.as_secs());
        }
    }
}

/// Whether an event can have changed what we read. Reading itself causes events: those do not count.
fn matters(event: &Event, sources: &[PathBuf]) -> bool {
    let reads = matches!(event.kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write));
    let about = |path: &PathBuf| sources.iter().any(|source| source.starts_with(path) || may_lead_to(path, source));
    !reads && (event.paths.is_empty() || event.need_rescan() || event.paths.iter().any(about))
}

/// Whether `path` is a manifest in the folder `source`, or a symlink there or beside `source` by which it may be reached, as in a
/// mounted ConfigMap.
fn may_lead_to(path: &Path, source: &Path) -> bool {
    let is_inside = path.parent() == Some(source);
    is_inside && is_manifest(path) || (is_inside || path.parent() == source.parent()) && path.is_symlink()
}

/// The folders, with device and inode, where a change of `path` shows: itself if it is one, and the nearest that exists above it, also
/// where a symlink leads.
fn folders_of(path: &Path) -> Vec<((u64, u64), PathBuf)> {
    let target = path.canonicalize().ok().filter(|target| target != path);
    let mut folders = Vec::new();
    for path in [Some(path.to_path_buf()), target].into_iter().flatten() {
        folders.extend(folder(&path));
        folders.extend(path.ancestors().skip(1).find_map(folder));
    }
    folders
}

fn folder(path: &Path) -> Option<((u64, u64), PathBuf)> {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some(((metadata.dev(), metadata.ino()), path.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    async fn sees(watch: &mut Watch, change: impl FnOnce()) -> bool {
        change();
        timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn notices_writes_renames_and_folders_that_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (root.path().join("a.yaml"), root.path().join("run/applied"));
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::new(&Sources(vec![file.clone(), folder.clone()]));
        assert!(sees(&mut watch, || fs::write(&file, "2").unwrap()).await, "written in place");
        for round in 0..2 {
            fs::write(root.path().join("b"), "3").unwrap();
            assert!(sees(&mut watch, || fs::rename(root.path().join("b"), &file).unwrap()).await, "renamed over, round {round}");
            assert!(sees(&mut watch, || fs::create_dir_all(&folder).unwrap()).await, "folder appears, round {round}");
            assert!(sees(&mut watch, || fs::write(folder.join("c.yaml"), "4").unwrap()).await, "file in it, round {round}");
            assert!(sees(&mut watch, || fs::remove_dir_all(root.path().join("run")).unwrap()).await, "folder goes, round {round}");
        }
    }

    #[tokio::test]
    async fn reading_and_files_beside_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder, log) = (root.path().join("a.yaml"), root.path().join("in"), root.path().join("envoy.log"));
        fs::write(&file, "1").unwrap();
        fs::create_dir(&folder).unwrap();
        let mut watch = Watch::new(&Sources(vec![file.clone(), folder.clone()]));
        for _ in 0..10 {
            fs::read(&file).unwrap();
            fs::write(&log, "x").unwrap();
            for name in ["notes.txt", ".b.yaml.swp", "b.yaml~"] {
                fs::write(folder.join(name), "x").unwrap();
            }
        }
        assert!(timeout(Duration::from_millis(200), watch.changed()).await.is_err());
        assert!(sees(&mut watch, || fs::write(folder.join("b.yaml"), "1").unwrap()).await, "a manifest");
    }

    #[tokio::test]
    async fn follows_a_symlink_to_where_it_leads_now() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir_all(at(version)).unwrap();
            fs::write(at(version).join("f.yaml"), version).unwrap();
        }
        fs::create_dir(at("mount")).unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(at(target), at("new")).unwrap();
            fs::rename(at("new"), at(name)).unwrap();
        };
        link("1/f.yaml", "a.yaml");
        link("1", "mount/..data");
        link("mount/..data/f.yaml", "mount/b.yaml");
        for sources in [vec![at("a.yaml")], vec![at("mount")], vec![at("mount/b.yaml")]] {
            let mut watch = Watch::new(&Sources(sources.clone()));
            let relink = |target: &str| match sources.contains(&at("a.yaml")) {
                true => link(&format!("{target}/f.yaml"), "a.yaml"),
                false => link(target, "mount/..data"),
            };
            assert!(sees(&mut watch, || relink("2")).await, "{sources:?} leads elsewhere");
            if !sources.contains(&at("mount")) {
                assert!(sees(&mut watch, || fs::write(at("2/f.yaml"), "3").unwrap()).await, "{sources:?}, where it leads now");
            }
            relink("1");
        }
    }
}
