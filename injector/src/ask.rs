//! One HTTP GET on a connection that is already there: a unix socket, or a port that the API server forwards.

use anyhow::{Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The body of a good answer; any other is an error that says what was answered.
pub async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, path: &str) -> Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = async {
        // Envoy's administration answers a host without a dot or a port.
        let response = sender.send_request(Request::get(path).header("host", "weir").body(Empty::<Bytes>::new())?).await?;
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
