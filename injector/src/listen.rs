//! Listens on TCP, with TLS and without, and on unix sockets; each connection may speak HTTP/1, HTTP/2 or gRPC.

mod owner;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;

/// How often a silent connection is asked whether it still lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// After an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

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
        format!("cannot listen on {address}{owner}")
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

/// Ends a server's connections so that no request is lost, if the process then lives on for a while: one that is closed while it looks idle
/// may have a request under way, which a client such as the API server does not send again. So one of HTTP/1 goes on until its next answer,
/// which says that it is the last; new ones too are answered once, for who has not heard yet that this server goes. HTTP/2 has GOAWAY.
pub type Closing = watch::Receiver<bool>;

/// Nobody ends them.
pub fn never() -> Closing {
    watch::channel(false).1
}

/// Answers on a TCP listener until dropped.
pub async fn serve_tcp<A: Answer>(listener: TcpListener, answer: A, closing: Closing) {
    loop {
        let stream = accepted(&listener).await;
        tokio::spawn(connection(stream, answer.clone(), closing.clone()));
    }
}

/// Answers on a TCP listener, with TLS, until dropped.
pub async fn serve_tls<A: Answer>(listener: TcpListener, tls: Arc<ServerConfig>, answer: A, closing: Closing) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let stream = accepted(&listener).await;
        let (acceptor, answer, closing) = (acceptor.clone(), answer.clone(), closing.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => connection(stream, answer, closing).await,
                Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
    }
}

/// Answers on a unix socket until dropped.
pub async fn serve_unix<A: Answer>(socket: Socket, answer: A, closing: Closing) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, answer.clone(), closing.clone()))),
            Err(error) => pause(&error).await,
        }
    }
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Pushes are small and must not wait for each other's acknowledgement.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &std::io::Error) {
    tracing::warn!("cannot accept a connection: {error}");
    tokio::time::sleep(PAUSE).await;
}

async fn connection<A: Answer>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, answer: A, mut closing: Closing) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
    let http2 = Arc::new(Notify::new());
    let (spoken, ends) = (http2.clone(), closing.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let http1 = request.version() < Version::HTTP_2;
        if !http1 {
            spoken.notify_one();
        }
        let (answer, ends) = (answer.clone(), ends.clone());
        async move {
            let mut response = answer.answer(request).await?;
            if http1 && (!A::KEPT || *ends.borrow()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut serving = pin!(server.serve_connection(TokioIo::new(stream), service));
    let closes = async {
        closing.wait_for(|closing| *closing).await.map(drop)?;
        http2.notified().await;
        Ok::<_, watch::error::RecvError>(())
    };
    let ended = tokio::select! {
        ended = &mut serving => ended,
        // Without a sender nobody closes.
        Ok(()) = closes => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// What a server answers.
pub trait Answer: Clone + Send + Sync + 'static {
    /// Whether a connection of HTTP/1 is kept after an answer.
    const KEPT: bool = true;

    /// Answers one request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send;
}
