//! Small HTTP requests to Envoys and apps.

use anyhow::Result;
use http_body_util::{BodyExt, Empty};
use hyper::Method;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Asks once, on a connection of its own: the status, and the body as text.
pub async fn request(stream: TcpStream, method: Method, host: &str, path: &str, headers: &[(String, String)]) -> Result<(u16, String)> {
    let mut request = hyper::Request::builder().method(method).uri(path).header("user-agent", "kube-probe/weir");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", host);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let answer = sender.send_request(request.body(Empty::<bytes::Bytes>::new())?).await?;
        let status = answer.status().as_u16();
        anyhow::Ok((status, String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned()))
    };
    let answer = answer.await;
    driver.abort();
    answer
}
