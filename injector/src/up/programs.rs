//! What runs in a pod, to the last argument: its Envoy, its app, and the files that only it sees.

use super::dns;
use super::enter;
use super::envoy;
use super::leftover::CONTAINER;
use super::network::RUNNER;
use super::pause::Setup;
use super::plan::Proxy;
use super::plan::container::{Container, PROXY, Program as What};
use super::plan::env::{self, Fields};
use super::pod::{Identity, Shared};
use super::probe::{Action, Probe};
use super::process::{Place, Program};
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use weir_mesh::bootstrap::HEALTH_PORT;

/// The longest host name (`HOST_NAME_MAX` is one more).
const HOSTNAME_LENGTH: usize = 63;

/// What tells that an Envoy has its configuration.
pub fn envoy_probe() -> Probe {
    let second = Duration::from_secs(1);
    let action = Action::Http { port: HEALTH_PORT, path: "/healthz/ready".into(), headers: Vec::new() };
    Probe { action, initial_delay: Duration::ZERO, period: second, timeout: second, failures: 2, successes: 1 }
}

/// What a pod's namespaces are made of.
pub fn setup(shared: &Shared, identity: &Identity) -> Result<Setup> {
    let folder = shared.dir.pod(&identity.plan.namespace, &identity.name);
    std::fs::create_dir_all(&folder)?;
    let files = [
        ("resolv.conf", dns::resolv_conf(&identity.plan.namespace)),
        ("hosts", format!("127.0.0.1 localhost\n{} {}\n", identity.ip, hostname(&identity.name))),
        // Other sources than files and DNS would ask the machine's own resolver, which does not know these names.
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_string()),
    ];
    let mut shown = Vec::new();
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
        shown.push((folder.join(name), PathBuf::from("/etc").join(name)));
    }
    Ok(Setup { ip: identity.ip, hostname: hostname(&identity.name).into(), redirect: identity.plan.proxy == Proxy::Sidecar, files: shown })
}

/// A pod's host name: its name, but no longer than the kernel takes, cut as in a cluster.
fn hostname(pod: &str) -> &str {
    pod.get(..HOSTNAME_LENGTH).unwrap_or(pod).trim_end_matches(['-', '.'])
}

/// The Envoy of a pod.
pub fn envoy_program(shared: &Shared, identity: &Identity, pod: &Place) -> Result<Program> {
    let Identity { name, plan, .. } = identity;
    let file = shared.dir.pod(&plan.namespace, name).join("envoy.json");
    let command = envoy::prepare(&shared.config.envoy, &file, identity)?;
    Ok(Program {
        name: format!("{name}/{PROXY}"),
        pod: Some(pod.clone()),
        command,
        env: base_env(),
        folder: PathBuf::from("/"),
        log: shared.dir.log(&plan.namespace, name, PROXY),
    })
}

/// The program of a container.
pub fn app_program(shared: &Shared, identity: &Identity, container: &Container, pod: &Place) -> Program {
    let Identity { name, ip, plan } = identity;
    let labels = plan.labels.clone().into_iter().chain(plan.zone.labels()).collect();
    let fields = Fields {
        name,
        namespace: &plan.namespace,
        labels: &labels,
        annotations: &plan.annotations,
        service_account: &plan.service_account,
        node: &format!("node-{}", plan.zone.zone),
        ip: *ip,
        host: RUNNER,
    };
    let variables = env::resolve(&container.env, &fields);
    let arguments =
        |arguments: &[String]| -> Vec<OsString> { arguments.iter().map(|argument| env::expand(argument, &variables).into()).collect() };
    let command = match &container.program {
        What::Sample(rest) => [OsString::from(enter::SELF), "sample".into()].into_iter().chain(arguments(rest)).collect(),
        What::Local(all) => arguments(all),
    };
    let mut env = base_env();
    env.insert("HOSTNAME".into(), hostname(name).into());
    env.insert(CONTAINER.into(), OsString::from(&container.name));
    env.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
    Program {
        name: format!("{name}/{}", container.name),
        pod: Some(pod.clone()),
        command,
        env,
        folder: container
            .folder
            .as_ref()
            .map(PathBuf::from)
            .filter(|folder| folder.is_dir())
            .or_else(|| std::env::current_dir().ok())
            .unwrap_or_else(|| "/".into()),
        log: shared.dir.log(&plan.namespace, name, &container.name),
    }
}

/// What programs of this machine need to run at all. The rest of the user's environment, such as http_proxy, stays outside.
pub fn base_env() -> BTreeMap<OsString, OsString> {
    let names = ["PATH", "HOME", "USER", "SHELL", "LANG", "TZ", "TMPDIR", "TERM", "LD_LIBRARY_PATH"];
    names.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_cut_to_63_bytes_and_ends_with_a_letter_or_digit() {
        for (name, expected) in [
            ("web-0".to_string(), "web-0".to_string()),
            (format!("{}-0", "a".repeat(63)), "a".repeat(63)),
            (format!("{}-0", "a".repeat(62)), "a".repeat(62)),
        ] {
            assert_eq!(hostname(&name), expected);
        }
    }
}
