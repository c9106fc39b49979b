//! The fields of a policy that a user writes, from the JSON Schema of its types.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One field.
pub struct Field {
    /// Where it stands, such as `canaries[].key[].cookie`.
    pub path: String,
    /// The names on the way to it.
    pub names: Vec<String>,
    pub doc: String,
    pub kind: String,
    pub is_required: bool,
    /// Whether it is one of several, of which one must be there.
    pub is_choice: bool,
    pub default: Option<Value>,
    /// The values that it may have, if they are few, and what each means.
    pub values: Vec<(String, String)>,
    /// The field whose fields it has, if these stand there already.
    pub same_as: Option<String>,
    /// Policies with an example of it each.
    pub examples: Vec<Value>,
    /// The first of them without it; nothing if it is none then.
    pub without: Option<Value>,
}

/// All fields, each before those that it holds, and those that must be there first.
pub struct Fields {
    pub all: Vec<Field>,
    /// Those that the control plane fills in.
    pub filled_in: Vec<String>,
    schema: Value,
    /// Where the fields of each type were told first.
    told: BTreeMap<String, String>,
}

/// An object on the way to a field, and the field's name in it.
#[derive(Clone)]
struct Step {
    object: Value,
    name: String,
    is_list: bool,
}

impl Fields {
    pub fn of(schema: &schemars::Schema) -> Self {
        let schema = schema.as_value().clone();
        let mut fields = Self { all: Vec::new(), filled_in: Vec::new(), schema: schema.clone(), told: BTreeMap::new() };
        fields.object(&schema, &[]);
        fields.filled_in.sort();
        fields
    }

    /// The fields of an object, or the kinds of one of several.
    fn object(&mut self, object: &Value, steps: &[Step]) {
        for variant in variants(object) {
            let name = variant["required"][0].as_str().unwrap();
            self.field(variant, name, variant, steps);
        }
        let Some(properties) = object["properties"].as_object() else { return };
        let is_first = |name: &&String| requires(object, name);
        for name in properties.keys().filter(is_first).chain(properties.keys().filter(|name| !is_first(name))) {
            self.field(object, name, &properties[name], steps);
        }
    }

    /// A field of an object; `about` has its doc and its examples.
    fn field(&mut self, object: &Value, name: &str, about: &Value, steps: &[Step]) {
        let (kind, type_name) = self.resolved(&object["properties"][name]);
        let (item, item_name) = if kind["type"] == "array" { self.resolved(&kind["items"]) } else { (kind.clone(), type_name) };
        let is_list = kind["type"] == "array";
        let steps = [steps, &[Step { object: object.clone(), name: name.into(), is_list }]].concat();
        let path = steps.iter().enumerate().map(|(place, step)| {
            let is_inside = place + 1 < steps.len();
            format!(
                "{}{}",
                step.name,
                if is_inside && step.is_list {
                    "[]."
                } else if is_inside {
                    "."
                } else {
                    ""
                }
            )
        });
        let path: String = path.collect();
        if about["readOnly"] == true {
            return self.filled_in.push(path);
        }
        let values = about["examples"].as_array().cloned().unwrap_or_default();
        // Of one kind of several the example is the whole of it.
        let values = values.into_iter().map(|value| if std::ptr::eq(about, object) { value[name].clone() } else { value });
        let examples: Vec<Value> = values.map(|value| self.policy(&steps, Some(value))).collect();
        let place = format!("{path}{}", if is_list { "[]" } else { "" });
        let same_as = item_name.as_ref().and_then(|name| self.told.get(name)).cloned();
        let of_type = if same_as.is_none() && item_name.is_some() { text(&item) } else { String::new() };
        self.all.push(Field {
            names: steps.iter().map(|step| step.name.clone()).collect(),
            doc: [text(about), of_type].join("\n\n").trim().into(),
            kind: kind_of(&kind, &item),
            is_required: requires(object, name),
            is_choice: std::ptr::eq(about, object),
            default: about.get("default").or_else(|| object["properties"][name].get("default")).cloned(),
            values: choices(&item),
            same_as: same_as.clone(),
            without: (!requires(object, name) && !examples.is_empty()).then(|| self.policy(&steps, None)),
            examples,
            path,
        });
        if same_as.is_none() {
            if let Some(name) = item_name.filter(|_| is_object(&item)) {
                self.told.insert(name, place);
            }
            self.object(&item, &steps);
        }
    }

