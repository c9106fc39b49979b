//! The HTTP client of the roles and of the load generator: pooled connections, whole answers, a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The response headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A client with a pool of connections; clones share the pool.
#[derive(Clone)]
pub struct Client(legacy::Client<Connector, Full<Bytes>>);

impl Client {
    /// A client that speaks HTTP/1 to the host in the URL, or to `connect` whatever the host is.
    pub fn new(connect: Option<SocketAddr>) -> Client {
        Client(legacy::Client::builder(TokioExecutor::new()).build(Connector { connect }))
    }

    /// The same over HTTP/2 without an upgrade.
    pub fn http2(connect: Option<SocketAddr>) -> Client {
        Client(legacy::Client::builder(TokioExecutor::new()).http2_only(true).build(Connector { connect }))
    }

    /// Sends `request` and waits for the whole answer, at most `timeout`.
    pub async fn send(&self, request: Request<Full<Bytes>>, timeout: Duration) -> anyhow::Result<Answer> {
        let exchange = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            let body = body.collect().await.context("the answer broke off")?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(anyhow!("no answer within {timeout:?}")))
    }

    /// GETs `url` with `headers`.
    pub async fn get(&self, url: &str, headers: HeaderMap, timeout: Duration) -> anyhow::Result<Answer> {
        let mut request = Request::get(url).body(Full::default())?;
        *request.headers_mut() = headers;
        self.send(request, timeout).await
    }
}

/// Opens the connections. hyper's own connector cannot send every host to one address and keep the host's name.
#[derive(Clone)]
struct Connector {
    connect: Option<SocketAddr>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect = self.connect;
        Box::pin(async move {
            let stream = match connect {
                Some(address) => TcpStream::connect(address).await?,
                None => {
                    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
                    TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?
                }
            };
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
