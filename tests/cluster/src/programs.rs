//! The programs of a cluster, built from Go modules and kept between builds.

use crate::command;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kubernetes' version; the same stands in programs/go.mod.
const KUBERNETES: &str = "1.35.4";
/// The Go module that names all versions.
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs");
/// The parts of Kubernetes that are one program, by the names under which it is called.
const PARTS: [&str; 7] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"];
/// The programs and their packages.
const PACKAGES: [(&str, &str); 6] = [
    ("kubernetes", "."),
    ("coredns", "./coredns"),
    ("pause", "./pause"),
    ("helm", "helm.sh/helm/v3/cmd/helm"),
    ("rollouts-controller", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"),
    ("kubectl-argo-rollouts", "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts"),
];

/// The folder with all programs. They are built where they are not there yet: six minutes from empty caches on two cores.
pub fn build() -> Result<PathBuf> {
    let folder = cache()?.join(version()?);
    if folder.is_dir() {
        return Ok(folder);
    }
    // Built aside and renamed, so that whoever finds the folder finds all of it.
    let aside = folder.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&aside)?;
    for (name, package) in PACKAGES {
        eprintln!("building {name}");
        go_build(package, &aside.join(name)).with_context(|| format!("building {name}"))?;
    }
    let module = command::output(go().args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-rollouts"]))?;
    let manifest = Path::new(module.trim()).join("manifests/install.yaml");
    std::fs::write(aside.join("argo-rollouts.yaml"), std::fs::read(&manifest).with_context(|| manifest.display().to_string())?)?;
    for part in PARTS {
        std::os::unix::fs::symlink("kubernetes", aside.join(part))?;
    }
    match std::fs::rename(&aside, &folder) {
        // Somebody else was faster.
        Err(_) if folder.is_dir() => std::fs::remove_dir_all(&aside)?,
        renamed => renamed?,
    }
    Ok(folder)
}

fn go_build(package: &str, out: &Path) -> Result<()> {
    let (major, minor) = KUBERNETES.split_once('.').and_then(|(major, rest)| Some((major, rest.split_once('.')?.0))).context("version")?;
    // kubectl and clients that ask for the version parse it; helm takes an unstamped one for 1.20.
    let (version, chart) = ("k8s.io/component-base/version.git", "helm.sh/helm/v3/pkg/chartutil.k8sVersion");
    let stamps = [
        (version, "Version", format!("v{KUBERNETES}").as_str()),
        (version, "Major", major),
        (version, "Minor", minor),
        (chart, "Major", major),
        (chart, "Minor", minor),
    ]
    .map(|(package, name, value)| format!(" -X {package}{name}={value}"))
    .concat();
    let mut go = go();
    go.args(["build", "-mod=readonly", "-buildvcs=false", "-ldflags", &format!("-s -w{stamps}"), "-o"]).arg(out).arg(package);
    command::output(&mut go).map(drop)
}

fn go() -> Command {
    let mut go = Command::new("go");
    go.current_dir(MODULE).env("CGO_ENABLED", "0").env_remove("GOFLAGS");
    go
}

/// A digest of all that the programs are built from.
fn version() -> Result<String> {
    let mut digest = Sha256::new_with_prefix(include_str!("programs.rs"));
    for file in ["go.mod", "go.sum", "main.go", "coredns/main.go", "pause/main.go"] {
        digest.update(std::fs::read(Path::new(MODULE).join(file)).with_context(|| file.to_string())?);
    }
    Ok(digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn cache() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("weir-cluster"))
}
