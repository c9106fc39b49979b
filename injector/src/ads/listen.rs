//! Listens on TCP and on a unix socket; each connection may speak HTTP/1, HTTP/2 or gRPC.

mod owner;

use super::http::answer;
use super::service::Ads;
use anyhow::{Context, bail};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// How often a silent connection is asked whether it still lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// After an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A unix socket, whose file goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds a TCP address.
pub async fn tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        let owner = owner::of(address.port()).map(|owner| format!(", where {owner} listens")).unwrap_or_default();
        format!("cannot listen on {address} (--ads){owner}")
    })
}

/// Binds a unix socket. A file that nobody listens on is left from a process that was killed, and replaced.
pub fn unix(path: &Path) -> anyhow::Result<Socket> {
    let bind = || UnixListener::bind(path).with_context(|| format!("cannot listen on {} (--socket)", path.display()));
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                bail!("another process listens on {} (--socket)", path.display());
            }
            std::fs::remove_file(path).with_context(|| format!("cannot replace {} (--socket)", path.display()))?;
            bind()?
        }
        Err(_) => bind()?,
        Ok(listener) => listener,
    };
    Ok(Socket { listener, path: path.to_path_buf() })
}

/// Answers on a TCP listener until dropped.
pub async fn serve_tcp(listener: TcpListener, ads: Ads) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Pushes are small and must not wait for each other's acknowledgement.
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, ads.clone()));
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Answers on a unix socket until dropped.
pub async fn serve_unix(socket: Socket, ads: Ads) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, ads.clone()))),
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &std::io::Error) {
    tracing::warn!("cannot accept a connection: {error}");
    tokio::time::sleep(PAUSE).await;
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ads: Ads) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
    let service = service_fn(move |request| answer(ads.clone(), request));
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection ended: {error}");
    }
}
