//! Who listens on a TCP port: for the message when it is taken.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// State LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The process that listens on `port`, as `NAME (process ID)`; none where that is not to be learnt, as of another user's process.
pub fn of(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let sockets: Vec<_> = tables.iter().flat_map(|table| table.lines()).filter_map(|line| socket(line, port)).collect();
    let numbered = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()).filter(numbered);
    let owner = processes.into_iter().find(|process| holds(process, &sockets))?;
    let name = std::fs::read_to_string(owner.join("comm")).ok()?;
    Some(format!("{} (process {})", name.trim(), owner.file_name()?.display()))
}

/// What a process's link to its socket shows, if a line of the table is of a socket that listens on `port`.
fn socket(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (local, state, inode) = (fields.nth(1)?, fields.nth(1)?, fields.nth(5)?);
    let (_, number) = local.rsplit_once(':')?;
    (state == LISTEN && u16::from_str_radix(number, 16).ok()? == port).then(|| format!("socket:[{inode}]"))
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    links.any(|link| sockets.iter().any(|socket| link.as_os_str() == OsStr::new(socket)))
}
