//! `weir redirect`: what enters a pod and what leaves it goes through Envoy.

use anyhow::{Context, Result};
use nlink::netlink::nftables::{BaseChain, Chain, CmpOp, Expr, Family, MetaKey, NatHook, Priority, Register, Rule as NftRule};
use nlink::{Connection, Nftables};
use std::path::Path;
use std::process::ExitCode;
use weir_mesh::inject::text::{Ports, Ranges};
use weir_mesh::redirect::{Match, PROXY_UID, Redirect, Rule, Rules, TABLE, Verdict};

const TCP: u8 = 6;

/// Send what enters this network namespace and what leaves it through Envoy, by nftables; needs NET_ADMIN.
///
/// The options have the names of istio-iptables' ones. iptables' own legacy tables are neither read nor written: nftables' rules hold beside
/// them, since Linux 5.2.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// Print the rules, as `nft -f` reads them, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is redirected.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// User id of the proxy, whose own traffic is left alone
    #[arg(long, value_name = "UID", default_value_t = PROXY_UID)]
    proxy_uid: u32,
    /// Ports of the pod that lead to the proxy: numbers with commas between, or *
    #[arg(long, value_name = "PORTS", default_value = "*", value_parser = ports)]
    inbound_ports: Ports,
    /// Ports of the pod that do not
    #[arg(long, value_name = "PORTS", default_value = "", value_parser = ports)]
    exclude_inbound_ports: Ports,
    /// Ports that lead to the proxy whatever address is called
    #[arg(long, value_name = "PORTS", default_value = "", value_parser = ports)]
    outbound_ports: Ports,
    /// Ports that do not, whatever address is called
    #[arg(long, value_name = "PORTS", default_value = "", value_parser = ports)]
    exclude_outbound_ports: Ports,
    /// Addresses that lead to the proxy: CIDRs with commas between, or *
    #[arg(long, value_name = "CIDRS", default_value = "*", value_parser = ranges)]
    outbound_ranges: Ranges,
    /// Addresses that do not
    #[arg(long, value_name = "CIDRS", default_value = "", value_parser = ranges)]
    exclude_outbound_ranges: Ranges,
}

fn ports(text: &str) -> Result<Ports, &'static str> {
    text.parse().map_err(|_| "expected * or ports from 1 to 65535 with commas between")
}

fn ranges(text: &str) -> Result<Ranges, &'static str> {
    text.parse().map_err(|_| "expected * or ranges such as 10.0.0.0/8 with commas between")
}

impl From<Options> for Redirect {
    fn from(options: Options) -> Redirect {
        Redirect {
            proxy_uid: options.proxy_uid,
            inbound_ports: options.inbound_ports,
            exclude_inbound_ports: options.exclude_inbound_ports,
            outbound_ports: options.outbound_ports,
            exclude_outbound_ports: options.exclude_outbound_ports,
            outbound_ranges: options.outbound_ranges,
            exclude_outbound_ranges: options.exclude_outbound_ranges,
        }
    }
}

/// Writes the rules, or prints them.
pub fn run(args: Args) -> Result<ExitCode> {
    let redirect = Redirect::from(args.options);
    if args.dry_run {
        crate::commands::print(&redirect.rules().map(|rules| rules.to_string()).concat());
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(apply(&redirect))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the rules into the network namespace of this process, in the place of earlier ones.
pub async fn apply(redirect: &Redirect) -> Result<()> {
    let connection = Connection::<Nftables>::new()?;
    for rules in redirect.rules() {
        // A kernel without IPv6 has nothing of it to redirect.
        if rules.v6 && !Path::new("/proc/net/if_inet6").exists() {
            continue;
        }
        write(&connection, &rules).await.with_context(|| {
            format!("writing the table {TABLE} of {}: it takes NET_ADMIN and nftables in the kernel", if rules.v6 { "ip6" } else { "ip" })
        })?;
    }
    Ok(())
}

async fn write(connection: &Connection<Nftables>, rules: &Rules) -> Result<()> {
    let family = if rules.v6 { Family::Ip6 } else { Family::Ip };
    let chain = |name: &str, hook| anyhow::Ok(Chain::new(TABLE, name)?.family(family).base(BaseChain::nat(hook, Priority::DstNat)));
    // Made first, so that there is one to delete: all of it happens at once.
    let mut transaction = connection
        .transaction()
        .add_table(TABLE, family)
        .del_table(TABLE, family)
        .add_table(TABLE, family)
        .add_chain(chain("output", NatHook::Output)?)
        .add_chain(chain("prerouting", NatHook::Prerouting)?);
    for (chain, rules) in [("output", &rules.output), ("prerouting", &rules.prerouting)] {
        for rule in rules {
            transaction = transaction.add_rule(netlink(NftRule::new(TABLE, chain).family(family), rule));
        }
    }
    Ok(transaction.commit(connection).await?)
}

fn netlink(start: NftRule, rule: &Rule) -> NftRule {
    let matched = rule.matches.iter().fold(start, |out, one| match one {
        Match::Mark(mark) => out.match_mark(*mark),
        Match::Uid(uid) => out.expr(Expr::Meta { dreg: Register::R0, key: MetaKey::SkUid }).expr(Expr::Cmp {
            sreg: Register::R0,
            op: CmpOp::Eq,
            data: uid.to_ne_bytes().to_vec(),
        }),
        Match::Loopback => out.match_oif("lo"),
        Match::To(range) => out.match_daddr(range.address(), range.prefix()),
        Match::Port(port) => out.match_tcp_dport(*port),
        Match::Tcp => out.match_l4proto(TCP),
    });
    match rule.verdict {
        Verdict::Accept => matched.accept(),
        Verdict::Redirect(port) => matched.redirect(Some(port)),
    }
}
