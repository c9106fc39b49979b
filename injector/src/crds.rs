//! `weir crds`: the CustomResourceDefinitions of the Istio kinds that Weir reads.

use crate::commands::print;
use anyhow::anyhow;
use serde_json::Value;
use std::process::ExitCode;
use weir_mesh::object::documents;

macro_rules! crds {
    ($($name:literal),*) => { [$(include_str!(concat!("../../deploy/chart/crds/", $name, ".yaml"))),*] };
}

/// As the Helm chart has them; `weir-mesh` makes them from its types.
const TEXTS: [&str; 4] = crds!["destinationrule", "gateway", "virtualservice", "wasmplugin"];

/// Prints them.
pub fn run() -> anyhow::Result<ExitCode> {
    TEXTS.iter().for_each(|text| print(text));
    Ok(ExitCode::SUCCESS)
}

/// All of them.
pub fn all() -> anyhow::Result<Vec<Value>> {
    let read = TEXTS.iter().flat_map(|text| documents(text));
    read.map(|document| Ok(document.map_err(|error| anyhow!("{}", error.message))?.value)).collect()
}
