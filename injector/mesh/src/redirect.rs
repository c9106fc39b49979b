//! The nftables rules of a pod: what leaves it goes to Envoy's port 15001, what enters it to 15006.
//!
//! The rules follow Istio's (istio/istio tools/istio-iptables), and so do the options' names: the proxy's own traffic and what stays on
//! loopback is left alone.

use crate::bootstrap::{HEALTH_PORT, PROXY_MARK, STATS_PORT};
use crate::inject::text::{Listed, Ports, Range, Ranges};
use crate::xds::inbound::INBOUND_PORT;
use crate::xds::listener::OUTBOUND_PORT;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The table's name, of both families.
pub const TABLE: &str = "weir";
/// The uid of the proxy in a cluster, as in Istio.
pub const PROXY_UID: u32 = 1337;
/// Envoy's own ports in a pod, reached directly: merged metrics, health, statistics.
const DIRECT: [u16; 3] = [15020, HEALTH_PORT, STATS_PORT];

/// What is redirected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The proxy's uid: its traffic is left alone.
    pub proxy_uid: u32,
    /// Ports of the pod that lead to the proxy.
    pub inbound_ports: Ports,
    /// Of these, those that do not.
    pub exclude_inbound_ports: Ports,
    /// Ports that lead to the proxy wherever the call goes.
    pub outbound_ports: Ports,
    /// Ports that do not, wherever the call goes.
    pub exclude_outbound_ports: Ports,
    /// Addresses that lead to the proxy.
    pub outbound_ranges: Ranges,
    /// Addresses that do not.
    pub exclude_outbound_ranges: Ranges,
}

impl Default for Redirect {
    /// All that enters or leaves.
    fn default() -> Self {
        Redirect {
            proxy_uid: PROXY_UID,
            inbound_ports: Listed::All,
            exclude_inbound_ports: Listed::NONE,
            outbound_ports: Listed::NONE,
            exclude_outbound_ports: Listed::NONE,
            outbound_ranges: Listed::All,
            exclude_outbound_ranges: Listed::NONE,
        }
    }
}

/// Which packets a rule concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Marked by their socket.
    Mark(u32),
    /// Of a socket of this user.
    Uid(u32),
    /// To the pod itself.
    Loopback,
    /// To a range of addresses.
    To(Range),
    /// To a TCP port.
    Port(u16),
    /// TCP.
    Tcp,
}

/// What happens to packets that all of a rule's matches fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They go on as they are.
    Accept,
    /// They go to a port of the pod.
    Redirect(u16),
}

/// One rule; the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All must fit.
    pub matches: Vec<Match>,
    /// What then happens.
    pub verdict: Verdict,
}

/// The rules of one family of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// IPv6, else IPv4.
    pub v6: bool,
    /// Of what the pod sends.
    pub output: Vec<Rule>,
    /// Of what reaches the pod.
    pub prerouting: Vec<Rule>,
}

impl Redirect {
    /// The rules for IPv4 and IPv6.
    pub fn rules(&self) -> [Rules; 2] {
        [false, true].map(|v6| Rules { v6, output: self.output(v6), prerouting: self.prerouting() })
    }

    fn output(&self, v6: bool) -> Vec<Rule> {
        let loopback = if v6 { Range::new(Ipv6Addr::LOCALHOST.into(), 128) } else { Range::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8) };
        let of_family = |range: &&Range| range.address().is_ipv6() == v6;
        let mut rules = vec![
            accept([Match::Mark(PROXY_MARK)]),
            accept([Match::Uid(self.proxy_uid)]),
            // The pod calling itself, by loopback or by its own address.
            accept([Match::Loopback]),
        ];
        rules.extend(loopback.map(|range| accept([Match::To(range)])));
        rules.extend(listed(&self.exclude_outbound_ports).map(|port| accept([Match::Port(port.0)])));
        rules.extend(listed(&self.exclude_outbound_ranges).filter(of_family).map(|range| accept([Match::To(*range)])));
        let redirect = |matches: Vec<Match>| Rule { matches, verdict: Verdict::Redirect(OUTBOUND_PORT) };
        if matches!(self.outbound_ports, Listed::All) || matches!(self.outbound_ranges, Listed::All) {
            rules.push(redirect(vec![Match::Tcp]));
            return rules;
        }
        rules.extend(listed(&self.outbound_ports).map(|port| redirect(vec![Match::Port(port.0)])));
        rules.extend(listed(&self.outbound_ranges).filter(of_family).map(|range| redirect(vec![Match::To(*range), Match::Tcp])));
        rules
    }

    fn prerouting(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = DIRECT.map(|port| accept([Match::Port(port)])).into();
        rules.extend(listed(&self.exclude_inbound_ports).map(|port| accept([Match::Port(port.0)])));
        let redirect = |matches: Vec<Match>| Rule { matches, verdict: Verdict::Redirect(INBOUND_PORT) };
        match &self.inbound_ports {
            Listed::All => rules.push(redirect(vec![Match::Tcp])),
            Listed::Only(ports) => rules.extend(ports.iter().map(|port| redirect(vec![Match::Port(port.0)]))),
        }
        rules
    }
}

