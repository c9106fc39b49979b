//! Region and zone of a pod: what a cluster's nodes would give it.

use super::Labels;
use k8s_openapi::api::core::v1::PodSpec;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Istio's label for a place that differs from the node's: `region.zone.subzone`.
const LOCALITY: &str = "topology.istio.io/locality";
/// Kubernetes' labels of nodes, which pods carry too since 1.35.
pub const REGION: &str = "topology.kubernetes.io/region";
/// See [`REGION`].
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Istio's label of nodes.
pub const SUBZONE: &str = "topology.istio.io/subzone";
/// The region where none is named.
const REGION_HERE: &str = "local";

/// A place, as Envoy's Locality has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Zone {
    /// The region.
    pub region: String,
    /// The zone.
    pub zone: String,
    /// The part of the zone; mostly empty.
    pub subzone: String,
}

impl Zone {
    /// The labels that say so.
    pub fn labels(&self) -> impl Iterator<Item = (String, String)> {
        [(REGION, &self.region), (ZONE, &self.zone), (SUBZONE, &self.subzone)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.into(), value.clone()))
    }
}

/// `REGION/ZONE`.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.zone)
    }
}

/// `ZONE` in the region `local`, or `REGION/ZONE`.
impl FromStr for Zone {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Zone, Infallible> {
        let (region, zone) = text.split_once('/').unwrap_or((REGION_HERE, text));
        Ok(Zone { region: region.into(), zone: zone.into(), subzone: String::new() })
    }
}

/// Where a pod runs: Istio's label, else Kubernetes' label, else the node selector's zone, else the replica's turn in `zones`.
pub fn of(labels: &Labels, spec: &PodSpec, replica: usize, zones: &[Zone]) -> Zone {
    if let Some(locality) = labels.get(LOCALITY) {
        // A label cannot hold a slash, so Istio reads dots as slashes there.
        let separator = if locality.contains('/') { '/' } else { '.' };
        let mut parts = locality.splitn(3, separator).map(str::to_string);
        let mut next = || parts.next().unwrap_or_default();
        return Zone { region: next(), zone: next(), subzone: next() };
    }
    let selector = spec.node_selector.as_ref();
    let asked = |name: &str| labels.get(name).or_else(|| selector?.get(name)).cloned();
    let turn = zones.get(replica.checked_rem(zones.len()).unwrap_or(0));
    match asked(ZONE) {
        Some(zone) => {
            // A zone of --zones brings its region.
            let known = zones.iter().find(|known| known.zone == zone).map(|known| known.region.clone());
            let region = asked(REGION).or(known).unwrap_or_else(|| REGION_HERE.into());
            Zone { region, zone, subzone: asked(SUBZONE).unwrap_or_default() }
        }
        None => turn.cloned().unwrap_or_else(|| Zone { region: REGION_HERE.into(), zone: "a".into(), subzone: String::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_pods_place_is_its_label_else_its_node_selector_else_its_turn() {
        let zones: Vec<Zone> = ["a", "b", "eu/c"].map(|zone| zone.parse().unwrap()).into();
        for (own, selector, replica, expected) in [
            (&[][..], &[][..], 0, "local/a"),
            (&[], &[], 1, "local/b"),
            (&[], &[], 2, "eu/c"),
            (&[], &[], 3, "local/a"),
            (&[(ZONE, "z")], &[], 1, "local/z"),
            (&[(ZONE, "c")], &[], 1, "eu/c"),
            (&[(ZONE, "z"), (REGION, "r")], &[], 1, "r/z"),
            (&[], &[(ZONE, "z"), (REGION, "r")], 1, "r/z"),
            (&[(ZONE, "y")], &[(ZONE, "z")], 1, "local/y"),
            (&[(LOCALITY, "us.west.rack"), (ZONE, "z")], &[], 1, "us/west"),
            (&[(LOCALITY, "us/west")], &[], 1, "us/west"),
        ] {
            let spec = PodSpec { node_selector: Some(labels(selector)), ..PodSpec::default() };
            assert_eq!(of(&labels(own), &spec, replica, &zones).to_string(), expected, "{own:?} {selector:?} {replica}");
        }
        assert_eq!(of(&Labels::new(), &PodSpec::default(), 5, &[]).to_string(), "local/a");
    }
}
