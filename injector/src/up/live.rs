//! The live line: how many requests each version served in each zone, from the statistics of the pods' Envoys.

use super::envoy::STATS_PORT;
use super::http;
use super::plan::Proxy;
use super::pod::Phase;
use super::view::Seen;
use hyper::Method;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

/// The counter of requests that an Envoy's listeners answered, as its Prometheus page names it.
const COUNTER: &str = "envoy_http_downstream_rq_completed";
const PATH: &str = "/stats/prometheus?usedonly&filter=downstream_rq_completed";

/// How often the line is made.
const EVERY: Duration = Duration::from_secs(2);

/// The line, again and again, from the pods that are seen.
pub fn follow(seen: watch::Receiver<Seen>) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        let (mut before, mut looked) = (Totals::new(), Instant::now());
        loop {
            tokio::time::sleep(EVERY).await;
            let pods = counted(&seen.borrow());
            let (after, now) = (totals(&pods).await, Instant::now());
            let line = line(&pods, &before, &after, now - looked);
            if sender.send(line.unwrap_or_else(|| "no requests".into())).await.is_err() {
                return;
            }
            (before, looked) = (after, now);
        }
    });
    lines
}

fn counted(seen: &Seen) -> Vec<Counted> {
    let sidecars = seen.pods.iter().filter(|pod| pod.identity.plan.proxy == Proxy::Sidecar && pod.status.borrow().phase == Phase::Up);
    let counted = sidecars.map(|pod| {
        let plan = &pod.identity.plan;
        let label = |name: &str| plan.labels.get(name).cloned();
        let app = label("app").or_else(|| label("app.kubernetes.io/name")).unwrap_or_else(|| plan.slot.clone());
        let version = label("version").map(|version| format!(" {version}")).unwrap_or_default();
        Counted {
            pod: format!("{}.{}", pod.identity.name, plan.namespace),
            group: Group { version: app + &version, zone: plan.zone.zone.clone() },
            ip: pod.identity.ip,
        }
    });
    counted.collect()
}

/// A pod whose requests are counted.
#[derive(Clone, Debug)]
struct Counted {
    /// Its name, with its namespace.
    pod: String,
    /// What it is a version of, and where: one entry of the line.
    group: Group,
    /// Its address.
    ip: Ipv4Addr,
}

/// One entry of the line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// The app, with its version.
    version: String,
    /// The zone.
    zone: String,
}

/// The totals at the last look, by pod.
type Totals = BTreeMap<String, u64>;

/// How many requests each pod's inbound listeners have answered so far. A pod that does not answer is left out.
async fn totals(pods: &[Counted]) -> Totals {
    let asked = pods.iter().map(|pod| async { Some((pod.pod.clone(), total(pod.ip).await?)) });
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

async fn total(ip: Ipv4Addr) -> Option<u64> {
    let ask = async {
        let stream = TcpStream::connect((ip, STATS_PORT)).await?;
        http::request(stream, Method::GET, "stats", PATH, &[]).await
    };
    let (status, page) = tokio::time::timeout(Duration::from_secs(1), ask).await.ok()?.ok()?;
    (status == 200).then(|| inbound(&page))
}

/// The sum over inbound connection managers of a Prometheus page.
fn inbound(page: &str) -> u64 {
    let values = page.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(COUNTER)?.rsplit_once(' ')?;
        labels.contains("_prefix=\"inbound").then(|| value.parse::<u64>().ok())?
    });
    values.sum()
}

/// The line, from two looks: `requests/s: reviews v2 [a 12.0, b 3.5]`. None while nobody asks anything.
fn line(pods: &[Counted], before: &Totals, after: &Totals, elapsed: Duration) -> Option<String> {
    let mut counts: BTreeMap<&Group, u64> = BTreeMap::new();
    for pod in pods {
        if let (Some(before), Some(after)) = (before.get(&pod.pod), after.get(&pod.pod)) {
            // A restarted Envoy counts from zero.
            *counts.entry(&pod.group).or_default() += after.checked_sub(*before).unwrap_or(*after);
        }
    }
    counts.retain(|_, count| *count > 0);
    let mut text = String::new();
    let mut last = None;
    for (group, count) in counts {
        let rate = count as f64 / elapsed.as_secs_f64();
        let joint = if last == Some(&group.version) {
            ", ".to_string()
        } else {
            format!("{}{} [", if last.is_some() { "]  " } else { "" }, group.version)
        };
        last = Some(&group.version);
        // Writing to a String cannot fail.
        let _ = write!(text, "{joint}{} {rate:.1}", group.zone);
    }
    (!text.is_empty()).then(|| format!("requests/s: {text}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_inbound_requests_only() {
        let page = "# TYPE envoy_http_downstream_rq_completed counter\n\
            envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix=\"admin\"} 5\n\
            envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix=\"inbound_0.0.0.0_9080\"} 7\n\
            envoy_http_downstream_rq_completed{envoy_http_conn_manager_prefix=\"inbound\"} 2\n";
        assert_eq!(inbound(page), 9);
    }

    #[test]
    fn the_line_groups_rates_by_version_and_zone() {
        let counted = |pod: &str, version: &str, zone: &str| Counted {
            pod: pod.into(),
            group: Group { version: version.into(), zone: zone.into() },
            ip: Ipv4Addr::LOCALHOST,
        };
        let pods = [
            counted("a", "reviews v2", "a"),
            counted("b", "reviews v2", "b"),
            counted("c", "reviews v2", "a"),
            counted("d", "reviews v3", "a"),
            counted("e", "x", "a"),
        ];
        let totals = |values: [u64; 5]| pods.iter().map(|pod| pod.pod.clone()).zip(values).collect::<Totals>();
        let line = line(&pods, &totals([0, 5, 10, 1, 3]), &totals([10, 6, 20, 3, 3]), Duration::from_secs(2));
        assert_eq!(line.as_deref(), Some("requests/s: reviews v2 [a 10.0, b 0.5]  reviews v3 [a 1.0]"));
        let none = super::line(&pods, &totals([1; 5]), &totals([1; 5]), Duration::from_secs(2));
        assert_eq!(none, None);
    }
}
