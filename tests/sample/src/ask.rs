//! Asks a stand-in or a TCP echo in one protocol, and checks that what comes back is what was sent.
//!
//! The tests run this in a pod, so that both sidecars are on the way.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, Uri};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use crate::client::Client;
use crate::grpc::{Echo, STREAM, UNARY};
use crate::stand_in::hex;

/// How long an exchange may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The length of the body that is posted.
const BODY: usize = 5_000_000;
/// The length of what is sent over TCP and in a WebSocket message.
const CHUNK: usize = 64 * 1024;
/// How many messages go over a stream, one after the other's answer.
const MESSAGES: usize = 3;

/// What to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// A GET over HTTP/2 without an upgrade.
    Http2,
    /// A POST of 5 MB over HTTP/1, compared by its SHA-256.
    Post,
    /// One gRPC message.
    Grpc,
    /// A gRPC stream both ways, each message sent after the answer to the one before.
    GrpcStream,
    /// WebSocket messages, text and binary.
    Websocket,
    /// Bytes over TCP.
    Tcp,
}

/// The body of the answer of `url` to `method`.
pub async fn fetch(method: Method, url: &str) -> anyhow::Result<Bytes> {
    let request = Request::builder().method(method).uri(url).body(Full::default())?;
    let answer = Client::new(None).send(request, TIMEOUT).await?;
    let told = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status.as_u16() < 400, "{url} answered {}: {}", answer.status, told());
    Ok(answer.body)
}

/// Asks at `url` in `protocol`. Returns what there is to tell about the answer, an error if it is not the right one.
pub async fn ask(protocol: Protocol, url: &str) -> anyhow::Result<Value> {
    let exchange = async {
        match protocol {
            Protocol::Http2 => http2(url).await,
            Protocol::Post => post(url).await,
            Protocol::Grpc => grpc(url).await,
            Protocol::GrpcStream => grpc_stream(url).await,
            Protocol::Websocket => websocket(url).await,
            Protocol::Tcp => tcp(url).await,
        }
    };
    tokio::time::timeout(TIMEOUT, exchange).await.with_context(|| format!("nothing within {TIMEOUT:?}"))?
}

async fn http2(url: &str) -> anyhow::Result<Value> {
    let answer = Client::http2(None).get(url, Default::default(), TIMEOUT).await?;
    ensure!(answer.status == StatusCode::OK, "status {}", answer.status);
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn post(url: &str) -> anyhow::Result<Value> {
    let body = Bytes::from(pattern(BODY));
    let sent = json!({"length": BODY, "sha256": hex(&Sha256::digest(&body))});
    let answer = Client::new(None).send(Request::post(url).body(Full::new(body))?, TIMEOUT).await?;
    ensure!(answer.status == StatusCode::OK, "status {}", answer.status);
    let answer: Value = serde_json::from_slice(&answer.body)?;
    ensure!(answer.get("body") == Some(&sent), "sent {sent}, got {answer}");
    Ok(answer)
}

async fn connect(url: &str) -> anyhow::Result<(TcpStream, String)> {
    let uri: Uri = url.parse()?;
    let host = uri.host().context("no host in the URL")?;
    let port = uri.port_u16().unwrap_or(80);
    Ok((TcpStream::connect((host, port)).await?, format!("{host}:{port}")))
}

async fn grpc(url: &str) -> anyhow::Result<Value> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let request = tonic::Request::new(message(0));
    let answer = client.unary(request, PathAndQuery::from_static(UNARY), codec()).await?.into_inner();
    told(&answer, 0)
}

async fn grpc_stream(url: &str) -> anyhow::Result<Value> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let messages = futures_util::stream::unfold(receive, |mut receive| async { receive.recv().await.map(|message| (message, receive)) });
    let request = tonic::Request::new(messages);
    let mut answers = client.streaming(request, PathAndQuery::from_static(STREAM), codec()).await?.into_inner();
    let mut last = Value::Null;
    for n in 0..MESSAGES {
        send.send(message(n)).await?;
        last = told(&answers.message().await?.context("the stream ended early")?, n)?;
    }
    drop(send);
    ensure!(answers.message().await?.is_none(), "the stream goes on after its end");
    Ok(last)
}

fn codec() -> ProstCodec<Echo, Echo> {
    ProstCodec::default()
}

fn message(n: usize) -> Echo {
    Echo { text: format!("message {n}"), ..Echo::default() }
}

fn told(answer: &Echo, n: usize) -> anyhow::Result<Value> {
    ensure!(answer.text == message(n).text, "sent {:?}, got {answer:?}", message(n).text);
    Ok(json!({"messages": n + 1, "pod": answer.pod, "version": answer.version, "zone": answer.zone}))
}

async fn websocket(url: &str) -> anyhow::Result<Value> {
    let (stream, host) = connect(url).await?;
    let path = url.parse::<Uri>()?.path().to_owned();
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{host}{path}"), stream).await?;
    for sent in [Message::text("straße"), Message::binary(pattern(CHUNK))] {
        socket.send(sent.clone()).await?;
        let answer = socket.next().await.context("closed early")??;
        ensure!(answer == sent, "a message came back changed");
    }
    socket.close(None).await?;
    Ok(json!({"messages": 2}))
}

async fn tcp(url: &str) -> anyhow::Result<Value> {
    let (mut stream, _) = connect(url).await?;
    let sent = pattern(CHUNK);
    let (mut read, mut write) = stream.split();
    let (mut answer, mut rest) = (vec![0; CHUNK], Vec::new());
    // Both ways at once: an echo whose answers nobody reads stops reading.
    tokio::try_join!(write.write_all(&sent), read.read_exact(&mut answer))?;
    write.shutdown().await?;
    read.read_to_end(&mut rest).await?;
    if answer != sent || !rest.is_empty() {
        bail!("the bytes came back changed");
    }
    Ok(json!({"bytes": CHUNK}))
}

/// Bytes in which a lost or doubled block shows, since no two blocks of a power of two are alike.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}
