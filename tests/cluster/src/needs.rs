//! What the machine must have.

use std::path::Path;

/// Programs, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
];

/// Where Debian's containernetworking-plugins lie.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// What is missing on this machine, as a sentence that says what to do; none if a cluster can run here.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a cluster needs root: it mounts, and makes network namespaces and cgroups".into());
    }
    if !is_program("go") {
        return Some("a cluster needs Go 1.25 or later, which builds Kubernetes (https://go.dev/dl)".into());
    }
    let mut packages: Vec<_> = PROGRAMS.iter().filter(|(program, _)| !is_program(program)).map(|(_, package)| *package).collect();
    if !Path::new(CNI_PLUGINS).join("bridge").exists() {
        packages.push("containernetworking-plugins");
    }
    packages.dedup();
    (!packages.is_empty()).then(|| format!("a cluster needs `apt-get install {}`", packages.join(" ")))
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
