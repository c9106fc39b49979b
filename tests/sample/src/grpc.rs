//! The gRPC service `weir.sample.Echo`: `Unary` answers one message, `Stream` answers each message of a stream.
//!
//! Written by hand, since two methods need no protobuf compiler:
//!
//! ```proto
//! message Echo { string text = 1; string pod = 2; string version = 3; string zone = 4; }
//! service Echo { rpc Unary(Echo) returns (Echo); rpc Stream(stream Echo) returns (stream Echo); }
//! ```

use std::future::{Ready, ready};
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request as HttpRequest, Response as HttpResponse};
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::answer::Body;
use crate::identity::Identity;

/// The path of the method that answers one message.
pub const UNARY: &str = "/weir.sample.Echo/Unary";
/// The path of the method that answers each message as it arrives.
pub const STREAM: &str = "/weir.sample.Echo/Stream";

/// The message that is sent, and sent back with who sends it back.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Echo {
    /// The text, unchanged on its way back.
    #[prost(string, tag = "1")]
    pub text: String,
    /// The pod that answers.
    #[prost(string, tag = "2")]
    pub pod: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub version: String,
    /// Its zone.
    #[prost(string, tag = "4")]
    pub zone: String,
}

/// Answers a gRPC request as `identity`.
pub(crate) async fn answer(request: HttpRequest<Incoming>, identity: &Identity) -> HttpResponse<Body> {
    let mut grpc = Grpc::new(ProstCodec::<Echo, Echo>::default());
    let service = Service(identity.clone());
    let response = match request.uri().path() {
        UNARY => grpc.unary(service, request).await,
        STREAM => grpc.streaming(service, request).await,
        path => Status::unimplemented(format!("no method {path}")).into_http(),
    };
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

#[derive(Clone)]
struct Service(Identity);

impl Service {
    fn echo(&self, asked: Echo) -> Echo {
        Echo { text: asked.text, pod: self.0.pod.clone(), version: self.0.version.clone(), zone: self.0.zone.clone() }
    }
}

impl UnaryService<Echo> for Service {
    type Response = Echo;
    type Future = Ready<Result<Response<Echo>, Status>>;

    fn call(&mut self, request: Request<Echo>) -> Self::Future {
        ready(Ok(Response::new(self.echo(request.into_inner()))))
    }
}

impl StreamingService<Echo> for Service {
    type Response = Echo;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Echo, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Echo>>) -> Self::Future {
        let service = self.clone();
        let echoes = request.into_inner().map(move |asked| asked.map(|asked| service.echo(asked)));
        ready(Ok(Response::new(Box::pin(echoes))))
    }
}
