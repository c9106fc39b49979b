//! Connections that end while clients go on asking, as an API server does.

use super::{Answer, KEEP_ALIVE, serve_tcp, tcp};
use crate::ads::http::text;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::body::Body;

/// Answers each request that it has a permit for.
#[derive(Clone)]
struct Permitted(Arc<Semaphore>);

impl Answer for Permitted {
    async fn answer(&self, _: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        self.0.acquire().await.expect("is not closed").forget();
        Ok(text(StatusCode::OK, "answered".into()))
    }
}

/// The same, on connections that are not kept.
#[derive(Clone)]
struct Once(Permitted);

impl Answer for Once {
    const KEPT: bool = false;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        self.0.answer(request).await
    }
}

struct Server {
    address: SocketAddr,
    permits: Arc<Semaphore>,
    close: watch::Sender<bool>,
}

async fn server<A: Answer>(answer: impl FnOnce(Permitted) -> A, permits: usize) -> Server {
    let permits = Arc::new(Semaphore::new(permits));
    let listener = tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (close, closing) = watch::channel(false);
    tokio::spawn(serve_tcp(listener, answer(Permitted(permits.clone())), closing));
    Server { address, permits, close }
}

struct Client(http1::SendRequest<Empty<Bytes>>);

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let (sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(address).await.unwrap())).await.unwrap();
        tokio::spawn(connection);
        Client(sender)
    }

    /// Asks, and tells whether the connection may be used again.
    async fn ask(&mut self) -> hyper::Result<bool> {
        let answer = self.0.send_request(Request::new(Empty::new())).await?;
        let kept = !answer.headers().contains_key("connection");
        assert_eq!(answer.into_body().collect().await?.to_bytes(), "answered");
        Ok(kept)
    }
}

#[tokio::test]
async fn every_request_is_answered_while_connections_end() {
    let server = server(|answer| answer, Semaphore::MAX_PERMITS).await;
    let (mut asked, mut silent) = (Client::connect(server.address).await, Client::connect(server.address).await);
    assert!(asked.ask().await.unwrap(), "it is kept");
    server.close.send_replace(true);
    // It may see for itself what has become of its connection.
    tokio::task::yield_now().await;
    assert!(!asked.ask().await.expect("one that was kept is answered"), "and told that this was the last");
    assert!(!silent.ask().await.expect("one that had asked nothing yet is answered"));
    let mut late = Client::connect(server.address).await;
    assert!(!late.ask().await.expect("one that comes late is answered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_meets_a_connection_that_ends() {
    for _ in 0..50 {
        let server = server(|answer| answer, Semaphore::MAX_PERMITS).await;
        let clients: Vec<JoinHandle<()>> = (0..8)
            .map(|_| {
                let (address, closing) = (server.address, server.close.subscribe());
                tokio::spawn(async move {
                    let mut client = Client::connect(address).await;
                    let mut left = 8;
                    while left > 0 {
                        left -= i32::from(*closing.borrow());
                        if !client.ask().await.expect("an answer") {
                            client = Client::connect(address).await;
                        }
                    }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        server.close.send_replace(true);
        for client in clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_not_kept_ends_with_its_answer() {
    let server = server(Once, 1).await;
    let mut client = Client::connect(server.address).await;
    assert!(!client.ask().await.unwrap());
    assert!(client.ask().await.is_err());
}

#[tokio::test]
async fn http2_is_told_to_go_away_and_answered_what_it_asked() {
    let server = server(|answer| answer, 1).await;
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut ask = || sender.send_request(Request::new(Empty::<Bytes>::new()));
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    let asked = tokio::spawn(ask());
    tokio::task::yield_now().await;
    server.close.send_replace(true);
    server.permits.add_permits(1);
    let answer = timeout(KEEP_ALIVE, asked).await.expect("in time").unwrap().expect("what was asked before is answered");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "answered");
    timeout(KEEP_ALIVE, connection).await.expect("the connection ends").unwrap().unwrap();
}
