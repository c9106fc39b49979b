//! One HTTP request on a connection that is already there: a unix socket, or a port that the API server forwards.

use crate::canary::page::COMMANDED;
use anyhow::{Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The body of a good answer; any other is an error that says what was answered.
pub async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Result<Bytes> {
    ask(stream, Method::GET, path).await
}

/// The same, of one request or the other: a POST is a command.
pub async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, method: Method, path: &str) -> Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = async {
        // Envoy's administration answers a host without a dot or a port.
        let mut request = Request::builder().method(&method).uri(path).header("host", "weir");
        if method == Method::POST {
            request = request.header(COMMANDED, "yes");
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{path} was answered with {status}: {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(body)
    };
    let answer = answer.await;
    driver.abort();
    answer
}
