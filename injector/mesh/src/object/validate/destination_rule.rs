//! DestinationRules: subsets, and policies within Envoy's bounds.

use super::Problems;
use crate::finding::Severity;
use crate::object::destination_rule::{
    ConnectionPool, ConsistentHash, DestinationRule, LoadBalancer, LocalityLbSetting, OutlierDetection, TrafficPolicy,
};

/// The largest ring that Envoy builds.
const LARGEST_RING: u64 = 8 << 20;

pub(super) fn validate(spec: &DestinationRule, problems: &mut Problems) {
    if spec.host.is_empty() {
        problems.error("spec.host", "a DestinationRule needs a host");
    } else {
        problems.host("spec.host", &spec.host);
    }
    if let Some(level) = &spec.traffic_policy {
        policy("spec.trafficPolicy", level, problems);
    }
    for (i, subset) in spec.subsets.iter().enumerate() {
        let at = format!("spec.subsets[{i}].name");
        problems.subset(&at, &subset.name);
        if spec.subsets.iter().take(i).any(|earlier| earlier.name == subset.name) {
            problems.add(Severity::Warning, &at, format!("the rule has a subset {:?} already; only the first one counts", subset.name));
        }
        if let Some(level) = &subset.traffic_policy {
            policy(&format!("spec.subsets[{i}].trafficPolicy"), level, problems);
        }
    }
}

fn policy(at: &str, level: &TrafficPolicy, problems: &mut Problems) {
    settings(at, (&level.load_balancer, &level.connection_pool, &level.outlier_detection), problems);
    for (i, port) in level.port_level_settings.iter().enumerate() {
        let at = format!("{at}.portLevelSettings[{i}]");
        if port.port.number == 0 {
            problems.error(&format!("{at}.port.number"), "the settings need a port from 1 to 65535");
        }
        settings(&at, (&port.load_balancer, &port.connection_pool, &port.outlier_detection), problems);
    }
}

type Settings<'a> = (&'a Option<LoadBalancer>, &'a Option<ConnectionPool>, &'a Option<OutlierDetection>);

fn settings(at: &str, (balancer, pool, outlier): Settings, problems: &mut Problems) {
    if let Some(balancer) = balancer {
        let at = format!("{at}.loadBalancer");
        if let Some(hash) = &balancer.consistent_hash {
            consistent_hash(&format!("{at}.consistentHash"), hash, problems);
        }
        if let Some(setting) = &balancer.locality_lb_setting {
            locality(&format!("{at}.localityLbSetting"), setting, problems);
        }
    }
    let timeout = pool.as_ref().and_then(|pool| pool.tcp.as_ref()?.connect_timeout);
    problems.positive(&format!("{at}.connectionPool.tcp.connectTimeout"), timeout);
    if let Some(outlier) = outlier {
        let at = format!("{at}.outlierDetection");
        problems.positive(&format!("{at}.interval"), outlier.interval);
        problems.positive(&format!("{at}.baseEjectionTime"), outlier.base_ejection_time);
        for (name, percent) in [("maxEjectionPercent", outlier.max_ejection_percent), ("minHealthPercent", outlier.min_health_percent)] {
            if percent.is_some_and(|percent| percent > 100) {
                problems.error(&format!("{at}.{name}"), "a percentage is a number from 0 to 100");
            }
        }
    }
}

fn consistent_hash(at: &str, hash: &ConsistentHash, problems: &mut Problems) {
    if let Some(name) = &hash.http_header_name {
        problems.header_name(&format!("{at}.httpHeaderName"), name);
    }
    if hash.http_cookie.as_ref().is_some_and(|cookie| cookie.name.is_empty()) {
        problems.error(&format!("{at}.httpCookie.name"), "a cookie needs a name");
    }
    if hash.http_query_parameter_name.as_ref().is_some_and(String::is_empty) {
        problems.error(&format!("{at}.httpQueryParameterName"), "a query parameter needs a name");
    }
    if hash.minimum_ring_size.is_some_and(|size| size > LARGEST_RING) {
        problems.error(&format!("{at}.minimumRingSize"), "a ring has at most 8388608 entries");
    }
}

fn locality(at: &str, setting: &LocalityLbSetting, problems: &mut Problems) {
    let fails_over = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
    if !setting.distribute.is_empty() && fails_over {
        problems.error(at, "distribute excludes failover and failoverPriority: keep one of them");
    }
    for (i, distribute) in setting.distribute.iter().enumerate() {
        let total: u64 = distribute.to.values().copied().map(u64::from).sum();
        if total != 100 || distribute.to.values().any(|share| *share == 0) {
            problems.error(&format!("{at}.distribute[{i}].to"), "the shares are numbers from 1 up that add up to 100");
        }
    }
}
