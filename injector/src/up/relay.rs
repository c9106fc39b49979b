//! From outside to a gateway: connections to 127.0.0.1 of the user's machine go on to the gateway's pods.
//!
//! `weir up` opens the listener outside and hands it in. A socket stays in the network in which it was made, so what is
//! accepted here comes from outside, and what is connected here goes to a pod: no second process has to copy.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Relays from `listener` to what `pods` names, by turns. Aborting the task closes the listener; the
/// connections it made live on.
pub fn start(listener: OwnedFd, pods: watch::Receiver<Vec<SocketAddrV4>>) -> std::io::Result<JoinHandle<()>> {
    let listener = std::net::TcpListener::from(listener);
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let turn = AtomicUsize::new(0);
    Ok(tokio::spawn(async move {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                // Out of files, most likely: some will be free soon.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            let pod = {
                let pods = pods.borrow();
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                turn.checked_rem(pods.len()).and_then(|index| pods.get(index)).copied()
            };
            if let Some(pod) = pod {
                tokio::spawn(relay(client, pod));
            }
        }
    }))
}

async fn relay(mut client: TcpStream, pod: SocketAddrV4) {
    if let Ok(mut gateway) = TcpStream::connect(pod).await {
        let _ = (client.set_nodelay(true), gateway.set_nodelay(true));
        let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
    }
}
