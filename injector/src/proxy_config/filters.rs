//! The HTTP filters of each listener in their order, with each WasmPlugin's module and policy.

use super::dump::{address, at, list, listed, text};
use super::listeners::{chains, http};
use crate::commands::output::row;
use serde::Serialize;
use serde_json::Value;

/// So much of a digest tells modules apart, and so much of a policy fits on a line.
const DIGEST: usize = 12;
const POLICY: usize = 80;

/// The HTTP filters of one filter chain.
#[derive(Debug, PartialEq, Serialize)]
pub struct Chain {
    /// `ADDRESS:PORT`.
    pub listener: String,
    /// The filter chain's name.
    pub chain: String,
    /// In the order in which a request passes them.
    pub filters: Vec<Filter>,
}

/// One filter.
#[derive(Debug, PartialEq, Serialize)]
pub struct Filter {
    /// Its name: of a plugin `NAMESPACE.NAME`.
    pub name: String,
    /// Whether it runs.
    pub state: State,
    /// The sha256 of its module.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The plugin's configuration.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub policy: Value,
    /// All that Envoy has of it.
    pub config: Value,
}

/// Whether a filter runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// For every request.
    Always,
    /// Where a route switches it on.
    ByRoute,
    /// Not: Envoy has no configuration for it, or one without a module, and lets requests pass.
    Missing,
}

/// The chains of a port, of the listener or of the service behind it, or all.
pub fn select(dump: &Value, port: Option<u16>) -> Vec<Chain> {
    let mut found = Vec::new();
    for listener in super::listeners::select(dump, None) {
        let (ip, listened) = address(at(&listener, "/address"));
        for chain in chains(&listener) {
            let Some(http) = http(chain) else { continue };
            let behind = at(chain, "/filter_chain_match/destination_port").as_u64();
            if port.is_none_or(|port| listened == port.to_string() || behind == Some(port.into())) {
                let filters = list(http, "/http_filters").iter().map(|entry| filter(dump, entry)).collect();
                found.push(Chain { listener: format!("{ip}:{listened}"), chain: text(chain, "/name").into(), filters });
            }
        }
    }
    found
}

fn filter(dump: &Value, entry: &Value) -> Filter {
    let name = text(entry, "/name");
    let sent = || listed(dump, &["ecds_filters"]).map(|entry| &entry["ecds_filter"]).find(|sent| sent["name"] == name);
    let by_name = entry["config_discovery"].is_object();
    let config = if by_name { sent().map(|sent| &sent["typed_config"]) } else { Some(&entry["typed_config"]) };
    let wasm = config.map(|config| &config["config"]).filter(|config| config["vm_config"].is_object());
    let code = wasm.map(|wasm| at(wasm, "/vm_config/code"));
    let file = code.map(|code| text(code, "/local/filename")).unwrap_or_default();
    let file = file.rsplit('/').next().unwrap_or_default();
    let remote = code.map(|code| text(code, "/remote/sha256")).unwrap_or_default();
    let state = match (by_name && wasm.is_none(), entry["disabled"] == true) {
        (true, _) => State::Missing,
        (false, true) => State::ByRoute,
        (false, false) => State::Always,
    };
    let policy = wasm.map(|wasm| text(wasm, "/configuration/value")).unwrap_or_default();
    Filter {
        name: name.into(),
        state,
        module: [file.strip_suffix(".wasm").unwrap_or(file), remote].concat(),
        policy: serde_json::from_str(policy).unwrap_or_else(|_| if policy.is_empty() { Value::Null } else { policy.into() }),
        config: config.cloned().unwrap_or_default(),
    }
}

/// A line for each filter.
pub fn table(chains: &[Chain], wide: bool) -> Vec<Vec<String>> {
    let short = |text: String, most: usize| match text.char_indices().nth(most) {
        Some((end, _)) if !wide => format!("{}…", text.get(..end).unwrap_or_default()),
        _ => text,
    };
    let lines = chains.iter().flat_map(|chain| {
        chain.filters.iter().map(move |filter| {
            let state = match filter.state {
                State::Always => "always",
                State::ByRoute => "by route",
                State::Missing => "missing",
            };
            let policy = if filter.policy.is_null() { String::new() } else { filter.policy.to_string() };
            let module = if wide { filter.module.clone() } else { filter.module.chars().take(DIGEST).collect() };
            vec![chain.listener.clone(), chain.chain.clone(), filter.name.clone(), state.into(), module, short(policy, POLICY)]
        })
    });
    [row(&["LISTENER", "CHAIN", "FILTER", "RUNS", "MODULE", "POLICY"])].into_iter().chain(lines).collect()
}
