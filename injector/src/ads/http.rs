//! What a control plane's listener answers: ADS over gRPC, and for people and probes a few pages over HTTP.

use super::service::Ads;
use super::status::{FindingStatus, Syncz, short};
use crate::canary::{page, report};
use crate::listen::Answer;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use std::collections::BTreeMap;
use std::convert::Infallible;
use tonic::body::Body;
use tonic::codegen::Service;
use weir_mesh::node::Node;
use weir_policy::REPORT_PATH;

/// A node brings the version of everything that it has when it reconnects: a large mesh needs more than the default of 4 MB.
/// In memory it takes some ten times as much.
const LARGEST_REQUEST: usize = 16 << 20;

impl Answer for Ads {
    /// ADS for whoever asks, and pages for people and probes.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if is_grpc(&request) {
            return grpc(self.clone(), request).await;
        }
        if is_report(&request) {
            return Ok(report::take(self, request).await);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_string()));
        }
        Ok(match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n".to_string()),
            "/debug/syncz" => json(&syncz(self)),
            page::PAGE => json(&self.canaries.page().await),
            "/debug/config" => config(self, request.uri().query().unwrap_or_default()).await,
            _ => text(StatusCode::NOT_FOUND, "there is /healthz, /debug/syncz, /debug/config?node=ID and /debug/canaries\n".to_string()),
        })
    }
}

/// Whether it is a call of gRPC.
pub fn is_grpc(request: &Request<Incoming>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Whether it is what a proxy tells of canaries.
pub fn is_report(request: &Request<Incoming>) -> bool {
    request.method() == Method::POST && request.uri().path() == REPORT_PATH
}

/// Answers a call of the discovery service.
pub async fn grpc(ads: Ads, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    AggregatedDiscoveryServiceServer::new(ads).max_decoding_message_size(LARGEST_REQUEST).call(request).await
}

fn syncz(ads: &Ads) -> Syncz {
    Syncz { nodes: ads.nodes.status(), findings: ads.world.borrow().findings.iter().map(FindingStatus::from).collect() }
}

/// Names and versions of what a node is to be told, with the objects that they were made from.
async fn config(ads: &Ads, query: &str) -> Response<Body> {
    let id = query.split('&').find_map(|pair| pair.strip_prefix("node=")).unwrap_or_default();
    let node: Node = match id.parse() {
        Ok(node) => node,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("/debug/config?node=ID: {error}\n")),
    };
    let node = ads.nodes.find(&node).unwrap_or(node);
    let world = ads.world.borrow().clone();
    let Some(snapshot) = world.snapshot(&node).await else {
        return text(StatusCode::NOT_FOUND, format!("{id} is no pod of the mesh\n"));
    };
    let mut types = BTreeMap::new();
    for (kind, resources) in &snapshot.resources {
        let shown =
            |resource: &weir_mesh::snapshot::Resource| serde_json::json!({"version": resource.version, "objects": resource.objects});
        types.insert(short(*kind), resources.iter().map(|(name, resource)| (name, shown(resource))).collect::<BTreeMap<_, _>>());
    }
    json(&types)
}

/// A page for programs.
pub fn json(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_string_pretty(value) {
        Ok(body) => respond(StatusCode::OK, "application/json", body + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// A page for people.
pub fn text(status: StatusCode, body: String) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", body)
}

/// What is no text.
pub fn bytes(content_type: &'static str, body: hyper::body::Bytes) -> Response<Body> {
    respond(StatusCode::OK, content_type, body)
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<hyper::body::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}
