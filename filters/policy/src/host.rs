//! Finds the policy of a host: the host that a cluster's name carries, and the index of all hosts of a policy.

use crate::Error;
use crate::error::quoted;

/// The host in the name of an outbound cluster, `outbound|PORT|SUBSET|HOST`; `None` for every other cluster.
pub fn of_cluster(cluster: &[u8]) -> Option<&[u8]> {
    let rest = cluster.strip_prefix(b"outbound|")?;
    let mut parts = rest.splitn(3, |&byte| byte == b'|');
    let host = parts.nth(2)?;
    (!host.is_empty()).then_some(host)
}

/// The destination that an outbound cluster is: its host, and how policies name it, by its subset, else by the host's first label.
pub fn destination_of_cluster(cluster: &[u8]) -> Option<(&[u8], &[u8])> {
    let host = of_cluster(cluster)?;
    let subset = cluster.split(|&byte| byte == b'|').nth(2).filter(|subset| !subset.is_empty());
    Some((host, subset.or_else(|| host.split(|&byte| byte == b'.').next())?))
}

/// Which entry of the policy each host belongs to, sorted by host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index(Box<[(Box<str>, usize)]>);

impl Index {
    /// Indexes the hosts of each entry; `list` is the entries' JSON name, for errors.
    pub(crate) fn new<'a>(list: &str, entries: impl Iterator<Item = &'a [String]>) -> Result<Self, Error> {
        let mut index: Vec<(Box<str>, usize)> = Vec::new();
        for (entry, hosts) in entries.enumerate() {
            if hosts.is_empty() {
                return Err(Error::new(format!("{list}[{entry}].hosts"), "expected at least one host"));
            }
            for (place, host) in hosts.iter().enumerate() {
                let error = |expected| Error::new(format!("{list}[{entry}].hosts[{place}]"), expected);
                check(host).map_err(error)?;
                match index.binary_search_by(|(known, _)| known.as_ref().cmp(host)) {
                    Ok(_) => return Err(error(format!("expected each host once, found {} again", quoted(host)))),
                    Err(at) => index.insert(at, (host.as_str().into(), entry)),
                }
            }
        }
        Ok(Self(index.into()))
    }

    pub(crate) fn find(&self, host: &[u8]) -> Option<usize> {
        let found = self.0.binary_search_by(|(known, _)| known.as_bytes().cmp(host)).ok()?;
        self.0.get(found).map(|(_, entry)| *entry)
    }
}

/// How many hosts a user's policy may name.
const MOST: usize = 10_000;

/// Refuses hosts that would take long to index; the path begins with the entry that has one too many.
pub(crate) fn at_most<'a>(entries: impl Iterator<Item = &'a [String]>) -> Result<(), Error> {
    let mut count = 0;
    for (entry, hosts) in entries.enumerate() {
        count += hosts.len();
        if count > MOST {
            return Err(Error::new(
                format!("[{entry}].hosts"),
                format!("expected at most {MOST} hosts in all: `*` and `*.SUFFIX` name several"),
            ));
        }
    }
    Ok(())
}

/// A host as in a VirtualService: a name, short or full, or a wildcard. (The control plane expands short names and
/// wildcards; a filter only meets full names.)
fn check(host: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let name = host.strip_prefix("*.").unwrap_or(if host == "*" { "all" } else { host });
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!("expected a host as in a VirtualService: a name, an address, `*` or `*.SUFFIX`, found {}", quoted(host)))
}

#[cfg(test)]
mod tests {
    use super::of_cluster;

    #[test]
    fn takes_the_host_of_outbound_clusters_only() {
        let cases: [(&str, Option<&str>); 7] = [
            ("outbound|9080|v1|reviews.default.svc.cluster.local", Some("reviews.default.svc.cluster.local")),
            ("outbound|9080||reviews.default.svc.cluster.local", Some("reviews.default.svc.cluster.local")),
            ("inbound|9080||", None),
            ("PassthroughCluster", None),
            ("outbound|9080|v1", None),
            ("outbound|9080||", None),
            ("", None),
        ];
        for (cluster, expected) in cases {
            assert_eq!(of_cluster(cluster.as_bytes()), expected.map(str::as_bytes), "{cluster}");
        }
    }
}
