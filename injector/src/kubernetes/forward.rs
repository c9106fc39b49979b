//! HTTP to a port of a pod that is open to the pod alone, by the API server's port-forward: who may forward a port there may read it.

use super::access::message;
use crate::ask;
use anyhow::{Context, Error, Result, anyhow, bail};
use hyper::Method;
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use std::time::Duration;

/// An answer may be a big proxy's whole configuration over a slow line.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the kubelet's own word on what failed is waited for.
const REASON: Duration = Duration::from_secs(1);

/// What a port of a pod answers to a GET.
pub async fn get(client: &Client, namespace: &str, pod: &str, port: u16, path: &str) -> Result<Bytes> {
    ask(client, namespace, pod, port, Method::GET, path).await
}

/// The same of one request or the other ([`ask::ask`]).
pub async fn ask(client: &Client, namespace: &str, pod: &str, port: u16, method: Method, path: &str) -> Result<Bytes> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let exchange = async {
        let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| refused(&error, namespace))?;
        let (stream, reason) = (forwarder.take_stream(port), forwarder.take_error(port));
        let answer = ask::ask(stream.context("a port that is forwarded")?, method, path).await;
        match (answer, reason) {
            (Err(error), Some(reason)) => Err(explained(error, tokio::time::timeout(REASON, reason).await.ok().flatten())),
            (answer, _) => answer,
        }
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange).await;
    answer.unwrap_or_else(|_| bail!("no answer within {TIMEOUT:?}")).with_context(|| format!("port {port} of the pod {namespace}/{pod}"))
}

/// The kubelet says why it could not connect; the connection itself only that it ended.
fn explained(error: Error, reason: Option<String>) -> Error {
    match reason {
        Some(reason) => anyhow!("{}", reason.trim()),
        None => error,
    }
}

/// Over a WebSocket the API server asks for `get`, since Kubernetes 1.35 for `create` as well; a role made for kubectl may have only one.
fn refused(error: &kube::Error, namespace: &str) -> Error {
    let forbidden = matches!(error, kube::Error::Api(status) if status.code == 403);
    let hint = if forbidden { format!("; it takes the verbs get and create on pods/portforward in {namespace}") } else { String::new() };
    anyhow!("{}{hint}", message(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn names_the_rights_that_are_missing() {
        let said = |code: u16, text: &str| {
            let status = Status { code, message: text.into(), ..Status::default() };
            refused(&kube::Error::Api(Box::new(status)), "shop").to_string()
        };
        assert_eq!(
            said(403, "pods \"a\" is forbidden"),
            "pods \"a\" is forbidden; it takes the verbs get and create on pods/portforward in shop"
        );
        assert_eq!(said(404, "pods \"a\" not found"), "pods \"a\" not found");
    }

    #[test]
    fn the_kubelets_reason_counts_more_than_the_end_of_the_connection() {
        let ended = || anyhow!("connection closed");
        assert_eq!(explained(ended(), Some("refused\n".into())).to_string(), "refused");
        assert_eq!(explained(ended(), None).to_string(), "connection closed");
    }
}
