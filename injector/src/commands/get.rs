//! `weir get`: what runs.

use super::Mesh;
use crate::up::protocol::{GatewayView, PodView, Request, Response, ServiceView, View};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Show what runs: pods, Services, gateways
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to show; by default all
    #[arg(value_enum)]
    kind: Option<Kind>,
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// As a table, or as JSON
    #[arg(short, long, value_enum, default_value = "text")]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Asks and prints.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Response::View(view) = args.mesh.ask(&Request::Get)? else { bail!("the mesh gave another answer than was asked for") };
    let view = select(*view, args);
    if let Some(nothing) = nothing(&view, args) {
        eprintln!("{nothing}");
    }
    match args.output {
        Output::Json => super::print(&(serde_json::to_string_pretty(&view)? + "\n")),
        Output::Text => super::print(&text(&view)),
    }
    Ok(ExitCode::SUCCESS)
}

fn select(mut view: View, args: &Args) -> View {
    let wanted = |kind| args.kind.is_none_or(|wanted| wanted == kind);
    let inside = |namespace: &String| args.namespace.as_ref().is_none_or(|wanted| wanted == namespace);
    view.pods.retain(|pod| wanted(Kind::Pods) && inside(&pod.namespace));
    view.services.retain(|service| wanted(Kind::Services) && inside(&service.namespace));
    view.gateways.retain(|_| wanted(Kind::Gateways));
    view
}

/// What to say where nothing is.
fn nothing(view: &View, args: &Args) -> Option<String> {
    let (empty, what) = match args.kind {
        None => (view.pods.is_empty() && view.services.is_empty(), "pods or Services"),
        Some(Kind::Pods) => (view.pods.is_empty(), "pods"),
        Some(Kind::Services) => (view.services.is_empty(), "Services"),
        Some(Kind::Gateways) => return view.gateways.is_empty().then(|| "there are no gateways".into()),
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
    let row = |(number, port): (usize, &crate::up::protocol::PortView)| {
        let urls = if number == 0 { gateway.urls.join(" ") } else { String::new() };
        vec![gateway.name.clone(), port.port.to_string(), format!("127.0.0.1:{}", port.outside), urls]
    };
    gateway.ports.iter().enumerate().map(row).collect()
}

/// Rows in columns as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(|column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(column, width)| format!("{:<width$}", cell(row, column)));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
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
            let view = View { run_dir: "".into(), gateways: vec![], pods: vec![], services: vec![service("shop")] };
            nothing(&select(view, &args), &args)
        };
        assert_eq!(said(&[]), None);
        assert_eq!(said(&["-n", "shop"]), None);
        assert_eq!(said(&["-n", "nosuch"]), Some("there are no pods or Services in namespace nosuch".into()));
        assert_eq!(said(&["pods", "-n", "shop"]), Some("there are no pods in namespace shop".into()));
        assert_eq!(said(&["gw"]), Some("there are no gateways".into()));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["A", "LONG"], ["wide", "b"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "A      LONG\nwide   b\n");
    }
}
