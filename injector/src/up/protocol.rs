//! What the processes of a run and the commands of other terminals say to each other.

pub use super::plan::container::PROXY;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// What `weir up` was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Manifests and folders of manifests, as the user named them.
    pub paths: Vec<PathBuf>,
    /// The folder of this run.
    pub run_dir: PathBuf,
    /// The Envoy to run.
    pub envoy: PathBuf,
    /// Over which zones replicas are spread.
    pub zones: Vec<String>,
    /// Programs by image.
    pub images: BTreeMap<String, String>,
}

/// From `weir up` to the runner.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToRunner {
    /// First of all.
    Config(Box<Config>),
    /// The listener for a gateway's port, as a file.
    Listener {
        /// The gateway, by its key.
        gateway: String,
        /// Its port inside.
        port: u16,
    },
    /// End all.
    End,
}

/// From the runner to `weir up`.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToOuter {
    /// For the user to read.
    Line(String),
    /// Replaces the last live line.
    Live(String),
    /// Wanted: a listener outside.
    Bind {
        /// For the gateway of this key.
        gateway: String,
        /// For this port of it.
        port: u16,
    },
    /// Closed: the listener of a gateway's port that is wanted no more.
    Closed {
        /// The gateway's key.
        gateway: String,
        /// Its port.
        port: u16,
    },
    /// A gateway is reached otherwise than it was when all was ready.
    Gateway(GatewayView),
    /// All is up, or so it was for the first time.
    Ready(Box<View>),
    /// Not all is up yet: what is missing.
    Waiting(Vec<String>),
}

/// From a command in another terminal to the runner.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// All that runs.
    Get,
    /// Where a pod's logs are.
    Find(PodName),
    /// Stops a pod, or one of its containers.
    Stop {
        /// Which.
        pod: PodName,
        /// Only this container; it stays stopped.
        container: Option<String>,
        /// SIGKILL at once, else SIGTERM in order.
        kill: bool,
        /// Seconds from SIGTERM to SIGKILL, if not the pod's own.
        grace: Option<u64>,
    },
    /// Starts what was stopped.
    Start {
        /// Which.
        pod: PodName,
        /// Only this container.
        container: Option<String>,
    },
    /// Runs a program in a pod, with the three files sent along as its standard input, output and error.
    Exec {
        /// Where.
        pod: PodName,
        /// With this container's environment; none: the first one's.
        container: Option<String>,
        /// The program and its arguments.
        command: Vec<String>,
        /// Its working folder.
        folder: PathBuf,
        /// The terminal's kind (TERM).
        terminal: Option<String>,
    },
    /// A signal for the program of [`Request::Exec`].
    Signal(i32),
    /// Adds or replaces the objects of manifests.
    Apply(Vec<Manifest>),
    /// Removes the objects that manifests name.
    Delete(Vec<Manifest>),
}

/// A file of the user.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name, for messages.
    pub file: String,
    /// YAML.
    pub text: String,
}

/// A pod as a user names it: `NAME`, `NAME.NAMESPACE`, or the start of a name that fits one pod only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodName {
    /// As typed.
    pub name: String,
    /// From `-n`.
    pub namespace: Option<String>,
}

impl PodName {
    /// Which of these pods, each with its namespace and name, is meant; or what to say.
    pub fn find(&self, pods: &[(String, String)]) -> Result<usize, String> {
        let full = |(namespace, name): &(String, String)| format!("{name}.{namespace}");
        let inside = |(_, (namespace, _)): &(usize, &(String, String))| self.namespace.as_ref().is_none_or(|wanted| wanted == namespace);
        let candidates: Vec<_> = pods.iter().enumerate().filter(inside).collect();
        let exact: Vec<_> = candidates.iter().filter(|(_, pod)| pod.1 == self.name || full(pod) == self.name).collect();
        let started = || candidates.iter().filter(|(_, pod)| full(pod).starts_with(&self.name)).collect();
        let found = if exact.is_empty() { started() } else { exact };
        let names = |pods: &mut dyn Iterator<Item = &(String, String)>| pods.map(full).collect::<Vec<_>>().join(", ");
        match found.as_slice() {
            [(number, _)] => Ok(*number),
            [] => Err(format!("no pod {}: there are {}", self.name, names(&mut pods.iter()))),
            several => Err(format!("{} may be {}", self.name, names(&mut several.iter().map(|(_, pod)| *pod)))),
        }
    }
}

