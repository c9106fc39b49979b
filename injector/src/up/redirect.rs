//! The nftables rules of a pod: what leaves it goes to Envoy's port 15001, what enters it to 15006, as in a cluster.
//!
//! The rules follow Istio's (istio/istio tools/istio-iptables): the proxy's own traffic and what stays on loopback is left alone.

use anyhow::Result;
use nlink::netlink::nftables::{BaseChain, Chain, CmpOp, Expr, Family, MetaKey, NatHook, Priority, Register, Rule};
use nlink::{Connection, Nftables};
use std::net::Ipv4Addr;

const TABLE: &str = "weir";
/// Marks the proxy's own traffic. Envoy sets it (bootstrap), since in a user namespace with one uid it has none of its own.
const PROXY_MARK: u32 = 1337;
/// The proxy's uid in a cluster.
const PROXY_UID: u32 = 1337;
const OUTBOUND: u16 = 15001;
const INBOUND: u16 = 15006;
/// Envoy's own ports in a pod, reached directly: merged metrics, health, statistics.
const DIRECT: [u16; 3] = [15020, 15021, 15090];
const TCP: u8 = 6;

/// Writes the rules into the network namespace of this process.
pub async fn apply() -> Result<()> {
    let connection = Connection::<Nftables>::new()?;
    let mut transaction = connection
        .transaction()
        .add_table(TABLE, Family::Ip)
        .add_chain(Chain::new(TABLE, "output")?.family(Family::Ip).base(BaseChain::nat(NatHook::Output, Priority::DstNat)))
        .add_chain(Chain::new(TABLE, "prerouting")?.family(Family::Ip).base(BaseChain::nat(NatHook::Prerouting, Priority::DstNat)));
    for rule in output().into_iter().chain(prerouting()) {
        transaction = transaction.add_rule(rule);
    }
    Ok(transaction.commit(&connection).await?)
}

fn output() -> Vec<Rule> {
    let rule = || Rule::new(TABLE, "output").family(Family::Ip);
    vec![
        rule().match_mark(PROXY_MARK).accept(),
        rule()
            .expr(Expr::Meta { dreg: Register::R0, key: MetaKey::SkUid })
            .expr(Expr::Cmp { sreg: Register::R0, op: CmpOp::Eq, data: PROXY_UID.to_ne_bytes().to_vec() })
            .accept(),
        // The pod calling itself, by 127.0.0.1 or by its own address.
        rule().match_oif("lo").accept(),
        rule().match_daddr_v4(Ipv4Addr::new(127, 0, 0, 0), 8).accept(),
        rule().match_l4proto(TCP).redirect(Some(OUTBOUND)),
    ]
}

fn prerouting() -> Vec<Rule> {
    let rule = || Rule::new(TABLE, "prerouting").family(Family::Ip);
    let direct = DIRECT.map(|port| rule().match_tcp_dport(port).accept());
    direct.into_iter().chain([rule().match_l4proto(TCP).redirect(Some(INBOUND))]).collect()
}
