//! Which endpoints come first for one caller: Istio's locality load balancing
//! (<https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/>).

use super::Mesh;
use super::rule::Policy;
use super::workload::{Locality, Workload};
use crate::object::destination_rule::LocalityLbSetting;
use std::collections::BTreeMap;

/// The locality setting that holds for calls of a workload to any port of a host.
pub(crate) fn setting(mesh: &Mesh, workload: &Workload, host: &str) -> LocalityLbSetting {
    let policy = mesh.rule(&workload.namespace, host).map(|rule| rule.policy(None, 0));
    policy.map(|policy| of_policy(&policy)).unwrap_or_default()
}

/// The locality setting of a traffic policy.
pub(crate) fn of_policy(policy: &Policy) -> LocalityLbSetting {
    policy.load_balancer.as_ref().and_then(|balancer| balancer.locality_lb_setting.clone()).unwrap_or_default()
}

/// The priority of a locality before gaps are closed: 0 the same subzone, 1 zone, 2 region, 3 elsewhere, 4 where `failover`
/// names another region for the caller's.
pub(crate) fn rank(own: &Locality, other: &Locality, setting: &LocalityLbSetting) -> u32 {
    if own.region != other.region {
        let named = setting.failover.iter().find(|failover| failover.from == own.region);
        return if named.is_some_and(|failover| failover.to != other.region) { 4 } else { 3 };
    }
    match (own.zone == other.zone, own.sub_zone == other.sub_zone) {
        (true, true) => 0,
        (true, false) => 1,
        _ => 2,
    }
}

/// The priority of an endpoint for a caller, by `failoverPriority` where the setting has it, else by locality.
pub(crate) fn of_endpoint(caller: &Workload, endpoint: &Workload, setting: &LocalityLbSetting) -> u32 {
    let labels = &setting.failover_priority;
    if labels.is_empty() {
        return rank(&caller.locality, &endpoint.locality, setting);
    }
    let mismatch = labels.iter().position(|label| {
        let (name, wanted) = match label.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (label.as_str(), label_of(caller, label)),
        };
        wanted.unwrap_or_default() != label_of(endpoint, name).unwrap_or_default()
    });
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    mismatch.map_or(0, |first| count(labels.len() - first))
}

/// A label of a pod; Istio sees its place as labels too.
fn label_of<'a>(pod: &'a Workload, name: &str) -> Option<&'a str> {
    let place = match name {
        "topology.kubernetes.io/region" => &pod.locality.region,
        "topology.kubernetes.io/zone" => &pod.locality.zone,
        "topology.istio.io/subzone" => &pod.locality.sub_zone,
        _ => return pod.labels.get(name).map(String::as_str),
    };
    Some(place.as_str())
}

/// The shares of `distribute` for a caller: localities (a part may be `*`) to percentages. Only the first `from` that matches counts.
pub(crate) fn distribution<'a>(caller: &Locality, setting: &'a LocalityLbSetting) -> Option<&'a BTreeMap<String, u32>> {
    setting.distribute.iter().find(|distribute| covers(&distribute.from, caller)).map(|distribute| &distribute.to)
}

/// Whether a pattern such as `region/*` or `region/zone/*` covers a locality: a zone or subzone that is missing or `*` covers all.
pub(crate) fn covers(pattern: &str, locality: &Locality) -> bool {
    let wanted = Locality::parse(pattern);
    let any = |part: &str| part.is_empty() || part == "*";
    (wanted.region == "*" || wanted.region == locality.region)
        && (any(&wanted.zone) || wanted.zone == locality.zone)
        && (any(&wanted.sub_zone) || wanted.sub_zone == locality.sub_zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::workload::Family;
    use crate::object::destination_rule::{Distribute, Failover};

    fn at(text: &str) -> Locality {
        Locality::parse(text)
    }

    #[test]
    fn nearer_localities_come_first() {
        let setting = LocalityLbSetting { failover: vec![Failover { from: "r".into(), to: "s".into() }], ..Default::default() };
        for (other, plain, with_failover) in [("r/a/1", 0, 0), ("r/a/2", 1, 1), ("r/b/1", 2, 2), ("s/a/1", 3, 3), ("t/a/1", 3, 4)] {
            assert_eq!(rank(&at("r/a/1"), &at(other), &LocalityLbSetting::default()), plain, "{other}");
            assert_eq!(rank(&at("r/a/1"), &at(other), &setting), with_failover, "{other} with failover");
        }
        assert_eq!(rank(&at(""), &at(""), &setting), 0, "empty equals empty");
    }

    #[test]
    fn failover_priority_counts_from_the_first_label_that_differs() {
        let pod = |labels: &[(&str, &str)]| Workload {
            name: String::new(),
            owner: String::new(),
            namespace: String::new(),
            labels: labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            address: [198, 18, 0, 2].into(),
            families: vec![Family::V4],
            locality: at("r/a"),
            ready: true,
            named_ports: BTreeMap::new(),
            trusted_proxies: 0,
        };
        let setting = LocalityLbSetting { failover_priority: vec!["net".into(), "version=v2".into()], ..Default::default() };
        for (labels, expected) in
            [(&[("net", "1"), ("version", "v2")][..], 0), (&[("net", "1"), ("version", "v1")], 1), (&[("net", "2"), ("version", "v2")], 2)]
        {
            assert_eq!(of_endpoint(&pod(&[("net", "1"), ("version", "v1")]), &pod(labels), &setting), expected, "{labels:?}");
        }
    }

    #[test]
    fn only_the_first_distribution_that_matches_counts() {
        let to = |share| BTreeMap::from([("r/a".to_string(), share)]);
        let setting = LocalityLbSetting {
            distribute: vec![Distribute { from: "r/b/*".into(), to: to(1) }, Distribute { from: "r/*".into(), to: to(2) }],
            ..Default::default()
        };
        assert_eq!(distribution(&at("r/b"), &setting), Some(&to(1)));
        assert_eq!(distribution(&at("r/c"), &setting), Some(&to(2)));
        assert_eq!(distribution(&at("s/c"), &setting), None);
    }
}
