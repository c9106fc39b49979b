//! Endpoints (EDS): the pods of a cluster, by locality and priority for one caller.

use super::lookup::{Target, View};
use super::{socket_address, uint};
use crate::mesh::priority;
use crate::mesh::workload::{Locality, Workload};
use crate::object::destination_rule::LocalityLbSetting;
use envoy_types::pb::envoy::config::core::v3::{Locality as EnvoyLocality, Metadata};
use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint};
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// The endpoints of a target for the node's own place.
pub(crate) fn build(view: &View, target: &Target) -> ClusterLoadAssignment {
    let host = &target.service.host;
    let (with_zone, tells) = (view.policies.has_locality(host), view.policies.tells(host));
    let mut groups: BTreeMap<(u32, Locality), Vec<LbEndpoint>> = BTreeMap::new();
    for (pod, port) in target.endpoints(view.mesh) {
        let rank = target.locality.as_ref().map_or(0, |setting| rank(view.workload, pod, setting));
        groups.entry((rank, pod.locality.clone())).or_default().push(endpoint(pod, port, with_zone, tells));
    }
    let shares = target.locality.as_ref().and_then(|setting| priority::distribution(&view.workload.locality, setting));
    let mut ranks: Vec<u32> = groups.keys().map(|(rank, _)| *rank).collect();
    ranks.dedup();
    let weights = shares.map(|shares| weights(shares, groups.iter().map(|((_, locality), pods)| (locality, pods.len()))));
    let group = |((rank, locality), lb_endpoints): ((u32, Locality), Vec<LbEndpoint>)| {
        let weight = match &weights {
            Some(weights) => weights.get(&locality).copied().filter(|weight| *weight > 0)?,
            None => u32::try_from(lb_endpoints.len()).unwrap_or(u32::MAX),
        };
        // Envoy refuses gaps between priorities.
        let priority = ranks.iter().position(|known| *known == rank).unwrap_or_default();
        Some(LocalityLbEndpoints {
            locality: Some(EnvoyLocality { region: locality.region, zone: locality.zone, sub_zone: locality.sub_zone }),
            lb_endpoints,
            load_balancing_weight: uint(weight),
            priority: u32::try_from(priority).unwrap_or_default(),
            ..Default::default()
        })
    };
    ClusterLoadAssignment {
        cluster_name: target.cluster_name(),
        endpoints: groups.into_iter().filter_map(group).collect(),
        ..Default::default()
    }
}

/// `distribute` excludes failover: all its localities share one priority, also for a caller whom no `from` covers
/// (`istio-semantics` 18).
fn rank(caller: &Workload, pod: &Workload, setting: &LocalityLbSetting) -> u32 {
    if setting.distribute.is_empty() { priority::of_endpoint(caller, pod, setting) } else { 0 }
}

/// The share of each locality: a share that several localities match is split by their endpoints; a locality takes the
/// share of the first entry that covers it, named ones before those with `*`.
fn weights<'a>(shares: &BTreeMap<String, u32>, localities: impl Iterator<Item = (&'a Locality, usize)>) -> HashMap<Locality, u32> {
    let mut by_share: BTreeMap<(bool, &str), Vec<(&Locality, usize)>> = BTreeMap::new();
    for (locality, pods) in localities {
        let covering = shares.keys().filter(|pattern| priority::covers(pattern, locality));
        if let Some(pattern) = covering.min_by_key(|pattern| (pattern.contains('*'), std::cmp::Reverse(pattern.len()))) {
            by_share.entry((pattern.contains('*'), pattern)).or_default().push((locality, pods));
        }
    }
    let mut weights = HashMap::new();
    for ((_, pattern), localities) in by_share {
        let share = u64::from(shares.get(pattern).copied().unwrap_or_default());
        let all: usize = localities.iter().map(|(_, pods)| pods).sum();
        for (locality, pods) in localities {
            // In thousandths of a percent, so that splitting loses nothing that matters; no part of a share is none.
            let weight = (share * 1000 * pods as u64 / all.max(1) as u64).max(share.min(1));
            weights.insert(locality.clone(), u32::try_from(weight).unwrap_or(u32::MAX));
        }
    }
    weights
}

fn endpoint(pod: &Workload, port: u16, with_zone: bool, tells: bool) -> LbEndpoint {
    let zone = Value { kind: Some(value::Kind::StringValue(pod.locality.zone_name())) };
    // One entry, as in every map of ours: several would be encoded in an order that differs from one build to the next.
    let metadata = Struct { fields: [("zone".to_string(), zone)].into() };
    let metadata = Metadata { filter_metadata: [("envoy.lb".to_string(), metadata)].into(), ..Default::default() };
    // What Envoy can write into a header without a filter. It resolves nothing by it.
    let hostname = if tells { format!("{}/{}", pod.locality.zone, SocketAddr::new(pod.address, port)) } else { String::new() };
    let endpoint = Endpoint { address: Some(socket_address(&pod.address.to_string(), port)), hostname, ..Default::default() };
    LbEndpoint {
        host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)),
        metadata: with_zone.then_some(metadata),
        ..Default::default()
    }
}
