//! Values from several places over the chart's defaults, with Helm's rules; what does not fit is traced back to the place it is from.

use super::{Values, chart, set};
use anyhow::anyhow;
use serde_json::{Map, Value};
use weir_mesh::object::{Positions, documents};

/// Values from one place.
#[derive(Debug)]
pub struct Layer {
    /// The file, or the `--set`.
    origin: String,
    value: Map<String, Value>,
    positions: Positions,
}

impl Layer {
    /// What holds where nobody says otherwise.
    pub fn defaults() -> anyhow::Result<Layer> {
        Layer::file("values.yaml of the chart", chart::VALUES)
    }

    /// The values of a file; an empty one has none.
    pub fn file(name: &str, text: &str) -> anyhow::Result<Layer> {
        let documents: Result<Vec<_>, _> = documents(text).into_iter().collect();
        let documents =
            documents.map_err(|error| anyhow!("{name}:{}:{}: {}\n{}", error.line, error.column, error.message, error.snippet))?;
        let mut documents = documents.into_iter();
        let (value, positions) =
            documents.next().map_or_else(|| (Value::Object(Map::new()), Positions::default()), |one| (one.value, one.positions));
        match value {
            Value::Object(value) if documents.next().is_none() => Ok(Layer { origin: name.into(), value, positions }),
            Value::Object(_) => Err(anyhow!("{name}: more than one YAML document")),
            _ => Err(anyhow!("{name}: no values: keys, each with its value, are expected")),
        }
    }
}

/// The layers' values, each over those before it, and those of `--set` over all; and with them what differs from the first layer.
pub fn values(layers: Vec<Layer>, sets: &[String]) -> anyhow::Result<(Values, Map<String, Value>)> {
    let mut origins = Vec::new();
    let mut layers = layers.into_iter().map(|layer| {
        origins.push((layer.origin, layer.positions));
        layer.value
    });
    let mut all = layers.next().unwrap_or_default();
    // As Helm has it, a list's items that `--set` numbers are those of the user's files, not the chart's.
    let mut users = Map::new();
    layers.for_each(|layer| merge(&mut users, layer, false));
    for text in sets {
        let assignments = set::parse(text).map_err(|error| anyhow!("--set {text}: {error}"))?;
        let positions = assignments.iter().map(|assignment| (assignment.path(), (0, 0))).collect();
        origins.push((format!("--set {text}"), positions));
        assignments.into_iter().for_each(|assignment| assignment.apply(&mut users));
    }
    merge(&mut all, users.clone(), true);
    let values = serde_path_to_error::deserialize(Value::Object(all)).map_err(|error| {
        let path = error.path().to_string();
        anyhow!("{}{path}: {}", origin(&origins, &path), error.inner())
    })?;
    Ok((values, users))
}

/// Puts `over` over `under`: maps are merged, all else replaced. At last a null removes what is under it.
fn merge(under: &mut Map<String, Value>, over: Map<String, Value>, is_last: bool) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over, is_last),
            (_, Value::Null) if is_last => drop(under.remove(&key)),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// Who said the field last, or else what it is a part of: `FILE:LINE:COLUMN: ` or `--set K=V: `.
fn origin(origins: &[(String, Positions)], path: &str) -> String {
    let known = |(_, positions): &&(String, Positions)| positions.iter().any(|(field, _)| covers(field, path));
    let depth = |positions: &Positions| positions.iter().map(|(field, _)| field).filter(|field| covers(field, path)).map(str::len).max();
    match origins.iter().filter(known).max_by_key(|(_, positions)| depth(positions)) {
        Some((name, positions)) => match positions.find(path) {
            (0, _) => format!("{name}: "),
            (line, column) => format!("{name}:{line}:{column}: "),
        },
        None => String::new(),
    }
}

/// Whether a field is another or holds it.
fn covers(field: &str, path: &str) -> bool {
    !field.is_empty() && path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
