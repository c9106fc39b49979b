//! Connections into the cluster.

use crate::replicas::NAME;
use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use weir_tests::cluster::{Cluster, SYSTEM};

/// What trusts the control plane and speaks these protocols.
pub fn tls(cluster: &Cluster, protocols: &[&str]) -> Result<TlsConnector> {
    let map = cluster.get(&["configmap", "weir-ca", "-n", SYSTEM])?;
    let authority = map["data"]["ca.crt"].as_str().context("ca.crt")?.to_string();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection with TLS.
pub async fn tls_stream(connector: &TlsConnector, address: SocketAddr) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(connector.connect(ServerName::try_from(NAME)?, stream).await?)
}

/// A connection for one request after the other.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Over any stream.
    pub async fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Connection> {
        let (send, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection(send))
    }

    /// Without TLS.
    pub async fn plain(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Connection::new(stream).await
    }

    /// Asks, and waits for all of the answer.
    pub async fn ask(&mut self, request: hyper::http::request::Builder, body: Bytes) -> Result<(StatusCode, Bytes)> {
        self.0.ready().await?;
        let answer = self.0.send_request(request.body(Full::new(body))?).await?;
        Ok((answer.status(), answer.into_body().collect().await?.to_bytes()))
    }

    /// Gets a page.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<(StatusCode, String)> {
        let (status, body) = self.ask(Request::get(path).header("host", host), Bytes::new()).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
