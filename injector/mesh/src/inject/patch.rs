//! The difference of two JSON values as a JSON Patch (RFC 6902).
//!
//! Items of lists are told by their `name`, as Kubernetes does: a container in front of others is one operation. A comparison by
//! index, as json_patch::diff makes it, would rewrite all containers behind it.

use super::status::name_of;
use serde::Serialize;
use serde_json::{Map, Value};

/// Operations, to be done in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patch(pub Vec<Operation>);

/// One operation. Paths are JSON pointers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Add a field, or an item in front of the one that has this index.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Remove a field or an item.
    Remove {
        /// Which.
        path: String,
    },
    /// Put another value in the place of one.
    Replace {
        /// Of which.
        path: String,
        /// What.
        value: Value,
    },
}

impl Patch {
    /// What makes `new` of `old`.
    pub fn between(old: &Value, new: &Value) -> Patch {
        let mut patch = Patch::default();
        patch.value("", old, new);
        patch
    }

    fn value(&mut self, path: &str, old: &Value, new: &Value) {
        match (old, new) {
            _ if old == new => {}
            (Value::Object(old), Value::Object(new)) => self.map(path, old, new),
            (Value::Array(old), Value::Array(new)) => self.list(path, old, new),
            _ => self.0.push(Operation::Replace { path: path.into(), value: new.clone() }),
        }
    }

    fn map(&mut self, path: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let below = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.0.push(Operation::Remove { path: below(key) });
        }
        for (key, value) in new {
            match old.get(key) {
                Some(old) if old == value => {}
                Some(old) => self.value(&below(key), old, value),
                None => self.0.push(Operation::Add { path: below(key), value: value.clone() }),
            }
        }
    }

    /// What stands before `at` is already as in `new`, what stands behind is still as in `old`.
    fn list(&mut self, path: &str, old: &[Value], new: &[Value]) {
        let (mut old, mut rest, mut at) = (old, new, 0);
        loop {
            let here = format!("{path}/{at}");
            match (old, rest) {
                ([first, behind @ ..], [next, after @ ..]) if is_same(first, next) => {
                    self.value(&here, first, next);
                    (old, rest, at) = (behind, after, at + 1);
                }
                (_, [next, after @ ..]) if !old.iter().any(|item| is_same(item, next)) => {
                    self.0.push(Operation::Add { path: here, value: next.clone() });
                    (rest, at) = (after, at + 1);
                }
                ([_, behind @ ..], _) => {
                    self.0.push(Operation::Remove { path: here });
                    old = behind;
                }
                ([], _) => break,
            }
        }
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (name_of(one), name_of(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}
