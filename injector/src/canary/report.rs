//! Takes reports of proxies: from whom, how many, how large.
//!
//! Who sends one shows the token that its ADS stream shows; where streams show none, it says which node it is, as streams do. It is heard
//! on the canaries that its own proxy has a policy for, and on no others.

use super::engine::Claim;
use crate::ads::http::text;
use crate::ads::service::Ads;
use crate::kubernetes::tokens::Pod;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tonic::body::Body;
use weir_mesh::mesh::canary::Name;
use weir_mesh::node::Node;
use weir_policy::NODE_HEADER;
use weir_policy::canary::governor::Record;

/// A proxy sends no more bytes at once, and some for the frame of it.
const LARGEST: usize = 20 << 10;
/// How long it may take to send them.
const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy sends two reports a second at most; a pod may send so many more at once...
const BURST: f64 = 10.0;
/// ...and so many each second.
const RATE: f64 = 4.0;

/// How many reports each pod may send now, and since when.
#[derive(Clone, Debug, Default)]
pub struct Rates(Arc<Mutex<HashMap<Pod, (f64, Instant)>>>);

impl Rates {
    /// Whether a pod may send another one.
    fn may(&self, pod: &Pod, now: Instant) -> bool {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |left: f64, since: Instant| (left + now.saturating_duration_since(since).as_secs_f64() * RATE).min(BURST);
        if !rates.contains_key(pod) {
            // Those that have all again are as if they had never sent any.
            rates.retain(|_, (left, since)| of(*left, *since) < BURST);
        }
        let (left, since) = rates.entry(pod.clone()).or_insert((BURST, now));
        let now_left = of(*left, *since);
        let may = now_left >= 1.0;
        (*left, *since) = (if may { now_left - 1.0 } else { now_left }, now);
        may
    }
}

/// Answers a report.
pub async fn take(ads: &Ads, request: Request<Incoming>) -> Response<Body> {
    match tokio::time::timeout(PATIENCE, read(ads, request)).await {
        Ok(Ok(())) => text(StatusCode::NO_CONTENT, String::new()),
        Ok(Err((status, why))) => {
            tracing::debug!("a report was refused: {why}");
            text(status, format!("{why}\n"))
        }
        Err(_) => text(StatusCode::REQUEST_TIMEOUT, "the report took too long\n".to_string()),
    }
}

async fn read(ads: &Ads, request: Request<Incoming>) -> Result<(), (StatusCode, String)> {
    let pod = sender(ads, &request).await.map_err(|why| (StatusCode::UNAUTHORIZED, why))?;
    if !ads.canaries.rates.may(&pod, Instant::now()) {
        return Err((StatusCode::TOO_MANY_REQUESTS, format!("{}/{} reports too often", pod.namespace, pod.name)));
    }
    let body = Limited::new(request.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?.to_bytes();
    let records = Record::read_all(&body).ok_or_else(|| (StatusCode::BAD_REQUEST, "it is no report".to_string()))?;
    let world = ads.world.borrow().clone();
    let Some(workload) = world.mesh.workload(&pod.namespace, &pod.name) else {
        return Err((StatusCode::FORBIDDEN, format!("{}/{} is no pod of the mesh", pod.namespace, pod.name)));
    };
    let concerned: Vec<&Name> =
        world.mesh.canaries.iter().filter(|canary| canary.concerns(&world.mesh, workload)).map(|canary| &canary.name).collect();
    let pod = format!("{}.{}", pod.name, pod.namespace);
    for (name, record) in records {
        let Some((service, canary)) = name.split_once('\n') else { continue };
        if let Some(name) = concerned.iter().find(|name| name.service == service && name.canary == canary) {
            ads.canaries.claim(Claim { pod: pod.clone(), name: (*name).clone(), record });
        }
    }
    Ok(())
}

/// The pod that sends it.
async fn sender(ads: &Ads, request: &Request<Incoming>) -> Result<Pod, String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    match &ads.tokens {
        Some(tokens) => tokens.shown(header(AUTHORIZATION.as_str())).await.map_err(|refused| refused.to_string()),
        None => {
            let node: Node =
                header(NODE_HEADER).unwrap_or_default().parse().map_err(|error: weir_mesh::node::BadNodeId| error.to_string())?;
            Ok(Pod { namespace: node.namespace, name: node.pod })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_reports_too_often_has_to_wait_and_others_do_not() {
        let (rates, start) = (Rates::default(), Instant::now());
        let pod = |name: &str| Pod { namespace: "shop".into(), name: name.into() };
        let may = |name: &str, millis: u64| rates.may(&pod(name), start + Duration::from_millis(millis));
        assert_eq!((0..12).filter(|_| may("a", 0)).count(), 10);
        assert!(may("b", 0) && !may("a", 200) && may("a", 300) && !may("a", 400));
        assert!((0..200).all(|step| may("a", 1_000 + step * 500)), "as often as proxies do");
        // Who has been silent is forgotten when somebody new comes.
        assert!(may("c", 1_000_000));
        assert_eq!(rates.0.lock().unwrap().len(), 1);
    }
}
