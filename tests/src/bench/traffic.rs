//! A browser's requests and a service's answers, with as little CPU as can be, so that Envoy gets the rest: bytes that are
//! written once and known by their end.

use super::manifests::HOST;
use anyhow::{Context, Result, ensure};
use std::io::Result as IoResult;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Connections to each gateway, each with one request at a time.
const CONNECTIONS: usize = 8;
const END_OF_HEADERS: &[u8] = b"\r\n\r\n";
const BODY: &str = r#"{"items":[{"id":1,"name":"cup","price":7},{"id":2,"name":"plate","price":9},{"id":3,"name":"spoon","price":3}]}"#;

/// Answers requests without a body, for ever.
pub async fn serve(listener: TcpListener) -> IoResult<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // An Envoy that ends closes its connections: no more to say.
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: TcpStream) -> IoResult<()> {
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-cache\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.set_nodelay(true)?;
    loop {
        if !read_to(&mut stream, END_OF_HEADERS).await?.ends_with(END_OF_HEADERS) {
            return Ok(());
        }
        stream.write_all(response.as_bytes()).await?;
    }
}

/// Connections to one gateway.
pub struct Client(Vec<TcpStream>);

impl Client {
    /// Connects.
    pub async fn new(gateway: SocketAddr) -> Result<Client> {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(gateway).await.with_context(|| format!("connecting to {gateway}"))?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        Ok(Client(streams))
    }

    /// Sends so many requests, about, over all connections, and waits for the answers. Returns how many.
    pub async fn send(&mut self, requests: usize) -> Result<usize> {
        let each = requests.div_ceil(self.0.len());
        let streams = self.0.drain(..).map(|stream| tokio::spawn(ask(stream, each)));
        for stream in streams.collect::<Vec<_>>() {
            self.0.push(stream.await??);
        }
        Ok(each * self.0.len())
    }
}

async fn ask(mut stream: TcpStream, count: usize) -> Result<TcpStream> {
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let cookie = "_ga=GA1.2.1234567890.1600000000; session=6a3f; user=3f8e1c7a-5b0d-4f7e-9d55-8a2f6c1b7e90";
    let request = format!(
        "GET /items HTTP/1.1\r\nhost: {HOST}\r\nuser-agent: {agent}\r\naccept: application/json\r\naccept-language: en\r\n\
         accept-encoding: gzip, deflate, br\r\ncookie: {cookie}\r\n\r\n"
    );
    for _ in 0..count {
        stream.write_all(request.as_bytes()).await?;
        let response = read_to(&mut stream, BODY.as_bytes()).await?;
        ensure!(response.starts_with(b"HTTP/1.1 200 "), "answered {:?}", String::from_utf8_lossy(&response));
    }
    Ok(stream)
}

/// Reads until `end`, the end of the stream, or so much that the end was missed.
async fn read_to(stream: &mut TcpStream, end: &[u8]) -> IoResult<Vec<u8>> {
    let mut read = Vec::with_capacity(4096);
    while read.len() < 4096 && stream.read_buf(&mut read).await? > 0 && !read.ends_with(end) {}
    Ok(read)
}
