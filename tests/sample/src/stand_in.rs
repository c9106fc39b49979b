//! The role `stand-in`: takes the place of any application, and answers with what it was asked.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::answer::{self, Body};
use crate::identity::Identity;
use crate::product::with;
use crate::{grpc, websocket};

/// The longest that `/delay/MILLISECONDS` waits.
const LONGEST_DELAY_MS: u64 = 60_000;

/// Answers any request with who answers and what was asked, as JSON.
///
/// gRPC goes to the service `weir.sample.Echo`, a WebSocket at `/ws` is echoed. `/status/CODE` answers with
/// that code and `/delay/MILLISECONDS` after that time, which is what retries and timeouts are tried with.
pub async fn answer(request: Request<Incoming>, identity: &Identity, port: u16) -> Response<Body> {
    if request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return grpc::answer(request, identity).await;
    }
    if request.uri().path() == "/ws" {
        return websocket::answer(request);
    }
    let (head, body) = request.into_parts();
    let status = asked_for(head.uri.path(), "/status/").and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    if let Some(delay) = asked_for::<u64>(head.uri.path(), "/delay/") {
        tokio::time::sleep(Duration::from_millis(delay.min(LONGEST_DELAY_MS))).await;
    }
    let body = match digest(body).await {
        Ok((length, sha256)) => json!({"length": length, "sha256": sha256}),
        Err(error) => return answer::text(StatusCode::BAD_REQUEST, format!("the body broke off: {error}\n")),
    };
    let asked = json!({
        "port": port,
        "protocol": format!("{:?}", head.version),
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(|path| path.as_str()),
        "headers": read(&head.headers),
        "body": body,
    });
    answer::json(status, &with(identity, asked))
}

fn asked_for<T: std::str::FromStr>(path: &str, prefix: &str) -> Option<T> {
    path.strip_prefix(prefix)?.parse().ok()
}

/// The headers by name. Several of one name become one value, as RFC 9110 allows, and RFC 9113 for cookies.
fn read(headers: &HeaderMap) -> BTreeMap<String, String> {
    let join = |name: &str| if name == "cookie" { "; " } else { ", " };
    let value_of = |name: &hyper::header::HeaderName| {
        let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        values.join(join(name.as_str()))
    };
    headers.keys().map(|name| (name.to_string(), value_of(name))).collect()
}

/// The body's length and SHA-256, without holding it.
async fn digest(mut body: Incoming) -> Result<(u64, String), hyper::Error> {
    let (mut length, mut hash) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            length += data.len() as u64;
            hash.update(&data);
        }
    }
    Ok((length, hex(&hash.finalize())))
}

/// Bytes as lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