fn accept(matches: impl Into<Vec<Match>>) -> Rule {
    Rule { matches: matches.into(), verdict: Verdict::Accept }
}

/// What is listed one by one: all but `*`.
fn listed<T>(listed: &Listed<T>) -> impl Iterator<Item = &T> {
    match listed {
        Listed::All => [].iter(),
        Listed::Only(listed) => listed.iter(),
    }
}

/// In the notation of `nft -f`: replaces the table, whatever was in it.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.v6 { "ip6" } else { "ip" };
        writeln!(f, "add table {family} {TABLE}\ndelete table {family} {TABLE}\ntable {family} {TABLE} {{")?;
        for (chain, rules) in [("output", &self.output), ("prerouting", &self.prerouting)] {
            writeln!(f, "  chain {chain} {{\n    type nat hook {chain} priority -100; policy accept;")?;
            for rule in rules {
                writeln!(f, "    {rule}")?;
            }
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.matches {
            match one {
                Match::Mark(mark) => write!(f, "meta mark {mark} ")?,
                Match::Uid(uid) => write!(f, "meta skuid {uid} ")?,
                Match::Loopback => write!(f, "oifname \"lo\" ")?,
                Match::To(range) if range.address().is_ipv6() => write!(f, "ip6 daddr {range} ")?,
                Match::To(range) => write!(f, "ip daddr {range} ")?,
                Match::Port(port) => write!(f, "tcp dport {port} ")?,
                Match::Tcp => write!(f, "meta l4proto tcp ")?,
            }
        }
        match self.verdict {
            Verdict::Accept => write!(f, "accept"),
            Verdict::Redirect(port) => write!(f, "redirect to :{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(redirect: &Redirect, v6: bool) -> String {
        let [v4, v6_rules] = redirect.rules();
        if v6 { v6_rules.to_string() } else { v4.to_string() }
    }

    #[test]
    fn all_is_redirected_but_the_proxys_own_traffic_loopback_and_its_own_ports() {
        let expected = "\
add table ip weir
delete table ip weir
table ip weir {
  chain output {
    type nat hook output priority -100; policy accept;
    meta mark 1337 accept
    meta skuid 1337 accept
    oifname \"lo\" accept
    ip daddr 127.0.0.0/8 accept
    meta l4proto tcp redirect to :15001
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    tcp dport 15020 accept
    tcp dport 15021 accept
    tcp dport 15090 accept
    meta l4proto tcp redirect to :15006
  }
}
";
        assert_eq!(shown(&Redirect::default(), false), expected);
        let v6 = expected.replace("table ip weir", "table ip6 weir").replace("ip daddr 127.0.0.0/8", "ip6 daddr ::1/128");
        assert_eq!(shown(&Redirect::default(), true), v6);
    }

    #[test]
    fn ports_and_ranges_are_included_and_excluded_by_family() {
        let redirect = Redirect {
            inbound_ports: "80,443".parse().unwrap(),
            exclude_inbound_ports: "8081".parse().unwrap(),
            outbound_ports: "3306".parse().unwrap(),
            exclude_outbound_ports: "25".parse().unwrap(),
            outbound_ranges: "10.0.0.0/8,fd00::/8".parse().unwrap(),
            exclude_outbound_ranges: "10.1.0.0/16".parse().unwrap(),
            ..Redirect::default()
        };
        let lines = |v6| {
            let rules = &redirect.rules()[usize::from(v6)];
            rules.output.iter().skip(4).chain(rules.prerouting.iter().skip(3)).map(ToString::to_string).collect::<Vec<_>>()
        };
        let inbound = ["tcp dport 8081 accept", "tcp dport 80 redirect to :15006", "tcp dport 443 redirect to :15006"];
        let v4 = [
            "tcp dport 25 accept",
            "ip daddr 10.1.0.0/16 accept",
            "tcp dport 3306 redirect to :15001",
            "ip daddr 10.0.0.0/8 meta l4proto tcp redirect to :15001",
        ];
        assert_eq!(lines(false), [&v4[..], &inbound].concat());
        let v6 = ["tcp dport 25 accept", "tcp dport 3306 redirect to :15001", "ip6 daddr fd00::/8 meta l4proto tcp redirect to :15001"];
        assert_eq!(lines(true), [&v6[..], &inbound].concat());
    }

    #[test]
    fn nothing_is_redirected_where_nothing_is_named() {
        let none = Redirect { inbound_ports: Listed::NONE, outbound_ranges: Listed::NONE, ..Redirect::default() };
        let all = none.rules().into_iter().flat_map(|rules| rules.output.into_iter().chain(rules.prerouting));
        assert!(all.into_iter().all(|rule| rule.verdict == Verdict::Accept));
    }

    #[test]
    fn an_address_is_of_one_family() {
        assert!(Range::new(std::net::IpAddr::from([1, 2, 3, 4]), 33).is_none());
    }
}
