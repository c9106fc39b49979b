//! YAML documents as JSON values that remember where each field stood.

mod node;

use node::Node;
use serde_json::{Map, Value};
use serde_saphyr::{NonFiniteFloatPolicy, Spanned};
use std::collections::HashMap;

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

/// A document that is no YAML.
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

/// Reads all documents of a text, as far as one can be told from the next. JSON is YAML too.
pub fn documents(text: &str) -> Vec<Result<Document, YamlError>> {
    // The library's defaults refuse a file of 1,025 documents; what bounds aliases and depth stays.
    let budget = serde_saphyr::budget! { max_documents: 1 << 20, max_nodes: 1 << 25, max_events: 1 << 26, max_reader_input_bytes: None };
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: true,
        // JSON has no such numbers: they become null.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        budget: budget,
    };
    let mut bytes = text.as_bytes();
    let nodes = serde_saphyr::read_with_options::<_, Spanned<Node>>(&mut bytes, options);
    let documents = nodes.map(|node| node.map(document).map_err(|error| yaml_error(text, &error)));
    documents.filter(|document| document.as_ref().is_ok_and(|document| !document.value.is_null()) || document.is_err()).collect()
}

fn yaml_error(text: &str, error: &serde_saphyr::Error) -> YamlError {
    let (line, column) = error.location().map_or((0, 0), |at| (at.line() as usize, at.column() as usize));
    let snippet = match text.lines().nth(line.wrapping_sub(1)) {
        Some(found) => format!("  {found}\n  {}^", " ".repeat(column.saturating_sub(1))),
        None => String::new(),
    };
    YamlError { line, column, message: in_plain_words(&error.to_string()), snippet }
}

/// The library speaks to programmers, and names the place once more.
fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("duplicate mapping key", "a key stands twice"),
        ("expected string scalar", "a key is a list or a map"),
        ("recursive references", "an alias stands inside of what it stands for"),
        ("cannot deserialize tagged scalar", "Kubernetes does not read this tag"),
        ("invalid u64", "the value is none of its tag's"),
        ("invalid floating point", "the value is none of its tag's"),
    ];
    let first = message.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match WORDS.iter().find(|(theirs, _)| first.starts_with(theirs)) {
        Some((_, ours)) => (*ours).into(),
        None => first.split(" at line ").next().unwrap_or(first).into(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn good(text: &str) -> Vec<Document> {
        documents(text).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn keeps_values_and_their_positions() {
        let found = good("a: 1\nb:\n- c: yes\n  d: 0644\n- on\n---\n# nothing\n---\ne: \"5\"\n");
        let values: Vec<_> = found.iter().map(|document| document.value.clone()).collect();
        assert_eq!(values, [json!({"a": 1, "b": [{"c": "yes", "d": 420}, "on"]}), json!({"e": "5"})]);
        assert_eq!(found[0].positions.find("b[0].d"), (4, 6));
        assert_eq!(found[0].positions.find("b[0].missing.deeper"), (3, 3), "the nearest parent");
        assert_eq!(found[1].positions.find("e"), (9, 4), "lines count from the start of the file");
    }

    #[test]
    fn reads_values_that_json_has_not() {
        for (text, expected) in [
            ("~: a", json!({"null": "a"})),
            ("1: a\ntrue: b\n1.5: c", json!({"1": "a", "true": "b", "1.5": "c"})),
            ("a: [.nan, .inf, -.inf]", json!({"a": [null, null, null]})),
            ("a: !!binary aGk=", json!({"a": "aGk="})),
            ("a: !own b", json!({"a": "b"})),
            ("a: 99999999999999999999", json!({"a": 1e20})),
            ("x: &x {a: 1}\ny: {<<: *x, b: 2}", json!({"x": {"a": 1}, "y": {"a": 1, "b": 2}})),
        ] {
            let values: Vec<_> = good(text).into_iter().map(|document| document.value).collect();
            assert_eq!(values, [expected], "{text}");
        }
    }

    #[test]
    fn a_broken_document_does_not_take_the_others_with_it() {
        let found = documents("a: 1\n---\nb: 1\nb: 2\n---\nc: 3\n");
        let found: Vec<_> = found.into_iter().map(|found| found.map(|document| document.value)).collect();
        let error = YamlError { line: 4, column: 1, message: "a key stands twice".into(), snippet: "  b: 2\n  ^".into() };
        assert_eq!(found, [Ok(json!({"a": 1})), Err(error), Ok(json!({"c": 3}))]);
        let found = documents("a: 1\n---\nb: [1\n---\nc: 3\n");
        assert!(found[0].is_ok() && found[1].is_err(), "{found:?}");
    }

    #[test]
    fn reads_the_many_documents_of_a_large_mesh() {
        assert_eq!(good(&"---\na: 1\n".repeat(5000)).len(), 5000);
    }

    #[test]
    fn refuses_a_few_lines_that_grow_without_end() {
        let mut text = "a0: &a0 [x, x]\n".to_string();
        (1..40).for_each(|i| text.push_str(&format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1)));
        assert!(documents(&text).iter().all(Result::is_err));
        assert!(documents(&"[".repeat(100_000)).iter().all(Result::is_err));
    }

    #[test]
    fn says_where_text_is_no_yaml() {
        let error = documents("a:\n  b: [1, 2\nc: 3\n").remove(0).unwrap_err();
        assert!(error.line >= 2, "{error:?}");
        assert!(error.snippet.contains('^'), "{error:?}");
    }

    #[test]
    fn speaks_of_yaml_not_of_rust() {
        for (text, expected) in [
            ("a: 1\na: 2", "a key stands twice"),
            ("? [a]\n: b", "a key is a list or a map"),
            ("a: &x [*x]", "an alias stands inside of what it stands for"),
            ("a: !!timestamp 2001-01-01", "Kubernetes does not read this tag"),
            ("a: !!int x", "the value is none of its tag's"),
            ("a: *x", "alias references unknown anchor"),
            ("a: 'x", "unclosed quote"),
        ] {
            assert_eq!(documents(text).remove(0).unwrap_err().message, expected, "{text}");
        }
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
