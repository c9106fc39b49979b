//! Connections from the host into the cluster's network. The host's side says `ADDRESS:PORT` in a line, then the bytes go both ways.

use crate::dir::Dir;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// Binds the socket that leads into the network namespace of this process.
pub fn listen(dir: &Dir) -> Result<UnixListener> {
    UnixListener::bind(dir.dial()).with_context(|| dir.dial().display().to_string())
}

/// Answers on it for ever.
pub fn serve(listener: &UnixListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || accept(stream));
    }
}

fn accept(stream: UnixStream) -> Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
    reader.read_line(&mut line)?;
    let there = TcpStream::connect_timeout(&line.trim().parse()?, Duration::from_secs(5))?;
    there.set_nodelay(true)?;
    join(stream, there)
}

/// Listens on a free port of the host's loopback for what goes to an address in the cluster; the port.
pub fn forward(dir: &Dir, to: SocketAddr) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let socket = dir.dial();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let socket = socket.clone();
            std::thread::spawn(move || {
                let mut inside = UnixStream::connect(socket)?;
                writeln!(inside, "{to}")?;
                stream.set_nodelay(true)?;
                join(inside, stream)
            });
        }
    });
    Ok(port)
}

fn join(unix: UnixStream, tcp: TcpStream) -> Result<()> {
    let (mut from_unix, mut to_tcp) = (unix.try_clone()?, tcp.try_clone()?);
    std::thread::spawn(move || {
        let _ = copy(&mut from_unix, &mut to_tcp);
        let _ = to_tcp.shutdown(Shutdown::Write);
    });
    let (mut from_tcp, mut to_unix) = (tcp, unix);
    let _ = copy(&mut from_tcp, &mut to_unix);
    let _ = to_unix.shutdown(Shutdown::Write);
    Ok(())
}
