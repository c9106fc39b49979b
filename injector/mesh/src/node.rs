//! Which proxy asks: the name that an Envoy gives itself when it connects.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a proxy stands in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Beside an application, in its pod.
    Sidecar,
    /// A gateway: what comes from outside the mesh enters here.
    Router,
}

/// An Envoy: its identity, written as Istio writes a node id: `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`, and what it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Sidecar or gateway.
    pub role: Role,
    /// The pod's address.
    pub ip: IpAddr,
    /// The pod's name.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The DNS domain of the cluster, usually `cluster.local`.
    pub domain: String,
    /// The sha256 of the modules that it has in files ([`crate::bootstrap::module`]). They are no part of its id.
    pub modules: BTreeSet<String>,
}

/// A node id that is not `ROLE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node id {0:?}: expected sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN, or router~... for a gateway")]
pub struct BadNodeId(pub String);

impl FromStr for Node {
    type Err = BadNodeId;

    fn from_str(id: &str) -> Result<Self, BadNodeId> {
        let bad = || BadNodeId(id.to_string());
        let mut parts = id.split('~');
        let (role, ip, name, dns) = (parts.next(), parts.next(), parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(bad());
        }
        let role = match role {
            Some("sidecar") => Role::Sidecar,
            Some("router") => Role::Router,
            _ => return Err(bad()),
        };
        let ip = ip.and_then(|ip| ip.parse().ok()).ok_or_else(bad)?;
        let (pod, namespace) = name.and_then(|name| name.rsplit_once('.')).ok_or_else(bad)?;
        let domain = dns.and_then(|dns| dns.strip_prefix(namespace)?.strip_prefix(".svc.")).ok_or_else(bad)?;
        if pod.is_empty() || namespace.is_empty() || domain.is_empty() {
            return Err(bad());
        }
        Ok(Node { role, ip, pod: pod.into(), namespace: namespace.into(), domain: domain.into(), modules: BTreeSet::new() })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Sidecar => "sidecar",
            Role::Router => "router",
        };
        write!(f, "{role}~{}~{}.{}~{}.svc.{}", self.ip, self.pod, self.namespace, self.namespace, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for id in ["sidecar~198.18.1.2~reviews-v1-0.bookinfo~bookinfo.svc.cluster.local", "router~198.18.1.3~gw.x~x.svc.mesh.test"] {
            assert_eq!(id.parse::<Node>().unwrap().to_string(), id);
        }
    }

    #[test]
    fn refuses_what_is_no_node_id() {
        for id in [
            "",
            "sidecar",
            "sidecar~x~a.b~b.svc.c",
            "waypoint~1.1.1.1~a.b~b.svc.c",
            "sidecar~1.1.1.1~a.b~c.svc.d",
            "sidecar~1.1.1.1~ab~b.svc.c",
        ] {
            assert_eq!(id.parse::<Node>(), Err(BadNodeId(id.into())), "{id}");
        }
    }
}
