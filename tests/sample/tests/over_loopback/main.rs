//! The roles and tools over real connections on loopback, one file each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in the tests' helpers"
)]

mod bookinfo;
mod load;
mod roles;
mod server;
mod stand_in;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request};
use serde_json::Value;
use tokio::net::TcpSocket;
use weir_sample::app::{App, Role};
use weir_sample::client::{Answer, Client};
use weir_sample::identity::Identity;
use weir_sample::server::Server;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The identity of pod `pod`, whose version and zone are given.
fn identity(pod: &str, version: &str, zone: &str) -> Identity {
    Identity { service: "shop".into(), pod: pod.into(), namespace: "test".into(), version: version.into(), zone: zone.into() }
}

/// Starts `role` on a free port.
async fn start(role: Role, identity: Identity) -> Server {
    Server::start(App::new(role, identity), &[SocketAddr::from(([127, 0, 0, 1], 0))]).await.unwrap()
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.addresses[0])
}

/// An address at which nothing listens, and which nobody else gets while the socket is kept.
fn nowhere() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: HeaderMap = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Client::new(None).get(url, headers, TIMEOUT).await.unwrap()
}

async fn post(url: &str, body: &str) -> Answer {
    let request = Request::post(url).body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    Client::new(None).send(request, TIMEOUT).await.unwrap()
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}
