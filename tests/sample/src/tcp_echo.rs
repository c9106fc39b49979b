//! The role `tcp-echo`: sends back every byte, for what passes a mesh without being HTTP.

use std::time::Duration;

use tokio::net::TcpListener;

/// Echoes on each of `listeners` for as long as the runtime lives.
pub fn start(listeners: Vec<TcpListener>) {
    for listener in listeners {
        tokio::spawn(accept(listener));
    }
}

async fn accept(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    // Half closes pass through: the copy ends with the peer's end, and that ends our half.
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
            // Out of descriptors, or a peer that left at once: the next one may do better.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
