//! The replicas of the control plane, and how they ask each other.

use super::lease::Replica;
use crate::up::http::request;
use crate::world::World;
use anyhow::{Context, Result, ensure};
use hyper::Method;
use std::time::Duration;
use tokio::net::TcpStream;
use weir_mesh::object::Kind;

/// A replica that does not answer so long is not waited for.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The replicas as one of them sees them.
#[derive(Clone, Debug)]
pub struct Replicas {
    /// Who this one is.
    pub own: Replica,
    /// The port of each.
    pub port: u16,
}

impl Replicas {
    /// The names and addresses of the others that are ready.
    pub fn others(&self, world: &World) -> Vec<(String, String)> {
        let other = |object: &weir_mesh::object::Object| {
            let Kind::Pod(pod) = &object.kind else { return None };
            let labels = object.meta.labels.as_ref();
            let is_replica = object.key.namespace == self.own.namespace
                && object.key.name != self.own.name
                && labels.is_some_and(|labels| labels.get("app").is_some_and(|app| app == "weir"));
            let status = pod.status.as_ref().filter(|_| is_replica)?;
            let ready = status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            Some((object.key.name.clone(), status.pod_ip.clone().filter(|_| ready)?))
        };
        world.objects.iter().filter_map(|object| other(object)).collect()
    }

    /// What a page of one of them says.
    pub async fn ask(&self, ip: &str, page: &str) -> Result<String> {
        let answer = async {
            let stream = TcpStream::connect((ip, self.port)).await?;
            let (status, body) = request(stream, Method::GET, ip, page, &[]).await?;
            ensure!(status == 200, "answered {status}");
            Ok(body)
        };
        tokio::time::timeout(TIMEOUT, answer).await.context("no answer in time")?
    }
}
