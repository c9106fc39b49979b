//! Region and zone of a pod: what a cluster's nodes would give it.

use super::Labels;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use weir_mesh::mesh::workload::Locality;

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

/// Where a pod runs: what its labels say to the control plane, else the replica's turn in `zones`.
pub fn of(labels: &Labels, replica: usize, zones: &[Zone]) -> Zone {
    let Locality { region, zone, sub_zone: subzone } = Locality::of(labels, None);
    if region.is_empty() && zone.is_empty() {
        let turn = zones.get(replica.checked_rem(zones.len()).unwrap_or(0)).cloned();
        let turn = turn.unwrap_or_else(|| Zone { region: REGION_HERE.into(), zone: "a".into(), subzone: String::new() });
        return Zone { subzone, ..turn };
    }
    // A zone of --zones brings its region.
    let known = || zones.iter().find(|known| known.zone == zone).map_or_else(|| REGION_HERE.into(), |known| known.region.clone());
    let region = if region.is_empty() { known() } else { region };
    Zone { region, zone, subzone }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_pods_place_is_what_its_labels_say_else_its_turn() {
        let zones: Vec<Zone> = ["a", "b", "eu/c"].map(|zone| zone.parse().unwrap()).into();
        let istio = "topology.istio.io/locality";
        for (own, replica, expected) in [
            (&[][..], 0, "local/a"),
            (&[], 1, "local/b"),
            (&[], 2, "eu/c"),
            (&[], 3, "local/a"),
            (&[(ZONE, "z")], 1, "local/z"),
            (&[(ZONE, "c")], 1, "eu/c"),
            (&[(ZONE, "z"), (REGION, "r")], 1, "r/z"),
            (&[(istio, "us.west.rack"), (ZONE, "z")], 1, "us/west"),
            (&[(istio, "us/west")], 1, "us/west"),
            (&[("istio-locality", "us.west"), (ZONE, "z")], 1, "us/west"),
            (&[(istio, ""), (ZONE, "z"), (REGION, "r")], 1, "r/z"),
            (&[(istio, "")], 1, "local/b"),
            (&[(SUBZONE, "rack")], 1, "local/b"),
        ] {
            let labels = labels(own);
            let place = of(&labels, replica, &zones);
            assert_eq!(place.to_string(), expected, "{own:?} {replica}");
            let told = Locality::of(&labels.into_iter().chain(place.labels()).collect(), None);
            assert_eq!(
                (told.region, told.zone, told.sub_zone),
                (place.region, place.zone, place.subzone),
                "the control plane reads the same"
            );
        }
        assert_eq!(of(&Labels::new(), 5, &[]).to_string(), "local/a");
    }
}
