//! The stand-in, asked in every protocol.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use weir_sample::app::Role;
use weir_sample::ask::{Protocol, ask};
use weir_sample::{server, tcp_echo};

use crate::{get, identity, json, post, start, url};

#[tokio::test]
async fn answers_with_who_answers_and_what_was_asked() {
    let server = start(Role::StandIn, identity("shop-1", "v2", "b")).await;

    let answer = json(&post(&url(&server, "/cart?item=7"), "tea").await);

    let address = server.addresses[0];
    assert_eq!(
        answer,
        json!({
            "service": "shop", "pod": "shop-1", "namespace": "test", "version": "v2", "zone": "b",
            "port": address.port(), "protocol": "HTTP/1.1", "method": "POST", "path": "/cart?item=7",
            "headers": {"content-length": "3", "host": address.to_string()},
            "body": {"length": 3, "sha256": "a9f74d1ec36ebdeb2da3f6e5868090cd2a2d20b3dcca7b62f60304b1d3d9ef42"},
        })
    );
}

#[tokio::test]
async fn answers_with_the_status_and_after_the_delay_asked_for() {
    let server = start(Role::StandIn, identity("", "", "")).await;
    assert_eq!(get(&url(&server, "/status/418"), &[]).await.status, 418);

    let begin = Instant::now();
    assert_eq!(get(&url(&server, "/delay/50"), &[]).await.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn passes_every_protocol_unchanged_on_one_port() {
    let server = start(Role::StandIn, identity("shop-1", "v2", "b")).await;
    let root = url(&server, "/");

    assert_eq!(ask(Protocol::Http2, &root).await.unwrap()["protocol"], "HTTP/2.0");
    assert_eq!(ask(Protocol::Post, &root).await.unwrap()["body"]["length"], 5_000_000);
    let messages = |n: usize| json!({"messages": n, "pod": "shop-1", "version": "v2", "zone": "b"});
    assert_eq!(ask(Protocol::Grpc, &root).await.unwrap(), messages(1));
    assert_eq!(ask(Protocol::GrpcStream, &root).await.unwrap(), messages(3));
    assert_eq!(ask(Protocol::Websocket, &url(&server, "/ws")).await.unwrap(), json!({"messages": 2}));
}

#[tokio::test]
async fn tcp_echo_sends_back_every_byte() {
    let listeners = server::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))]).await.unwrap();
    let address = listeners[0].local_addr().unwrap();
    tcp_echo::start(listeners);

    assert_eq!(ask(Protocol::Tcp, &format!("tcp://{address}")).await.unwrap(), json!({"bytes": 65536}));
}

#[tokio::test]
async fn asking_whom_does_not_echo_fails() {
    let server = start(Role::Details, identity("", "", "")).await;
    for protocol in [Protocol::Http2, Protocol::Post, Protocol::Grpc, Protocol::GrpcStream, Protocol::Websocket, Protocol::Tcp] {
        assert!(ask(protocol, &url(&server, "/")).await.is_err(), "{protocol:?}");
    }
}
