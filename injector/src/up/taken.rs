//! Who has a port: for the message that says it is taken.

use std::path::Path;

/// ` by NAME (process PID)`, as far as this user may see; else empty.
pub fn by_whom(port: u16) -> String {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<u64> = tables.iter().flat_map(|table| listening(table, port)).collect();
    let owner = std::fs::read_dir("/proc").into_iter().flatten().flatten().find_map(|entry| {
        let path = entry.path();
        let pid: u32 = path.file_name()?.to_str()?.parse().ok()?;
        holds(&path, &inodes).then(|| (pid, std::fs::read_to_string(path.join("comm")).unwrap_or_default()))
    });
    owner.map(|(pid, name)| format!(" by {} (process {pid})", name.trim())).unwrap_or_default()
}

/// The inodes of the sockets that listen on `port`, from a table as /proc/net/tcp has it.
fn listening(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let same = address.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok()) == Some(port);
        (same && *state == LISTEN).then(|| inode.parse().ok())?
    });
    rows.collect()
}

fn holds(process: &Path, inodes: &[u64]) -> bool {
    let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode: u64| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_listener_of_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n\
            1: 0100007F:1F90 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0\n\
            2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0 100 0 0 10 0\n";
        assert_eq!(listening(table, 8080), [4242]);
    }

    #[test]
    fn names_the_process_that_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let text = by_whom(listener.local_addr().unwrap().port());
        assert!(text.ends_with(&format!("(process {})", std::process::id())), "{text}");
    }
}
