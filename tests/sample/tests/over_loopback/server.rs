//! How a server listens and ends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_sample::app::{App, Role};
use weir_sample::client::Client;
use weir_sample::server::Server;

use crate::{TIMEOUT, get, identity, start, text, url};

#[tokio::test]
async fn every_role_says_that_it_is_healthy() {
    for role in [
        Role::OrderHistory { work: None },
        Role::Product { order_history: "http://127.0.0.1:1/".into(), drop: None },
        Role::Details,
        Role::StandIn,
    ] {
        let server = start(role, identity("", "", "")).await;
        assert_eq!(text(&get(&url(&server, "/healthz"), &[]).await), "ok\n");
    }
}

#[tokio::test]
async fn listens_on_every_address() {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(App::new(Role::StandIn, identity("", "", "")), &[free, free]).await.unwrap();
    for address in &server.addresses {
        let answer = get(&format!("http://{address}/"), &[]).await;
        assert_eq!(crate::json(&answer)["port"], address.port());
    }
}

#[tokio::test]
async fn names_the_address_that_is_taken() {
    let server = start(Role::StandIn, identity("", "", "")).await;
    let taken = server.addresses[0];
    let error = Server::start(App::new(Role::StandIn, identity("", "", "")), &[taken]).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {taken}"));
}

#[tokio::test]
async fn ends_after_the_requests_in_flight() {
    let server = start(Role::StandIn, identity("", "", "")).await;
    let address = server.addresses[0];
    // The beginning of a request is in flight for certain once the server has asked for the rest of it.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    let stopping = tokio::spawn(server.stop());
    while Client::new(None).get(&format!("http://{address}/"), Default::default(), TIMEOUT).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    stream.write_all(b"tea").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();

    assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains(r#""length":3"#), "{answer}");
    stopping.await.unwrap();
}
