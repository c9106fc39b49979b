//! Bookinfo's four services: the paths, ports and JSON fields of Istio's sample, so that its examples work here too.

pub mod details;
mod page;
pub mod productpage;
pub mod ratings;
pub mod reviews;

use std::time::Duration;

use hyper::HeaderMap;
use serde_json::Value;

use crate::client::Client;

/// Whom the services ask, each as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Facts about a book.
    pub details: String,
    /// Reviews of a book.
    pub reviews: String,
    /// Stars for a book.
    pub ratings: String,
}

impl Hosts {
    /// Reads `DETAILS_HOSTNAME`, `DETAILS_SERVICE_PORT` and so on, else the service's own name and 9080.
    pub fn from_env() -> Hosts {
        let host = |name: &str| {
            let read = |what: &str| std::env::var(format!("{}_{what}", name.to_uppercase())).ok().filter(|text| !text.is_empty());
            let port = read("SERVICE_PORT").unwrap_or_else(|| "9080".to_owned());
            format!("{}:{port}", read("HOSTNAME").unwrap_or_else(|| name.to_owned()))
        };
        Hosts { details: host("details"), reviews: host("reviews"), ratings: host("ratings") }
    }
}

/// The JSON at `path` of `host`, or the status to pass on where it did not answer 200 (500 for no answer at all).
async fn ask(client: &Client, host: &str, path: &str, headers: HeaderMap, timeout: Duration) -> Result<Value, u16> {
    match client.get(&format!("http://{host}{path}"), headers, timeout).await {
        Ok(answer) if answer.status.is_success() => serde_json::from_slice(&answer.body).map_err(|_| 500),
        Ok(answer) => Err(answer.status.as_u16()),
        Err(_) => Err(500),
    }
}

/// The number of the book in a path such as `/details/0`.
fn book(path: &str, prefix: &str) -> Option<u64> {
    path.strip_prefix(prefix)?.parse().ok()
}