    /// The policy in which this is the value of the last field on the way; without one, with the least that its object needs.
    fn policy(&self, steps: &[Step], value: Option<Value>) -> Value {
        let (last, before) = steps.split_last().unwrap();
        let mut inner = self.complete(&last.object, &last.name, value);
        for step in before.iter().rev() {
            let value = if step.is_list { json!([inner]) } else { inner };
            inner = self.complete(&step.object, &step.name, Some(value));
        }
        inner
    }

    /// An object with this member, or without it, in the type's own example (but for the whole policy), else beside the examples of all that it needs.
    fn complete(&self, object: &Value, name: &str, value: Option<Value>) -> Value {
        let own = object["examples"][0].as_object().filter(|_| object.get("$schema").is_none());
        let own = own.into_iter().flatten().map(|(name, value)| (name.as_str(), value.clone()));
        let mut members: BTreeMap<&str, Value> = own.filter(|(known, _)| *known != name).collect();
        let is_without = value.is_none();
        members.extend(value.map(|value| (name, value)));
        let needed = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in needed {
            members.entry(name).or_insert_with(|| object["properties"][name]["examples"][0].clone());
        }
        let alternatives: Vec<&str> = ["oneOf", "anyOf"]
            .iter()
            .flat_map(|key| object[key].as_array().into_iter().flatten())
            .filter(|alternative| alternative.get("properties").is_none())
            .filter_map(|alternative| alternative["required"][0].as_str())
            .collect();
        if let Some(first) = alternatives.first().filter(|_| !is_without && !alternatives.iter().any(|name| members.contains_key(name))) {
            members.insert(first, object["properties"][first]["examples"][0].clone());
        }
        let properties = object["properties"].as_object().unwrap();
        let ordered = properties.keys().filter_map(|name| Some((name.clone(), members.get(name.as_str())?.clone())));
        Value::Object(ordered.collect::<Map<_, _>>())
    }

    /// A schema with what it refers to in its place, and the name of that; `null` is left out.
    fn resolved(&self, schema: &Value) -> (Value, Option<String>) {
        let options = schema["anyOf"].as_array().into_iter().flatten();
        let referred = options.chain([schema]).find_map(|option| option["$ref"].as_str());
        match referred.and_then(|referred| referred.strip_prefix("#/$defs/")) {
            Some(name) => (self.schema["$defs"][name].clone(), Some(name.into())),
            None => {
                let mut schema = schema.clone();
                if let Some(types) = schema["type"].as_array() {
                    schema["type"] = types.iter().find(|name| *name != "null").cloned().unwrap_or_default();
                }
                (schema, None)
            }
        }
    }
}

/// The kinds of an object that is one of several.
fn variants(object: &Value) -> impl Iterator<Item = &Value> {
    object["oneOf"].as_array().into_iter().flatten().filter(|variant| variant.get("properties").is_some())
}

fn requires(object: &Value, name: &str) -> bool {
    object["required"].as_array().into_iter().flatten().any(|required| required == name)
}

fn is_object(schema: &Value) -> bool {
    schema.get("properties").is_some() || variants(schema).next().is_some()
}

fn text(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// The texts that a value may be.
fn choices(schema: &Value) -> Vec<(String, String)> {
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    let told = constants.filter_map(|choice| Some((choice["const"].as_str()?.to_string(), text(choice))));
    let bare = schema["enum"].as_array().into_iter().flatten();
    told.chain(bare.filter_map(|choice| Some((choice.as_str()?.to_string(), String::new())))).collect()
}

fn kind_of(schema: &Value, item: &Value) -> String {
    let name = |schema: &Value| match schema["type"].as_str() {
        _ if !choices(schema).is_empty() => choices(schema).iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
        _ if is_object(schema) => "object".into(),
        Some("integer") => match (schema.get("const"), schema.get("minimum"), schema.get("maximum")) {
            (Some(only), ..) => format!("the number {only}"),
            (None, Some(least), Some(most)) => format!("whole number from {least} to {most}"),
            _ => "whole number".into(),
        },
        Some("number") => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(least), Some(most)) => format!("number from {least} to {most}"),
            _ => "number".into(),
        },
        Some(kind) => kind.into(),
        None => panic!("no type: {schema}"),
    };
    if schema["type"] == "array" { format!("list of {}s", name(item)) } else { name(schema) }
}
