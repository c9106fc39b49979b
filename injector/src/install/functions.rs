//! The functions of Helm that the chart's templates call: values in, a value out. `include` is not among them: it needs the templates.

use serde::Serialize;
use serde_json::{Map, Value};
use serde_saphyr::SerializerOptions;
use sha2::{Digest, Sha256};
use weir_mesh::object::documents;

/// What a function gives, or why it cannot.
pub type Outcome = Result<Value, String>;
type Function = fn(&[Value]) -> Outcome;

/// Each by its name.
pub const FUNCTIONS: [(&str, Function); 12] = [
    ("add", |args| args.iter().map(number).sum::<Result<i64, _>>().map(Value::from)),
    ("default", |args| Ok(args.iter().rev().find(|value| is_true(value)).cloned().unwrap_or_default())),
    ("dict", dict),
    ("fromYaml", |args| from_yaml(text(args, 0)?)),
    ("list", |args| Ok(Value::Array(args.to_vec()))),
    ("merge", merge),
    ("nindent", |args| Ok(nindent(number(argument(args, 0)?)?, text(args, 1)?).into())),
    ("quote", |args| Ok(Value::from(shown(argument(args, 0)?)).to_string().into())),
    ("sha256sum", |args| Ok(Sha256::digest(text(args, 0)?).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())),
    ("toJson", |args| Ok(to_json(argument(args, 0)?).into())),
    ("toYaml", |args| to_yaml(argument(args, 0)?).map(Value::from).map_err(|error| error.to_string())),
    ("trimSuffix", |args| Ok(text(args, 1)?.strip_suffix(text(args, 0)?).unwrap_or(text(args, 1)?).into())),
];

/// A value as YAML, without a line's end behind it.
pub fn to_yaml(value: &impl Serialize) -> Result<String, serde_saphyr::ser::Error> {
    let mut options = SerializerOptions::default();
    // Lines are kept as they are.
    options.folded_wrap_chars = usize::MAX;
    let mut text = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut text, value, options)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

fn argument(args: &[Value], index: usize) -> Result<&Value, String> {
    args.get(index).ok_or_else(|| format!("argument {} is missing", index + 1))
}

fn text(args: &[Value], index: usize) -> Result<&str, String> {
    let value = argument(args, index)?;
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn number(value: &Value) -> Result<i64, String> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| format!("{value} is no whole number"))
}

/// As a template prints it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Go's notion: neither nothing, nor zero, nor empty.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(value) => !value.is_empty(),
        Value::Object(value) => !value.is_empty(),
    }
}

fn dict(args: &[Value]) -> Outcome {
    let pairs = (0..args.len()).step_by(2).map(|key| Ok((text(args, key)?.to_string(), argument(args, key + 1)?.clone())));
    pairs.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// Of a key that several maps have, the first map's value counts.
fn merge(args: &[Value]) -> Outcome {
    let mut merged = Map::new();
    for map in args.iter().rev() {
        merged.extend(map.as_object().ok_or_else(|| format!("{map} is no map"))?.clone());
    }
    Ok(Value::Object(merged))
}

fn from_yaml(text: &str) -> Outcome {
    match documents(text).into_iter().next() {
        Some(Ok(document)) => Ok(document.value),
        Some(Err(error)) => Err(error.message),
        None => Ok(Value::Null),
    }
}

fn nindent(spaces: i64, text: &str) -> String {
    let break_and_spaces = format!("\n{}", " ".repeat(usize::try_from(spaces).unwrap_or(0)));
    format!("{break_and_spaces}{}", text.replace('\n', &break_and_spaces))
}

/// Go writes what HTML would read as marks in numbers.
fn to_json(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
