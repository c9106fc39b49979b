//! What programs of a pod leave behind: a program may leave its process group (`setsid`), but not its pod's network.
//!
//! Processes are found by /proc, which may be that of an outer PID namespace where a fresh one cannot be mounted. So those of
//! other PID namespaces are left out, and numbers are read as this one has them.

use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};

/// The variable by which a container's processes are told from others of the pod.
pub const CONTAINER: &str = "WEIR_CONTAINER";
/// A process that starts another while it is looked for is found at the next look.
const LOOKS: usize = 5;

/// The network namespace of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net(PathBuf);

/// The network namespace that the process `pid` is in.
pub fn network_of(pid: i32) -> Option<Net> {
    let (_, folder) = processes().into_iter().find(|(number, _)| *number == pid)?;
    std::fs::read_link(folder.join("ns/net")).ok().map(Net)
}

/// Ends what is left in a pod except the process `pause`: of this container alone, if one is named.
pub fn end(net: &Net, pause: i32, container: Option<&str>) {
    for _ in 0..LOOKS {
        let left: Vec<i32> = processes()
            .into_iter()
            .filter(|(pid, folder)| *pid != pause && is_in(folder, net) && container.is_none_or(|container| is_of(folder, container)))
            .map(|(pid, _)| pid)
            .collect();
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The processes of this PID namespace, with their folders in /proc.
fn processes() -> Vec<(i32, PathBuf)> {
    let Ok(own) = std::fs::read_link("/proc/self/ns/pid") else { return Vec::new() };
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let here = folders.filter(|folder| std::fs::read_link(folder.join("ns/pid")).is_ok_and(|pids| pids == own));
    here.filter_map(|folder| Some((number(&std::fs::read_to_string(folder.join("status")).ok()?)?, folder))).collect()
}

/// The number of a process in its own PID namespace, which comes last. A thread's name cannot hold a line of its own.
fn number(status: &str) -> Option<i32> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

fn is_in(folder: &Path, net: &Net) -> bool {
    std::fs::read_link(folder.join("ns/net")).is_ok_and(|link| link == net.0)
}

fn is_of(folder: &Path, container: &str) -> bool {
    let variable = format!("{CONTAINER}={container}");
    std::fs::read(folder.join("environ")).is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_number_of_its_own_namespace() {
        assert_eq!(number("Name:\tsh\nPid:\t812\nNSpid:\t812\t7\n"), Some(7));
        assert_eq!(number("Name:\tsh\nNSpid:\t812\n"), Some(812));
    }

    #[test]
    fn this_process_is_found() {
        let own = network_of(i32::try_from(std::process::id()).unwrap());
        assert_eq!(own, std::fs::read_link("/proc/self/ns/net").ok().map(Net));
    }
}
