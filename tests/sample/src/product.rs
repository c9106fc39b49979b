//! The role `product`: asks order-history on each request and tells which zones the two answers came from.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::answer::{self, Body};
use crate::client::{Answer, Client};
use crate::forward;
use crate::identity::Identity;

/// How long order-history may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Answers with this instance's identity and order-history's answer, or 502 and the reason. The header `drop` is not handed on.
pub async fn answer(
    request: &Request<Incoming>,
    identity: &Identity,
    client: &Client,
    order_history: &str,
    drop: Option<&HeaderName>,
) -> Response<Body> {
    let mut headers = forward::headers(request.headers());
    if let Some(drop) = drop {
        headers.remove(drop);
    }
    match client.get(order_history, headers, TIMEOUT).await {
        Ok(theirs) if theirs.status.is_success() => answer::json(StatusCode::OK, &with(identity, json!({"orderHistory": seen(&theirs)}))),
        Ok(theirs) => {
            let reason = format!("order-history answered {}: {}", theirs.status, String::from_utf8_lossy(&theirs.body).trim());
            answer::json(StatusCode::BAD_GATEWAY, &with(identity, json!({"reason": reason, "orderHistory": seen(&theirs)})))
        }
        Err(error) => {
            let reason = format!("order-history did not answer: {error:#}");
            answer::json(StatusCode::BAD_GATEWAY, &with(identity, json!({"reason": reason})))
        }
    }
}

/// What the caller can tell about an answer: its own fields, its status, and by whom the proxy says it was served.
fn seen(theirs: &Answer) -> Value {
    let served_by = theirs.headers.get("x-weir-served-by").and_then(|value| value.to_str().ok());
    let mut seen = json!({"status": theirs.status.as_u16(), "servedBy": served_by});
    if let (Some(seen), Ok(Value::Object(fields))) = (seen.as_object_mut(), serde_json::from_slice(&theirs.body)) {
        seen.extend(fields);
    }
    seen
}

/// The identity's fields and those of the object `more`.
pub fn with(identity: &Identity, more: Value) -> Value {
    let mut all = json!(identity);
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}
