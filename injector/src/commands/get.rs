//! `weir get`: what runs.

use super::Mesh;
use super::output::{Output, table};
use crate::up::protocol::{GatewayView, PodView, PortView, Request, Response, ServiceView, View};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Show what `weir up` runs: pods, Services, gateways (on a cluster: kubectl get)
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to show; by default all
    #[arg(value_enum)]
    kind: Option<Kind>,
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// All namespaces, as without -n
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    mesh: Mesh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    #[value(aliases = ["pod", "po"])]
    Pods,
    #[value(aliases = ["service", "svc"])]
    Services,
    #[value(aliases = ["gateway", "gw"])]
    Gateways,
}

/// Asks and prints.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Response::View(view) = args.mesh.ask(&Request::Get)? else { bail!("the mesh gave another answer than was asked for") };
    let view = select(*view, args);
    if let Some(nothing) = nothing(&view, args) {
        eprintln!("{nothing}");
    }
    args.output.print(&view, |_| text(&view))?;
    Ok(ExitCode::SUCCESS)
}

fn select(mut view: View, args: &Args) -> View {
    let wanted = |kind| args.kind.is_none_or(|wanted| wanted == kind);
    let inside = |namespace: &String| args.namespace.as_ref().is_none_or(|wanted| wanted == namespace);
    view.pods.retain(|pod| wanted(Kind::Pods) && inside(&pod.namespace));
    view.services.retain(|service| wanted(Kind::Services) && inside(&service.namespace));
    view.gateways.retain(|gateway| wanted(Kind::Gateways) && (args.namespace.is_none() || gateway.namespaces.iter().any(inside)));
    view
}

/// What to say where nothing is.
fn nothing(view: &View, args: &Args) -> Option<String> {
    let (empty, what) = match args.kind {
        None => (view.pods.is_empty() && view.services.is_empty(), "pods or Services"),
        Some(Kind::Pods) => (view.pods.is_empty(), "pods"),
        Some(Kind::Services) => (view.services.is_empty(), "Services"),
        Some(Kind::Gateways) => (view.gateways.is_empty(), "gateways"),
    };
    let place = args.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    empty.then(|| format!("there are no {what}{place}"))
}

fn text(view: &View) -> String {
    let mut tables = Vec::new();
    if !view.pods.is_empty() {
        let header = ["NAMESPACE", "POD", "STATE", "ZONE", "VERSION", "IP", "RESTARTS", ""].map(String::from).to_vec();
        tables.push([header].into_iter().chain(view.pods.iter().map(pod)).collect::<Vec<_>>());
    }
    if !view.services.is_empty() {
        let header = ["NAMESPACE", "SERVICE", "CLUSTERIP"].map(String::from).to_vec();
        tables.push([header].into_iter().chain(view.services.iter().map(service)).collect());
    }
    if !view.gateways.is_empty() {
        let header = ["GATEWAY", "PORT", "OUTSIDE", "URLS"].map(String::from).to_vec();
        tables.push([header].into_iter().chain(view.gateways.iter().flat_map(gateway)).collect());
    }
    tables.iter().map(|rows| table(rows)).collect::<Vec<_>>().join("\n")
}

fn pod(pod: &PodView) -> Vec<String> {
    let reason = if pod.state == "Waiting" { pod.reason.clone() } else { String::new() };
    vec![
        pod.namespace.clone(),
        pod.name.clone(),
        pod.state.clone(),
        pod.zone.clone(),
        pod.version.clone(),
        pod.ip.to_string(),
        pod.restarts.to_string(),
        reason,
    ]
}

fn service(service: &ServiceView) -> Vec<String> {
    let address = service.cluster_ip.map_or_else(|| "None".into(), |ip| ip.to_string());
    vec![service.namespace.clone(), service.name.clone(), address]
}

fn gateway(gateway: &GatewayView) -> Vec<Vec<String>> {
    let row = |(number, port): (usize, &PortView)| {
        let urls = if number == 0 { gateway.urls.join(" ") } else { String::new() };
        vec![gateway.name.clone(), port.port.to_string(), format!("127.0.0.1:{}", port.outside), urls]
    };
    let unserved = gateway.unserved.iter().map(|why| vec![gateway.name.clone(), String::new(), String::new(), why.clone()]);
    gateway.ports.iter().enumerate().map(row).chain(unserved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_so_where_nothing_is() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let service = |namespace: &str| ServiceView { namespace: namespace.into(), name: "s".into(), cluster_ip: None };
        let said = |line: &[&str]| {
            let args = <Line as clap::Parser>::parse_from([&["get"], line].concat()).args;
            let view = View { run_dir: "".into(), gateways: vec![edge()], pods: vec![], services: vec![service("shop")] };
            let view = select(view, &args);
            (nothing(&view, &args), view.gateways.len())
        };
        let none = |what: &str| Some(format!("there are no {what}"));
        assert_eq!(said(&[]), (None, 1));
        assert_eq!(said(&["-n", "shop"]), (None, 1));
        assert_eq!(said(&["-n", "nosuch"]), (none("pods or Services in namespace nosuch"), 0));
        assert_eq!(said(&["pods", "-n", "shop"]), (none("pods in namespace shop"), 0));
        assert_eq!(said(&["gw", "-n", "shop"]), (None, 1));
        assert_eq!(said(&["gw", "-n", "nosuch"]), (none("gateways in namespace nosuch"), 0));
    }

    fn edge() -> GatewayView {
        let ports = vec![PortView { port: 80, outside: 8080, hosts: vec!["*".into()] }];
        let unserved = vec!["port 443: HTTPS is not served yet".into()];
        GatewayView { name: "edge".into(), namespaces: vec!["shop".into()], urls: vec!["http://127.0.0.1:8080/".into()], ports, unserved }
    }

    #[test]
    fn says_of_a_gateways_port_how_it_is_reached_or_why_not() {
        let port = ["edge", "80", "127.0.0.1:8080", "http://127.0.0.1:8080/"];
        assert_eq!(
            gateway(&edge()),
            [port, ["edge", "", "", "port 443: HTTPS is not served yet"]].map(|row| row.map(String::from).to_vec())
        );
    }
}
