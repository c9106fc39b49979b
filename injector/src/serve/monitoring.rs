//! What probes and collectors of metrics are answered.

use crate::ads::http::{json, text};
use crate::ads::service::Ads;
use crate::canary::waiting::Fetched;
use crate::kubernetes::canaries::CLAIMS;
use crate::listen::{Answer, Closing};
use crate::programmed::Report;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustix::time::{ClockId, clock_gettime};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::watch;
use tonic::body::Body;
use weir_mesh::finding::Severity;

/// Where the replicas tell each other how many of their proxies have what.
pub const REPORT: &str = "/programmed";
/// The format of the metrics (<https://github.com/prometheus/OpenMetrics>).
const OPEN_METRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Health and metrics.
#[derive(Clone)]
pub struct Monitoring {
    /// What is served; none before all objects are read.
    pub served: watch::Receiver<Option<Ads>>,
    /// Whether the control plane is about to end.
    pub closing: Closing,
    /// What the proxies of this replica have.
    pub report: watch::Receiver<Arc<Report>>,
}

impl Answer for Monitoring {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let served = if *self.closing.borrow() { None } else { self.served.borrow().clone() };
        Ok(match (request.uri().path(), served) {
            ("/healthz", _) => text(StatusCode::OK, "ok\n".to_string()),
            ("/readyz", Some(_)) => text(StatusCode::OK, "ok\n".to_string()),
            ("/metrics", Some(ads)) => {
                let mut page = text(StatusCode::OK, metrics(&ads));
                page.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
                page
            }
            (REPORT, Some(_)) => json(&**self.report.borrow()),
            (CLAIMS, Some(ads)) => json(&fetch(&ads, request.uri().query().unwrap_or_default())),
            ("/readyz" | "/metrics" | REPORT | CLAIMS, None) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the cluster's objects are not all read yet, or this replica ends\n".to_string())
            }
            _ => text(StatusCode::NOT_FOUND, "there is /healthz, /readyz, /metrics and /programmed\n".to_string()),
        })
    }
}

/// What another replica, which leads, has not fetched yet.
fn fetch(ads: &Ads, query: &str) -> Fetched {
    let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    ads.canaries.waiting().fetch(number("life").unwrap_or_default(), number("after").unwrap_or_default())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySeverity {
    severity: String,
}

/// The metrics as they stand: nothing is counted where nobody looks.
fn metrics(ads: &Ads) -> String {
    let world = ads.world.borrow().clone();
    let nodes = ads.nodes.status();
    let rejected = nodes.iter().flat_map(|node| node.types.values()).map(|of_type| of_type.rejected.len()).sum();
    let findings = Family::<BySeverity, Gauge>::default();
    for severity in [Severity::Error, Severity::Warning, Severity::Info] {
        let found = world.findings.iter().filter(|finding| finding.severity == severity).count();
        findings.get_or_create(&BySeverity { severity: severity.to_string() }).set(signed(found));
    }
    let mut all = Registry::default();
    let registry = all.sub_registry_with_prefix("weir");
    for (name, help, value) in [
        ("connected_proxies", "Proxies that are connected to this replica", nodes.len()),
        ("rejected_resources", "Resources that connected proxies have rejected", rejected),
        ("objects", "Objects of the cluster that are in force", world.objects.iter().count()),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(signed(value));
        registry.register(name, help, gauge);
    }
    registry.register("findings", "What is wrong with users' objects", findings);
    own(&mut all);
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut page, &all);
    page
}

/// What every process tells of itself, by the names that Prometheus' own libraries give it
/// (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
fn own(registry: &mut Registry) {
    let registry = registry.sub_registry_with_prefix("process");
    let cpu = Counter::<f64, AtomicU64>::default();
    let time = clock_gettime(ClockId::ProcessCPUTime);
    cpu.inc_by(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9);
    registry.register("cpu_seconds", "CPU time of all threads, in user and in kernel mode", cpu);
    let memory = Gauge::<i64>::default();
    // The second word counts pages (proc(5)).
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split(' ').nth(1)?.parse().ok());
    memory.set(signed(pages.unwrap_or(0usize).saturating_mul(rustix::param::page_size())));
    registry.register("resident_memory_bytes", "Memory that is in RAM", memory);
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ads::nodes::Nodes;
    use crate::ads::stream::Protocol;
    use crate::canary::engine::Canaries;
    use crate::world::World;
    use crate::{ask, listen};
    use std::collections::BTreeSet;

    fn ads() -> Ads {
        Ads { world: watch::channel(Arc::new(World::of([]))).1, nodes: Nodes::default(), tokens: None, canaries: Canaries::unheard() }
    }

    #[tokio::test]
    async fn a_replica_is_ready_from_its_first_mesh_until_it_is_about_to_end() {
        let ((serving, served), (close, closing)) = (watch::channel(None), watch::channel(false));
        let monitoring = Monitoring { served, closing, report: watch::channel(Arc::default()).1 };
        let listener = listen::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listen::serve_tcp(listener, monitoring, listen::never()));
        let answers = async |path| ask::get(tokio::net::TcpStream::connect(address).await.unwrap(), path).await.is_ok();
        assert!(answers("/healthz").await && !answers("/readyz").await);
        serving.send_replace(Some(ads()));
        assert!(answers("/healthz").await && answers("/readyz").await && answers("/metrics").await);
        close.send_replace(true);
        assert!(answers("/healthz").await && !answers("/readyz").await);
    }

    #[test]
    fn metrics_tell_who_is_connected_and_what_is_wrong() {
        let ads = ads();
        let node = "sidecar~198.18.1.2~a-0.shop~shop.svc.cluster.local".parse().unwrap();
        let _connected = ads.nodes.connect(node, Protocol::Delta);
        let page = metrics(&ads);
        let (own, values): (BTreeSet<_>, BTreeSet<_>) =
            page.lines().filter(|line| !line.starts_with('#')).partition(|line| line.starts_with("process_"));
        let own: Vec<_> = own.iter().filter_map(|line| line.split_once(' ')).collect();
        assert_eq!(own.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["process_cpu_seconds_total", "process_resident_memory_bytes"]);
        assert!(own.iter().all(|(_, value)| value.parse::<f64>().unwrap() > 0.0), "{own:?}");
        let expected = [
            "weir_connected_proxies 1",
            "weir_rejected_resources 0",
            "weir_objects 0",
            "weir_findings{severity=\"error\"} 0",
            "weir_findings{severity=\"warning\"} 0",
            "weir_findings{severity=\"info\"} 0",
        ];
        assert_eq!(values, expected.into());
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
