//! YAML documents as JSON values that remember where each field stood.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use std::collections::HashMap;
use std::fmt;

/// One document: its value, and line and column of each field by its path (`spec.http[0].name`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The contents.
    pub value: Value,
    /// Where each field stands.
    pub positions: Positions,
}

/// Line and column (from 1) of the fields of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(HashMap<String, (usize, usize)>);

/// Text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// From 1; 0 if unknown.
    pub line: usize,
    /// From 1; 0 if unknown.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line itself with a caret below it.
    pub snippet: String,
}

impl FromIterator<(String, (usize, usize))> for Positions {
    fn from_iter<I: IntoIterator<Item = (String, (usize, usize))>>(fields: I) -> Self {
        Positions(fields.into_iter().collect())
    }
}

impl Positions {
    /// Each field's path and position, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, (usize, usize))> {
        let mut fields: Vec<_> = self.0.iter().map(|(path, at)| (path.as_str(), *at)).collect();
        fields.sort_unstable();
        fields.into_iter()
    }

    /// The positions of the part of the document at `path`.
    pub fn below(&self, path: &str) -> Positions {
        let relative = |full: &str| full.strip_prefix(path).map(|rest| rest.strip_prefix('.').unwrap_or(rest).to_string());
        Positions(self.0.iter().filter_map(|(full, at)| Some((relative(full)?, *at))).collect())
    }

    /// Where the field stands; for a field that is not there, its nearest parent.
    pub fn find(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(position) = self.0.get(path) {
                return *position;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return self.0.get("").copied().unwrap_or((0, 0)),
            }
        }
    }
}

/// Reads all documents of a text. JSON is YAML too.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    // The library's defaults refuse a file of 1,025 documents; what bounds aliases and depth stays.
    let budget = serde_saphyr::budget! { max_documents: 1 << 20, max_nodes: 1 << 25, max_events: 1 << 26 };
    let options = serde_saphyr::options! { legacy_octal_numbers: true, strict_booleans: true, with_snippet: false, budget: budget };
    let nodes: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| yaml_error(text, &error))?;
    Ok(nodes.into_iter().map(document).filter(|document| !document.value.is_null()).collect())
}

fn yaml_error(text: &str, error: &serde_saphyr::Error) -> YamlError {
    let (line, column) = error.location().map_or((0, 0), |at| (at.line() as usize, at.column() as usize));
    let snippet = match text.lines().nth(line.wrapping_sub(1)) {
        Some(found) => format!("  {found}\n  {}^", " ".repeat(column.saturating_sub(1))),
        None => String::new(),
    };
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default();
    YamlError { line, column, message: message.strip_prefix("error: ").unwrap_or(message).to_string(), snippet }
}

fn document(node: Spanned<Node>) -> Document {
    let mut positions = HashMap::new();
    let value = flatten(node, String::new(), &mut positions);
    Document { value, positions: Positions(positions) }
}

fn flatten(node: Spanned<Node>, path: String, positions: &mut HashMap<String, (usize, usize)>) -> Value {
    let at = (node.referenced.line() as usize, node.referenced.column() as usize);
    let value = match node.value {
        Node::Scalar(value) => value,
        Node::Sequence(items) => {
            Value::Array(items.into_iter().enumerate().map(|(i, item)| flatten(item, format!("{path}[{i}]"), positions)).collect())
        }
        Node::Mapping(entries) => {
            let mut map = Map::new();
            for (key, item) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                map.insert(key, flatten(item, path, positions));
            }
            Value::Object(map)
        }
    };
    positions.insert(path, at);
    value
}

/// A YAML value whose parts keep their positions.
enum Node {
    Scalar(Value),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keeps_values_and_their_positions() {
        let found = documents("a: 1\nb:\n- c: yes\n  d: 0644\n- on\n---\n# nothing\n---\ne: \"5\"\n").unwrap();
        let values: Vec<_> = found.iter().map(|document| document.value.clone()).collect();
        assert_eq!(values, [json!({"a": 1, "b": [{"c": "yes", "d": 420}, "on"]}), json!({"e": "5"})]);
        assert_eq!(found[0].positions.find("b[0].d"), (4, 6));
        assert_eq!(found[0].positions.find("b[0].missing.deeper"), (3, 3), "the nearest parent");
        assert_eq!(found[1].positions.find("e"), (9, 4), "lines count from the start of the file");
    }

    #[test]
    fn reads_the_many_documents_of_a_large_mesh() {
        assert_eq!(documents(&"---\na: 1\n".repeat(5000)).unwrap().len(), 5000);
    }

    #[test]
    fn refuses_a_few_lines_that_grow_without_end() {
        let mut text = "a0: &a0 [x, x]\n".to_string();
        (1..40).for_each(|i| text.push_str(&format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1)));
        assert!(documents(&text).is_err());
        assert!(documents(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn says_where_text_is_no_yaml() {
        let error = documents("a:\n  b: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.line >= 2, "{error:?}");
        assert!(error.snippet.contains('^'), "{error:?}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~\n\t\u{e9}]{0,200}") {
            let _ = documents(&text);
        }

        #[test]
        fn never_panics_on_text_like_yaml(text in "(([a-c]|-|\\? |: |\\[|\\{|\\}|\\]|,|&a|\\*a|!t|\\||>|\"|'|\n| |#|---\n|0x|<<){1,3}){0,40}") {
            let _ = documents(&text);
        }
    }
}
