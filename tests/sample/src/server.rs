//! Listeners and connections: accepts, serves HTTP/1 and HTTP/2 on the same port, and ends without a lost request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;

/// How long requests in flight may take once the end was asked for; below Kubernetes' grace period of 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// A server at work; it ends with [`Server::stop`], abruptly when it is dropped with its runtime.
pub struct Server {
    /// The addresses it listens on, in the order asked for.
    pub addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on `addresses` (port 0 takes a free one) and answers there as `app` until it is stopped.
    pub async fn start(app: App, addresses: &[SocketAddr]) -> anyhow::Result<Server> {
        let app = Arc::new(app);
        let (stop, stopped) = watch::channel(false);
        let mut server = Server { addresses: Vec::new(), stop, listeners: Vec::new() };
        for listener in bind(addresses).await? {
            server.addresses.push(listener.local_addr()?);
            server.listeners.push(tokio::spawn(accept(listener, app.clone(), stopped.clone())));
        }
        Ok(server)
    }

    /// Accepts no more connections, answers the requests in flight, then returns.
    pub async fn stop(self) {
        // Nobody listens any more if every listener has ended already, which is what is wanted.
        let _ = self.stop.send(true);
        for listener in self.listeners {
            let _ = listener.await;
        }
    }
}

/// Listens on each of `addresses`.
pub async fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?);
    }
    Ok(listeners)
}

/// Returns when this process is asked to end, by SIGTERM or Ctrl-C.
pub async fn asked_to_end() -> anyhow::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let connections = GracefulShutdown::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(stream, app.clone(), &connections),
                // Out of descriptors, or a peer that left at once: the next one may do better.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, connections.shutdown()).await;
}

fn serve(stream: TcpStream, app: Arc<App>, connections: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let port = stream.local_addr().map(|address| address.port()).unwrap_or_default();
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, std::convert::Infallible>(app.answer(request, port).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = connections.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        // A connection that the peer breaks off is the peer's affair.
        let _ = connection.await;
    });
}
