//! Reads annotations, each into its type, and collects what is wrong with them.

use super::problem::Problem;
use serde_json::{Map, Value};
use std::str::FromStr;

/// The annotations of a pod.
pub(super) struct Annotations<'a> {
    map: Option<&'a Map<String, Value>>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'a> Annotations<'a> {
    pub fn of(pod: &'a Value) -> Self {
        let map = pod.pointer("/metadata/annotations").and_then(Value::as_object);
        Annotations { map, problems: Vec::new(), warnings: Vec::new() }
    }

    /// The text of one.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.map?.get(name)?.as_str()
    }

    /// Reads one; what cannot be read is a problem.
    pub fn read<T>(&mut self, name: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = read(text);
        if value.is_none() {
            self.problem(name, format!("{text:?} is not {expected}"));
        }
        value
    }

    pub fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        self.read(name, expected, |text| text.parse().ok())
    }

    pub fn checked(&mut self, name: &str, expected: &str, is_good: impl Fn(&str) -> bool) -> Option<String> {
        self.read(name, expected, |text| is_good(text).then(|| text.to_string()))
    }

    /// Go's notation.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.read(name, "true or false", |text| match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        })
    }

    /// A JSON object whose fields are objects, or a JSON array of objects with a name: Istio takes both.
    pub fn json_map(&mut self, name: &str, of_what: &str, is_good: impl Fn(&Map<String, Value>) -> bool) -> Map<String, Value> {
        let read = |text: &str| {
            let map = match serde_json::from_str(text).ok()? {
                Value::Object(map) => map,
                Value::Array(items) => items.into_iter().map(named).collect::<Option<_>>()?,
                _ => return None,
            };
            map.values().all(|value| value.as_object().is_some_and(&is_good)).then_some(map)
        };
        self.read(name, &format!("a JSON object that gives for each volume's name {of_what}, or a JSON array of these with a name"), read)
            .unwrap_or_default()
    }

    /// One that has no effect here, and whose user is to know.
    pub fn refused(&mut self, name: &str, why: &str) {
        if self.text(name).is_some() {
            self.problem(name, why.into());
        }
    }

    pub fn problem(&mut self, name: &str, message: String) {
        self.problems.push(Problem::annotation(name, message));
    }

    pub fn warn(&mut self, message: &str) {
        self.warnings.push(message.into());
    }

    /// The warnings, if nothing is wrong.
    pub fn finish(self) -> Result<Vec<String>, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(self.problems) }
    }
}

/// An object's name, and the rest of it.
fn named(item: Value) -> Option<(String, Value)> {
    let Value::Object(mut item) = item else { return None };
    let name = item.remove("name")?.as_str()?.to_string();
    Some((name, Value::Object(item)))
}
