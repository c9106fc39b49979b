//! A mesh that a user's traffic enters, on a laptop or in a cluster: both keep the same promises.

use anyhow::Result;
use std::net::SocketAddr;
use weir_sample::load::{self, Config, Report};

/// What a scenario needs of a mesh.
pub trait Mesh {
    /// Where the ingress gateway's port 80 is reached from this machine.
    fn gateway(&self) -> SocketAddr;

    /// Applies a manifest of the project.
    fn apply(&self, path: &str) -> Result<()>;

    /// A load on a URL of the gateway.
    fn load(&self, url: &str) -> Config {
        Config { connect: Some(self.gateway()), ..Config::new(url) }
    }

    /// Sends some requests to a URL of the gateway and counts the answers by JSON pointers.
    fn count(&self, url: &str, requests: u64, by: &[&str]) -> impl Future<Output = Result<Report>> {
        load::run(Config { requests: Some(requests), by: by.iter().map(ToString::to_string).collect(), ..self.load(url) })
    }
}
