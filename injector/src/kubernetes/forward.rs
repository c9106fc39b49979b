//! HTTP to a port of a pod that is open to the pod alone, by the API server's port-forward: who may forward a port there may read it.

use super::access::message;
use crate::ask;
use anyhow::{Context, Error, Result, anyhow, bail};
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use kube::client::UpgradeConnectionError;
use std::time::Duration;

/// An answer may be a big proxy's whole configuration over a slow line.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the kubelet's own word on what failed is waited for.
const REASON: Duration = Duration::from_secs(1);

/// What a port of a pod answers to a GET.
pub async fn get(client: &Client, namespace: &str, pod: &str, port: u16, path: &str) -> Result<Bytes> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let exchange = async {
        let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| refused(&error, namespace, pod))?;
        let (stream, reason) = (forwarder.take_stream(port), forwarder.take_error(port));
        let answer = ask::get(stream.context("a port that is forwarded")?, path).await;
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

fn refused(error: &kube::Error, namespace: &str, pod: &str) -> Error {
    match error {
        // Over a WebSocket the API server asks for `get`, since Kubernetes 1.35 for `create` as well; a role for kubectl has both.
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) if status.as_u16() == 403 => anyhow!(
            "you may not forward its ports: ask for the verbs get and create on pods/portforward in the namespace {namespace} \
             (kubectl auth can-i create pods/portforward -n {namespace})"
        ),
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) if status.as_u16() == 404 => {
            anyhow!("there is no pod {pod} in the namespace {namespace}")
        }
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
            anyhow!("the API server does not forward its ports: {status}")
        }
        error => anyhow!("{}", message(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn said(status: StatusCode) -> String {
        refused(&kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)), "shop", "web-0").to_string()
    }

    #[test]
    fn names_the_right_that_is_missing() {
        let expected = "you may not forward its ports: ask for the verbs get and create on pods/portforward in the namespace shop \
                        (kubectl auth can-i create pods/portforward -n shop)";
        assert_eq!(said(StatusCode::FORBIDDEN), expected);
        assert_eq!(said(StatusCode::NOT_FOUND), "there is no pod web-0 in the namespace shop");
        assert_eq!(said(StatusCode::BAD_GATEWAY), "the API server does not forward its ports: 502 Bad Gateway");
    }

    #[test]
    fn the_kubelets_reason_counts_more_than_the_end_of_the_connection() {
        let ended = || anyhow!("connection closed");
        assert_eq!(explained(ended(), Some("refused\n".into())).to_string(), "refused");
        assert_eq!(explained(ended(), None).to_string(), "connection closed");
    }
}