/// From the runner to such a command.
#[derive(Debug, Serialize, Deserialize)]
pub enum Response {
    /// It is done: what to print, if anything.
    Done(String),
    /// It cannot be done.
    Failed(String),
    /// A part of it is done.
    Partly {
        /// What to print about that.
        done: String,
        /// What cannot be done.
        failed: String,
    },
    /// All that runs.
    View(Box<View>),
    /// A pod.
    Found(PodView),
    /// How the program of [`Request::Exec`] ended.
    Exit(u8),
}

/// All that runs, as `weir get -o json` and `weir up --output json` print it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The folder of the run: logs, sockets.
    pub run_dir: PathBuf,
    /// The gateways.
    pub gateways: Vec<GatewayView>,
    /// The pods.
    pub pods: Vec<PodView>,
    /// The Services.
    pub services: Vec<ServiceView>,
}

/// A gateway and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayView {
    /// Its name.
    pub name: String,
    /// The namespaces of its Gateway objects.
    pub namespaces: Vec<String>,
    /// Its URLs on this machine.
    pub urls: Vec<String>,
    /// Its ports, by the port inside.
    pub ports: Vec<PortView>,
    /// What is said of the ports that are not served.
    pub unserved: Vec<String>,
}

/// A gateway's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortView {
    /// As the Gateway object has it.
    pub port: u16,
    /// On 127.0.0.1 of this machine.
    pub outside: u16,
    /// The hosts served there.
    pub hosts: Vec<String>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `Ready`, `Waiting`, `Stopping`, `Stopped`.
    pub state: String,
    /// Whether it gets requests.
    pub ready: bool,
    /// Why not.
    pub reason: String,
    /// Region and zone.
    pub zone: String,
    /// The label `version`.
    pub version: String,
    /// Its address inside.
    pub ip: Ipv4Addr,
    /// How often its programs were started again.
    pub restarts: u32,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its containers, Envoy's (`istio-proxy`) among them.
    pub containers: Vec<ContainerView>,
}

/// The container that a user means: by its name, or `envoy` for Envoy's. `names` are those of the pod's containers.
pub fn find_container<'a>(pod: &str, names: impl IntoIterator<Item = &'a str>, asked: &str) -> Result<&'a str, String> {
    let names: Vec<_> = names.into_iter().collect();
    let named = |wanted: &str| names.iter().find(|name| **name == wanted).copied();
    let alias = || if asked == "envoy" { named(PROXY) } else { None };
    named(asked).or_else(alias).ok_or_else(|| format!("{pod} has no container {asked}: it has {}", names.join(", ")))
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// The process, as seen from inside; none while it does not run.
    pub pid: Option<u32>,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// Its log.
    pub log: PathBuf,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its ClusterIP; none for headless ones.
    pub cluster_ip: Option<Ipv4Addr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_found_by_its_name_or_the_start_of_one_that_fits_no_other() {
        let pods =
            [("shop", "web-0"), ("shop", "web-01"), ("bank", "web-0"), ("bank", "db-0")].map(|(a, b)| (a.to_string(), b.to_string()));
        let find = |name: &str, namespace: Option<&str>| PodName { name: name.into(), namespace: namespace.map(Into::into) }.find(&pods);
        assert_eq!((find("db", None), find("web-0.bank", None), find("web-0", Some("shop"))), (Ok(3), Ok(2), Ok(0)));
        assert_eq!(find("web-0", None), Err("web-0 may be web-0.shop, web-0.bank".into()));
        assert_eq!(find("x", Some("shop")), Err("no pod x: there are web-0.shop, web-01.shop, web-0.bank, db-0.bank".into()));
    }

    #[test]
    fn a_container_is_found_by_its_name_and_envoys_also_as_envoy() {
        let find = |asked: &str| find_container("web-0", [PROXY, "app"], asked);
        assert_eq!((find("app"), find("istio-proxy"), find("envoy")), (Ok("app"), Ok(PROXY), Ok(PROXY)));
        assert_eq!(find("nosuch"), Err("web-0 has no container nosuch: it has istio-proxy, app".into()));
        assert_eq!(find_container("web-0", [PROXY, "envoy"], "envoy"), Ok("envoy"));
    }
}
