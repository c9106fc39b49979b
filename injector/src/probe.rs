//! `weir probe URL`: whether an address answers well. For a pod without a shell, as that of `helm test`.

use crate::up::http::request;
use anyhow::{Context, Result, bail};
use hyper::{Method, Uri};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;

/// For all of it: names, connection, answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Exit with 0 if a URL answers 200 within 5 s
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `http://HOST[:PORT]/PATH`
    #[arg(value_name = "URL")]
    url: Uri,
}

/// Asks once.
pub fn run(args: &Args) -> Result<ExitCode> {
    crate::kubernetes::access::run(async {
        let answer = tokio::time::timeout(TIMEOUT, ask(&args.url)).await;
        let status =
            answer.with_context(|| format!("{}: no answer within {TIMEOUT:?}", args.url))?.with_context(|| args.url.to_string())?;
        if status != 200 {
            bail!("{}: answered {status}", args.url);
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn ask(url: &Uri) -> Result<u16> {
    let (Some("http"), Some(host)) = (url.scheme_str(), url.host()) else { bail!("no URL as http://HOST[:PORT]/PATH") };
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), url.port_u16().unwrap_or(80))).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or(host, |authority| authority.as_str());
    Ok(request(stream, Method::GET, authority, path, &[]).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn tells_what_was_answered() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for status in ["200 OK", "503 Service Unavailable"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
            }
        });
        let url: Uri = format!("http://{address}/readyz").parse().unwrap();
        assert_eq!([ask(&url).await.unwrap(), ask(&url).await.unwrap()], [200, 503]);
        assert!(ask(&"https://a/".parse().unwrap()).await.is_err());
    }
}
