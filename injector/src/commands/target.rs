//! Which mesh a command means: one of this machine, or a cluster's. One rule for all commands.

use crate::kubernetes::access::{Access, message};
use crate::plugin;
use crate::up::protocol::PodName;
use crate::up::rundir::{self, RunDir};
use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use std::path::PathBuf;

/// The rule, for the help of commands.
pub const WHICH_MESH: &str = "\
Which mesh: --run-dir names one of this machine, --context or --kubeconfig a cluster. Without them it is the mesh that `weir up` runs \
here, if one runs, else the cluster of the current context; as `kubectl weir` always the cluster.";

/// Which mesh.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Target {
    /// The folder of a mesh on this machine
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    pub run_dir: Option<PathBuf>,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub access: Access,
}

/// The mesh that is meant.
pub enum Chosen {
    /// One that runs on this machine.
    Here(RunDir),
    /// A cluster's.
    Cluster(Cluster),
}

/// A cluster, and where in it.
pub struct Cluster {
    /// Its API server.
    pub client: Client,
    /// The namespace where a pod is that is named without one.
    pub namespace: String,
}

impl Target {
    /// Whether the command line names a cluster.
    pub fn names_cluster(&self) -> bool {
        self.access.context.is_some() || self.access.kubeconfig.is_some()
    }

    /// Applies the rule.
    pub async fn choose(&self) -> Result<Chosen> {
        if self.run_dir.is_some() {
            return Ok(Chosen::Here(rundir::find(self.run_dir.as_deref())?.1));
        }
        if self.names_cluster() || plugin::is_one() {
            return self.cluster().await.map(Chosen::Cluster);
        }
        if rundir::is_one_running() {
            return Ok(Chosen::Here(rundir::find(None)?.1));
        }
        self.cluster()
            .await
            .map(Chosen::Cluster)
            .context("no mesh runs here (`weir up` starts one), so a cluster is asked (--kubeconfig and --context name one)")
    }

    /// The cluster.
    pub async fn cluster(&self) -> Result<Cluster> {
        let (client, namespace) = self.access.client().await?;
        Ok(Cluster { client, namespace })
    }
}

impl Cluster {
    /// The pod that a user means: `NAME`, `NAME.NAMESPACE`, or the start of a name that fits one pod only; its namespace and name.
    pub async fn pod(&self, asked: &PodName) -> Result<(String, String)> {
        let namespace = match (&asked.namespace, asked.name.rsplit_once('.')) {
            (None, Some((_, namespace))) => namespace,
            _ => &self.namespace,
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = pods.list_metadata(&ListParams::default()).await.map_err(|error| anyhow!("{}", message(&error)))?;
        let names: Vec<_> = pods.iter().map(|pod| (namespace.to_string(), pod.name_any())).collect();
        let number = asked.find(&names).map_err(|error| match names.as_slice() {
            [] => anyhow!("no pod {}: there is none in the namespace {namespace}; -n names another", asked.name),
            _ => anyhow!("{error}"),
        })?;
        names.into_iter().nth(number).context("a pod that was listed")
    }
}
