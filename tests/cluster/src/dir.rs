//! The folder of a cluster: where everything of it lies.

use std::path::{Path, PathBuf};

/// The folder.
#[derive(Clone, Debug)]
pub struct Dir(pub PathBuf);

impl Dir {
    /// Something in it.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// A certificate or key.
    pub fn pki(&self, name: &str) -> PathBuf {
        self.0.join("pki").join(name)
    }

    /// The log of a part.
    pub fn log(&self, part: &str) -> PathBuf {
        self.0.join("log").join(part)
    }

    /// The administrator's access from inside the cluster's network.
    pub fn kubeconfig_inside(&self) -> PathBuf {
        self.0.join("kubeconfig-inside")
    }

    /// The administrator's access from the host.
    pub fn kubeconfig(&self) -> PathBuf {
        self.0.join("kubeconfig")
    }

    /// The images that every node gets, each a file.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// The socket where the cluster's network is reached from the host.
    pub fn dial(&self) -> PathBuf {
        self.0.join("dial.sock")
    }

    /// Appears when the cluster is ready.
    pub fn ready(&self) -> PathBuf {
        self.0.join("ready")
    }

    /// Who runs it: a process id.
    pub fn owner(&self) -> PathBuf {
        self.0.join("owner")
    }
}
