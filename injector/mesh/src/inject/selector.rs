//! Label selectors as Kubernetes has them.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A label selector: all of its conditions hold. One without conditions selects nothing, as in Istio's injector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    /// Labels and the values that they have.
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions.
    pub match_expressions: Vec<Expression>,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "operator")]
pub enum Expression {
    /// The label is there with one of the values.
    In {
        /// The label.
        key: String,
        /// The values.
        values: Vec<String>,
    },
    /// The label is not there, or has another value.
    NotIn {
        /// The label.
        key: String,
        /// The values.
        values: Vec<String>,
    },
    /// The label is there.
    Exists {
        /// The label.
        key: String,
    },
    /// The label is not there.
    DoesNotExist {
        /// The label.
        key: String,
    },
}

impl Selector {
    /// Whether an object with these labels is selected.
    pub fn selects(&self, labels: Option<&Map<String, Value>>) -> bool {
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let is_one_of = |key: &str, values: &[String]| label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value));
        let holds = |expression: &Expression| match expression {
            Expression::In { key, values } => is_one_of(key, values),
            Expression::NotIn { key, values } => !is_one_of(key, values),
            Expression::Exists { key } => label(key).is_some(),
            Expression::DoesNotExist { key } => label(key).is_none(),
        };
        let is_empty = self.match_labels.is_empty() && self.match_expressions.is_empty();
        !is_empty && self.match_labels.iter().all(|(key, value)| label(key) == Some(value)) && self.match_expressions.iter().all(holds)
    }
}
