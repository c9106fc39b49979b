//! What the API server asks before it takes a pod: whether it gets a proxy, and how it then looks. And, where that is wanted, before it
//! takes an object of Istio's: whether it is valid.

use crate::ads::http::{json, text};
use crate::listen::Answer;
use crate::validation::{Judgement, Validator};
use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::body::Body;
use weir_mesh::inject::{Injected, Namespace, Patch, Selection, Values, inject, select};

/// Larger than any object that etcd takes (1.5 MB) and what it was before, with what is around them.
const LARGEST: usize = 4 << 20;
/// So many of a kind are worked on at a time: anybody may ask, and an object takes some fifty times as much memory as its text.
const TURNS: usize = 4;
/// How long a request may take to come.
const READING: Duration = Duration::from_secs(10);

/// The webhook, cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    /// The settings of injection.
    pub values: Arc<Values>,
    /// The authority by which proxies know the control plane, as PEM.
    pub ca: String,
    /// What looks for mistakes.
    pub validator: Validator,
    /// Who works on a request has one of its kind's.
    pub turns: Turns,
}

/// [`TURNS`] for each kind of request: pods do not wait until a mesh was built.
#[derive(Clone)]
pub struct Turns {
    inject: Arc<Semaphore>,
    validate: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let turns = || Arc::new(Semaphore::new(TURNS));
        Turns { inject: turns(), validate: turns() }
    }
}

/// An `AdmissionReview` of admission.k8s.io/v1, as far as it is read
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request>).
#[derive(Deserialize)]
struct Review {
    request: Asked,
}

#[derive(Deserialize)]
struct Asked {
    uid: String,
    #[serde(default)]
    namespace: String,
    object: Value,
}

impl Answer for Webhook {
    /// The API server speaks HTTP/1.1 and sends no request again whose connection went away: it has none that could. So every admission also
    /// finds a replica that lives.
    const KEPT: bool = false;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path().to_string();
        if request.method() != Method::POST || !["/inject", "/validate"].contains(&path.as_str()) {
            return Ok(text(StatusCode::NOT_FOUND, "there is POST /inject and POST /validate\n".to_string()));
        }
        let body = match timeout(READING, Limited::new(request.into_body(), LARGEST).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return Ok(text(StatusCode::BAD_REQUEST, format!("{error}\n"))),
            Err(_) => return Ok(text(StatusCode::REQUEST_TIMEOUT, format!("the request did not come within {READING:?}\n"))),
        };
        let turns = if path == "/validate" { &self.turns.validate } else { &self.turns.inject };
        let _turn = turns.acquire().await;
        Ok(match serde_json::from_slice::<Review>(&body) {
            Ok(Review { request }) if path == "/validate" => json(&request.answer(self.validate(&request).await)),
            Ok(Review { request }) => json(&request.answer(self.decide(&request))),
            Err(error) => text(StatusCode::BAD_REQUEST, format!("expected an AdmissionReview of an object: {error}\n")),
        })
    }
}

/// The answer to it.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Decision {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    patch: Option<Patched>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Patched {
    patch_type: &'static str,
    /// Base64 of the JSON.
    patch: String,
}

impl Asked {
    fn answer(&self, decision: Decision) -> Value {
        let decision = Decision { uid: self.uid.clone(), ..decision };
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": decision})
    }
}

/// Refuses with the status that the API server passes on.
fn refused(reason: &str, message: &str) -> Decision {
    let code = if reason == "Invalid" { 422 } else { 400 };
    Decision { status: Some(json!({"code": code, "reason": reason, "message": format!("weir: {message}")})), ..Decision::default() }
}

impl Webhook {
    async fn validate(&self, asked: &Asked) -> Decision {
        let Judgement { errors, warnings } = self.validator.judge(asked.object.clone()).await;
        if errors.is_empty() { Decision { allowed: true, warnings, ..Decision::default() } } else { refused("Invalid", &errors.join("; ")) }
    }

    fn decide(&self, asked: &Asked) -> Decision {
        let allowed = Decision { allowed: true, ..Decision::default() };
        // That the API server asks says that the labels of the namespace or of the pod want it: the selectors are Istio's.
        let namespace = Namespace::asking(&asked.namespace, &self.values);
        if let Selection::Skip(why) = select(&asked.object, &namespace, &self.values) {
            tracing::debug!(namespace = asked.namespace, pod = name(&asked.object), "not injected: {why}");
            return allowed;
        }
        match inject(&asked.object, None, &self.values, &self.ca) {
            Ok(Injected { patch, warnings, .. }) => Decision { patch: patched(&patch), warnings, ..allowed },
            Err(problems) => {
                let message = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(namespace = asked.namespace, pod = name(&asked.object), "refused: {message}");
                refused("BadRequest", &message)
            }
        }
    }
}

fn patched(patch: &Patch) -> Option<Patched> {
    let text = (!patch.0.is_empty()).then(|| serde_json::to_vec(patch).ok()).flatten()?;
    Some(Patched { patch_type: "JSONPatch", patch: BASE64_STANDARD.encode(text) })
}

/// A pod's name, or what it will be made from.
fn name(pod: &Value) -> &str {
    ["/metadata/name", "/metadata/generateName"].into_iter().find_map(|path| pod.pointer(path)?.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    fn webhook() -> Webhook {
        Webhook { values: Arc::default(), ca: "CA".into(), validator: Validator::default(), turns: Turns::default() }
    }

    fn review(asked: &Asked) -> Value {
        asked.answer(webhook().decide(asked))
    }

    fn asked(pod: Value) -> Asked {
        Asked { uid: "u".into(), namespace: "shop".into(), object: pod }
    }

    fn pod(annotations: Value) -> Value {
        json!({"metadata": {"generateName": "web-", "annotations": annotations}, "spec": {"containers": [{"name": "web", "image": "i"}]}})
    }

    #[test]
    fn a_pod_is_answered_with_a_patch_that_brings_the_proxy() {
        let answer = review(&asked(pod(json!({}))));
        assert_eq!((&answer["kind"], &answer["response"]["uid"]), (&json!("AdmissionReview"), &json!("u")));
        let response = &answer["response"];
        assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
        let patch = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let mut patched = pod(json!({}));
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched["spec"]["initContainers"][1]["name"], "istio-proxy");
        let again = review(&asked(patched));
        assert_eq!(again["response"], json!({"allowed": true, "uid": "u"}), "asked again, there is nothing to change");
    }

    #[test]
    fn a_pod_that_wants_none_is_let_through() {
        let answer = review(&asked(pod(json!({"sidecar.istio.io/inject": "false"}))));
        assert_eq!(answer["response"], json!({"allowed": true, "uid": "u"}));
    }

    #[test]
    fn a_broken_annotation_is_refused_by_its_name() {
        let answer = review(&asked(pod(json!({"traffic.sidecar.istio.io/excludeInboundPorts": "eighty"}))));
        let response = &answer["response"];
        assert_eq!(response["allowed"], false);
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains("traffic.sidecar.istio.io/excludeInboundPorts") && message.contains("eighty"), "{message}");
    }

    #[tokio::test]
    async fn no_connection_outlives_its_admission() {
        let listener = listen::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(listen::serve_tcp(listener, webhook(), listen::never()));
        client.write_all(b"POST /inject HTTP/1.1\r\nhost: weir\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("the server ends it");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}
