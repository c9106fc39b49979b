//! `--set KEY=VALUE` as Helm reads it: `a.b=1,c[0].d={x,y}`, with `\` in front of a character that stands for itself.

use serde_json::{Map, Value};
use std::iter::Peekable;
use std::str::Chars;

/// Helm's own limit: a mistyped index must not fill the memory.
const MAX_INDEX: usize = 65_536;

/// One value and where it goes.
#[derive(Debug, PartialEq)]
pub struct Assignment {
    path: Vec<Step>,
    value: Value,
}

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Assignment {
    /// The path as messages have it: `a.b[0]`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Puts the value in its place; maps and lists on the way are made.
    pub fn apply(self, values: &mut Map<String, Value>) {
        let mut root = Value::Object(std::mem::take(values));
        put(&mut root, &self.path, self.value);
        if let Value::Object(root) = root {
            *values = root;
        }
    }
}

fn put(at: &mut Value, path: &[Step], value: Value) {
    match path {
        [] => *at = value,
        [Step::Key(key), rest @ ..] => {
            let mut map = at.as_object_mut().map(std::mem::take).unwrap_or_default();
            put(map.entry(key.as_str()).or_insert(Value::Null), rest, value);
            *at = map.into();
        }
        [Step::Index(index), rest @ ..] => {
            let mut items = at.as_array_mut().map(std::mem::take).unwrap_or_default();
            items.resize(items.len().max(index + 1), Value::Null);
            items.iter_mut().skip(*index).take(1).for_each(|item| put(item, rest, value.clone()));
            *at = items.into();
        }
    }
}

/// All that one argument sets.
pub fn parse(text: &str) -> Result<Vec<Assignment>, String> {
    let mut chars = text.chars().peekable();
    let mut assignments = Vec::new();
    while chars.peek().is_some() {
        let path = path(&mut chars)?;
        assignments.push(Assignment { path, value: value(&mut chars)? });
    }
    if assignments.is_empty() { Err("nothing is set: write KEY=VALUE".into()) } else { Ok(assignments) }
}

fn path(chars: &mut Peekable<Chars>) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    loop {
        let (name, end) = word(chars, &['.', '[', '=', ',']);
        let is_behind_index = matches!(steps.last(), Some(Step::Index(_)));
        match (name.is_empty(), is_behind_index) {
            (false, _) => steps.push(Step::Key(name.clone())),
            (true, true) => {}
            (true, false) => return Err("a key is empty".into()),
        }
        match end {
            Some('.') => {}
            Some('[') => {
                let (index, end) = word(chars, &[']']);
                let number = index.parse().ok().filter(|number| *number <= MAX_INDEX && end.is_some());
                steps.push(Step::Index(number.ok_or_else(|| format!("[{index} is no index such as [0]"))?));
            }
            Some('=') => return Ok(steps),
            _ => return Err(format!("{name} has no value: write KEY=VALUE, and \\, for a comma inside of a value")),
        }
    }
}

fn value(chars: &mut Peekable<Chars>) -> Result<Value, String> {
    if chars.next_if_eq(&'{').is_none() {
        return Ok(typed(word(chars, &[',']).0));
    }
    let mut items = Vec::new();
    loop {
        let (item, end) = word(chars, &[',', '}']);
        match end {
            Some('}') if item.is_empty() && items.is_empty() => {}
            Some(_) => items.push(typed(item)),
            None => return Err("a list has no }".into()),
        }
        if end == Some('}') {
            return match chars.next() {
                None | Some(',') => Ok(Value::Array(items)),
                Some(other) => Err(format!("{other} stands behind a list")),
            };
        }
    }
}

/// The text up to one of the characters, and that one.
fn word(chars: &mut Peekable<Chars>, ends: &[char]) -> (String, Option<char>) {
    let mut word = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if ends.contains(&c) => return (word, Some(c)),
            c => word.push(c),
        }
    }
    (word, None)
}

/// Helm's types: what begins with a zero is a text, such as 0644.
fn typed(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "0" => 0.into(),
        text if text.starts_with('0') => text.into(),
        text => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(text: &str) -> Value {
        let mut values = Map::new();
        parse(text).unwrap().into_iter().for_each(|assignment| assignment.apply(&mut values));
        Value::Object(values)
    }

    #[test]
    fn reads_what_helm_reads() {
        for (text, expected) in [
            ("a=1", json!({"a": 1})),
            ("a.b=true,a.c=null,d=", json!({"a": {"b": true, "c": null}, "d": ""})),
            ("a=0644,b=0,c=-5,d=1.5", json!({"a": "0644", "b": 0, "c": -5, "d": "1.5"})),
            (r"a\.b=x\,y,c=d\\e", json!({"a.b": "x,y", "c": r"d\e"})),
            ("a={x,2},b={},c=1", json!({"a": ["x", 2], "b": [], "c": 1})),
            ("a[1].b=1", json!({"a": [null, {"b": 1}]})),
            ("a[0][1]=x,a[0][0]=y", json!({"a": [["y", "x"]]})),
            ("a=b=c", json!({"a": "b=c"})),
            ("a=1,a.b=2", json!({"a": {"b": 2}})),
        ] {
            assert_eq!(set(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_assignment() {
        for text in ["", "a", "a=1,b", "=1", "a..b=1", "a[x]=1", "a[0=1", "a[99999999]=1", "a={x", "a={x}y"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_those_of_messages() {
        assert_eq!(parse("a.b[0].c=1").unwrap()[0].path(), "a.b[0].c");
    }
}
