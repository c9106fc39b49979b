//! The request headers that a service hands on to the services it asks.
//!
//! A mesh can tie the hops of one request together only if the applications hand these on, so the sample does
//! what any application has to: tracing, `baggage`, the user.

use hyper::HeaderMap;

/// Names that are handed on as they are; those that begin with `x-` are handed on besides.
const NAMES: [&str; 9] =
    ["authorization", "b3", "baggage", "cookie", "end-user", "grpc-trace-bin", "traceparent", "tracestate", "user-agent"];

/// Prefixes of headers that speak of one hop alone: the next proxy would take them for orders or for its own.
const ONE_HOP: [&str; 2] = ["x-envoy-", "x-forwarded-"];

/// The headers of `incoming` that belong on the requests made on its behalf.
pub fn headers(incoming: &HeaderMap) -> HeaderMap {
    incoming
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            NAMES.contains(&name) || name.starts_with("x-") && !ONE_HOP.iter().any(|prefix| name.starts_with(prefix))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_on_traces_baggage_and_the_user_but_nothing_of_one_hop() {
        let incoming: HeaderMap = [
            ("accept", "*/*"),
            ("baggage", "weir=1"),
            ("cookie", "user=ada"),
            ("host", "shop"),
            ("traceparent", "00-1"),
            ("x-envoy-attempt-count", "2"),
            ("x-forwarded-for", "198.51.100.7"),
            ("x-request-id", "7"),
            ("x-tester", "yes"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();

        let handed_on = headers(&incoming);
        let mut names: Vec<&str> = handed_on.keys().map(|name| name.as_str()).collect();
        names.sort();

        assert_eq!(names, ["baggage", "cookie", "traceparent", "x-request-id", "x-tester"]);
    }
}
