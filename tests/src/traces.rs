//! What a run has on this machine, and what of it is still there after its end.

use crate::tools::{Process, family, processes};
use rustix::process::{Pid, getpid};
use std::collections::BTreeSet;
use std::path::Path;

/// What must be gone in the end.
#[derive(Debug)]
pub struct Traces {
    /// Part of a path that only this run's processes and mounts know.
    mark: String,
    /// Its processes: id and start.
    processes: BTreeSet<(i32, u64)>,
    /// Its namespaces, such as `net:[4026532281]`.
    namespaces: BTreeSet<String>,
    /// This machine's own network links, among which a run's have no place.
    links: BTreeSet<String>,
}

impl Traces {
    /// Of the `weir up` with this process id, all whose files lie in `folder`, which must have a name of its own.
    pub fn of(pid: u32, folder: &Path) -> Traces {
        let all = family(pid);
        let own = namespaces(getpid());
        Traces {
            mark: folder.file_name().expect("a folder with a name").to_string_lossy().into_owned(),
            processes: all.iter().filter_map(identity).collect(),
            namespaces: all.iter().flat_map(|process| namespaces(process.pid)).filter(|namespace| !own.contains(namespace)).collect(),
            links: links(),
        }
    }

    /// How many namespaces the run has.
    pub fn namespaces(&self) -> usize {
        self.namespaces.len()
    }

    /// What is left of it, each with what it is.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = links().difference(&self.links).map(|link| format!("network link {link}")).collect();
        for process in processes().iter().filter(|process| process.pid != getpid()) {
            let marked = ["cmdline", "environ", "mountinfo"].into_iter().find(|file| process.read(file).contains(&self.mark));
            let known = identity(process).is_some_and(|identity| self.processes.contains(&identity));
            let inside: Vec<_> = namespaces(process.pid).into_iter().filter(|namespace| self.namespaces.contains(namespace)).collect();
            // A process that has ended but whose parent has not asked yet holds nothing.
            let dead = process.arguments.is_empty() && inside.is_empty();
            if (known || marked.is_some() || !inside.is_empty()) && !dead {
                left.push(format!("process {} {:?}: {marked:?} {inside:?}", process.pid.as_raw_nonzero(), process.arguments));
            }
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(mounts.lines().filter(|line| line.contains(&self.mark)).map(|line| format!("mount {line}")));
        left
    }
}

fn identity(process: &Process) -> Option<(i32, u64)> {
    Some((process.pid.as_raw_nonzero().get(), process.parent_and_start()?.1))
}

fn namespaces(pid: Pid) -> Vec<String> {
    let kinds = ["net", "mnt", "pid", "user", "uts"];
    let links = kinds.map(|kind| std::fs::read_link(format!("/proc/{}/ns/{kind}", pid.as_raw_nonzero())));
    links.into_iter().flatten().map(|link| link.to_string_lossy().into_owned()).collect()
}

fn links() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
