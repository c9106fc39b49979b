//! A node: containerd, kubelet and kube-proxy in a network namespace of their own.

use crate::command;
use crate::dir::Dir;
use crate::needs::CNI_PLUGINS;
use crate::network::{self, DNS};
use crate::supervise::keep;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The image of the container that holds a pod's namespaces.
pub const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";
/// All nodes are in one region.
const REGION: &str = "local";

/// A node of the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name: `node-a`.
    pub name: String,
    /// Its place in the network.
    pub index: u8,
    /// Its zone: `a`.
    pub zone: String,
}

/// The three nodes, in the zones a, b and c.
pub fn all() -> Vec<Node> {
    let node = |(index, zone): (u8, &str)| Node { name: format!("node-{zone}"), index, zone: zone.into() };
    (1..).zip(["a", "b", "c"]).map(node).collect()
}

/// Starts a node, with all images of the cluster's folder.
pub fn start(programs: &Path, dir: &Dir, node: &Node) -> Result<()> {
    let own = Dir(dir.at(&node.name));
    std::fs::create_dir_all(own.at("cni"))?;
    let inside = |program: PathBuf| {
        // Not `ip netns exec`: that remounts /sys and so hides the cgroups.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", node.name)).arg(program);
        command
    };
    let log = |part: &str| dir.log(&format!("{}-{part}", node.name));

    std::fs::write(own.at("cni/10-pods.conflist"), serde_json::to_vec(&pod_network(&own, node))?)?;
    std::fs::write(own.at("containerd.toml"), containerd_config(&own))?;
    let mut containerd = inside("containerd".into());
    containerd.arg("--config").arg(own.at("containerd.toml"));
    keep(containerd, &log("containerd"))?;
    import_images(dir, &own)?;

    std::fs::write(own.at("kubelet.json"), serde_json::to_vec(&kubelet_config(dir, &own))?)?;
    let mut kubelet = inside(programs.join("kubelet"));
    kubelet.arg("--kubeconfig").arg(dir.kubeconfig_inside()).arg("--config").arg(own.at("kubelet.json"));
    kubelet.arg(format!("--hostname-override={}", node.name)).arg(format!("--node-ip={}", network::node_addresses(node.index)));
    kubelet.arg("--root-dir").arg(own.at("kubelet")).arg("--cert-dir").arg(own.at("pki"));
    kubelet.arg(format!("--node-labels=topology.kubernetes.io/zone={},topology.kubernetes.io/region={REGION}", node.zone));
    keep(kubelet, &log("kubelet"))?;

    let mut proxy = inside(programs.join("kube-proxy"));
    proxy.arg("--kubeconfig").arg(dir.kubeconfig_inside()).arg(format!("--hostname-override={}", node.name));
    proxy.args(["--proxy-mode=nftables", "--conntrack-max-per-core=0"]).arg(format!("--cluster-cidr={}", network::all_pods()));
    keep(proxy, &log("kube-proxy"))
}

fn import_images(dir: &Dir, own: &Dir) -> Result<()> {
    let (socket, started) = (own.at("containerd.sock"), Instant::now());
    while !socket.exists() {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(30), "containerd does not listen on {}", socket.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    for image in std::fs::read_dir(dir.images())? {
        let image = image?.path();
        let mut import = Command::new("ctr");
        import.arg("-a").arg(&socket).args(["-n", "k8s.io", "images", "import"]).arg(&image);
        command::output(&mut import).with_context(|| format!("importing {}", image.display()))?;
    }
    Ok(())
}

fn pod_network(own: &Dir, node: &Node) -> serde_json::Value {
    let ranges: Vec<_> = network::pods(node.index).into_iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    let routes: Vec<_> = ["0.0.0.0/0", "::/0"].into_iter().take(ranges.len()).map(|all| json!({"dst": all})).collect();
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": own.at("addresses"),
                "ranges": ranges,
                "routes": routes,
            },
        }],
    })
}

fn containerd_config(own: &Dir) -> String {
    let at = |name: &str| own.at(name).display().to_string();
    format!(
        "version = 2
root = {:?}
state = {:?}
[grpc]
  address = {:?}
[plugins.\"io.containerd.grpc.v1.cri\"]
  sandbox_image = {PAUSE_IMAGE:?}
  # Without CAP_SYS_RESOURCE a score cannot be lowered.
  restrict_oom_score_adj = true
  [plugins.\"io.containerd.grpc.v1.cri\".cni]
    bin_dir = {CNI_PLUGINS:?}
    conf_dir = {:?}
",
        at("containerd"),
        at("containerd-state"),
        at("containerd.sock"),
        at("cni"),
    )
}

fn kubelet_config(dir: &Dir, own: &Dir) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", own.at("containerd.sock").display()),
        "authentication": {"x509": {"clientCAFile": dir.pki("ca.crt")}, "anonymous": {"enabled": false}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS],
        "podLogsDir": own.at("logs"),
        // The machine may be a container itself, with few rights over cgroups.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        // Mounted ConfigMaps and tokens follow their source in tests' time.
        "syncFrequency": "5s",
    })
}
