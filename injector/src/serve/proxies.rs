//! What proxies are answered: the discovery service, and modules.

use crate::ads::http::{bytes, grpc, is_grpc, is_report, text};
use crate::ads::service::Ads;
use crate::canary::report;
use crate::listen::Answer;
use crate::modules::store::Store;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use std::convert::Infallible;
use tonic::body::Body;

/// The discovery service and the module server.
#[derive(Clone)]
pub struct Proxies {
    /// The discovery service.
    pub ads: Ads,
    /// The modules that are served.
    pub modules: Store,
}

impl Answer for Proxies {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if is_grpc(&request) {
            return grpc(self.ads.clone(), request).await;
        }
        if is_report(&request) {
            return Ok(report::take(&self.ads, request).await);
        }
        let Some(module) = self.modules.at(request.uri().path()) else {
            return Ok(text(StatusCode::NOT_FOUND, "there is the discovery service, and /modules/SHA256.wasm\n".to_string()));
        };
        if let Some(tokens) = &self.ads.tokens {
            let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            if let Err(refused) = tokens.shown(authorization).await {
                return Ok(text(StatusCode::UNAUTHORIZED, format!("{refused}\n")));
            }
        }
        Ok(bytes("application/wasm", module))
    }
}
