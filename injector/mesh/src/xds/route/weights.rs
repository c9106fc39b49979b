//! Which cluster a request goes to: one, or several by weight.

use super::headers;
use crate::mesh::policy::name_of;
use crate::object::virtual_service::{Destination, RouteDestination};
use crate::xds::lookup::{cluster_name, port_number};
use crate::xds::{View, intervals, uint};
use envoy_types::pb::envoy::config::route::v3::WeightedCluster;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::cluster_weight::HostRewriteSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::{ClusterWeight, RandomValueSpecifier};
use weir_policy::BUCKET_HEADER;

/// The name of a destination's cluster, whether there is one or not.
pub(super) fn cluster_of(view: &View, destination: &Destination, port: u16) -> String {
    cluster_name(port_number(view.mesh, destination, port), &destination.subset, &destination.host)
}

/// One destination, whatever its weight; or several by weight, whose intervals hold still for the users' buckets. The stable has the interval
/// of the one `without` which the requests go.
pub(super) fn clusters(view: &View, choices: &[RouteDestination], without: Option<usize>, port: u16) -> ClusterSpecifier {
    if let [only] = choices {
        return ClusterSpecifier::Cluster(cluster_of(view, &only.destination, port));
    }
    let names: Vec<&str> = choices.iter().map(name_of).collect();
    let weights: Vec<f64> = choices.iter().map(|choice| choice.weight.unwrap_or_default()).collect();
    let stable = stable(view, choices);
    let pieces = intervals::lay_out(&names, &weights, stable);
    let choice = |index: usize| choices.get(if without == Some(index) { stable } else { index });
    let weighted = pieces.iter().filter_map(|(index, buckets)| Some(piece(view, choice(*index)?, *buckets, port)));
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: weighted.collect(),
        random_value_specifier: Some(RandomValueSpecifier::HeaderName(BUCKET_HEADER.into())),
        ..Default::default()
    })
}

/// The place of the stable among destinations: the one that the policy names, else the first.
pub(super) fn stable(view: &View, choices: &[RouteDestination]) -> usize {
    let named = choices.iter().find_map(|choice| view.policies.canary(&choice.destination.host)?.stable.as_deref());
    named.and_then(|stable| choices.iter().position(|choice| name_of(choice) == stable)).unwrap_or_default()
}

fn piece(view: &View, choice: &RouteDestination, buckets: u32, port: u16) -> ClusterWeight {
    let operations = choice.headers.clone().unwrap_or_default();
    ClusterWeight {
        name: cluster_of(view, &choice.destination, port),
        weight: uint(buckets),
        request_headers_to_add: headers::to_add(&operations.request),
        request_headers_to_remove: headers::to_remove(&operations.request),
        response_headers_to_add: headers::to_add(&operations.response),
        response_headers_to_remove: headers::to_remove(&operations.response),
        host_rewrite_specifier: headers::authority(choice.headers.as_ref()).map(HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    }
}
