//! A container's environment: plain values, `$(NAME)` references, and the pod's own fields (the downward API).

use crate::up::plan::Labels;
use k8s_openapi::api::core::v1::Container;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, in which `$(NAME)` stands for an earlier variable.
    Text(String),
    /// A field of the pod, such as `metadata.name`.
    Field(String),
}

/// What a pod's fields are, once it runs.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// metadata.name
    pub name: &'a str,
    /// metadata.namespace
    pub namespace: &'a str,
    /// metadata.labels
    pub labels: &'a Labels,
    /// metadata.annotations
    pub annotations: &'a Labels,
    /// spec.serviceAccountName
    pub service_account: &'a str,
    /// spec.nodeName
    pub node: &'a str,
    /// status.podIP
    pub ip: Ipv4Addr,
    /// status.hostIP
    pub host: Ipv4Addr,
}

/// Reads a container's variables. What comes from elsewhere (ConfigMap, Secret) is left out, with a note.
pub fn plan(object: &str, container: &Container, notes: &mut Vec<String>) -> Vec<Variable> {
    let mut variables = Vec::new();
    for variable in container.env.iter().flatten() {
        let field = variable.value_from.as_ref().and_then(|source| source.field_ref.as_ref()).map(|field| field.field_path.clone());
        let value = match (field, &variable.value_from) {
            (Some(path), _) => {
                if !is_known(&path) {
                    notes.push(format!(
                        "{object}: variable {} of container {} is empty: there is no field {path} here",
                        variable.name, container.name
                    ));
                }
                Value::Field(path)
            }
            (None, None) => Value::Text(variable.value.clone().unwrap_or_default()),
            (None, Some(_)) => {
                notes.push(format!(
                    "{object}: variable {} of container {} is left out: only values and fieldRef are known here",
                    variable.name, container.name
                ));
                continue;
            }
        };
        variables.push(Variable { name: variable.name.clone(), value });
    }
    if container.env_from.as_ref().is_some_and(|sources| !sources.is_empty()) {
        notes.push(format!("{object}: envFrom of container {} is left out: ConfigMaps and Secrets are not known here", container.name));
    }
    variables
}

/// Whether [`Fields`] has the field at `path`.
fn is_known(path: &str) -> bool {
    let fields = [
        "metadata.name",
        "metadata.uid",
        "metadata.namespace",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.podIP",
        "status.podIPs",
        "status.hostIP",
        "status.hostIPs",
    ];
    let entry = |start: &str| path.strip_prefix(start).is_some_and(|rest| rest.ends_with("']"));
    fields.contains(&path) || entry("metadata.labels['") || entry("metadata.annotations['")
}

/// The variables with their values.
pub fn resolve(variables: &[Variable], fields: &Fields<'_>) -> BTreeMap<String, String> {
    let mut resolved = BTreeMap::new();
    for variable in variables {
        let value = match &variable.value {
            Value::Text(text) => expand(text, &resolved),
            Value::Field(path) => fields.get(path),
        };
        resolved.insert(variable.name.clone(), value);
    }
    resolved
}

/// Replaces `$(NAME)` by the variable of that name; `$$` is one `$`; what is not known stays, as in Kubernetes.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((value, after)) = reference(rest, variables) {
            result.push_str(value);
            rest = after;
        } else {
            result.push('$');
        }
    }
    result + rest
}

fn reference<'a>(text: &'a str, variables: &'a BTreeMap<String, String>) -> Option<(&'a str, &'a str)> {
    let (name, after) = text.strip_prefix('(')?.split_once(')')?;
    Some((variables.get(name)?, after))
}

impl Fields<'_> {
    /// The field at `path`; an unknown one is empty.
    fn get(&self, path: &str) -> String {
        match path {
            "metadata.name" | "metadata.uid" => self.name.into(),
            "metadata.namespace" => self.namespace.into(),
            "spec.nodeName" => self.node.into(),
            "spec.serviceAccountName" => self.service_account.into(),
            "status.podIP" | "status.podIPs" => self.ip.to_string(),
            "status.hostIP" | "status.hostIPs" => self.host.to_string(),
            _ => {
                let entry = |of: &Labels, start: &str| {
                    path.strip_prefix(start)?.strip_suffix("']").map(|key| of.get(key).cloned().unwrap_or_default())
                };
                entry(self.labels, "metadata.labels['").or_else(|| entry(self.annotations, "metadata.annotations['")).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_fields_are_filled_in_as_kubernetes_does() {
        let labels = Labels::from([("version".into(), "v2".into())]);
        let annotations = Labels::from([("a/b".into(), "c".into())]);
        let fields = Fields {
            name: "reviews-0",
            namespace: "books",
            labels: &labels,
            annotations: &annotations,
            service_account: "sa",
            node: "node-a",
            ip: Ipv4Addr::new(198, 18, 0, 7),
            host: Ipv4Addr::new(198, 18, 0, 1),
        };
        let variable = |(name, value): (&str, &str)| Variable {
            name: name.into(),
            value: value.strip_prefix('@').map_or_else(|| Value::Text(value.into()), |path| Value::Field(path.into())),
        };
        let variables = [
            ("POD", "@metadata.name"),
            ("NAMESPACE", "@metadata.namespace"),
            ("VERSION", "@metadata.labels['version']"),
            ("MISSING", "@metadata.labels['x']"),
            ("NOTE", "@metadata.annotations['a/b']"),
            ("IP", "@status.podIP"),
            ("NODE", "@spec.nodeName"),
            ("URL", "http://$(IP):80/$(LATER)/$$(IP)/$x"),
            ("LATER", "$(URL)!"),
        ]
        .map(variable);
        let expected = [
            ("POD", "reviews-0"),
            ("NAMESPACE", "books"),
            ("VERSION", "v2"),
            ("MISSING", ""),
            ("NOTE", "c"),
            ("IP", "198.18.0.7"),
            ("NODE", "node-a"),
            ("URL", "http://198.18.0.7:80/$(LATER)/$(IP)/$x"),
            ("LATER", "http://198.18.0.7:80/$(LATER)/$(IP)/$x!"),
        ];
        let expected: BTreeMap<String, String> = expected.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(resolve(&variables, &fields), expected);
    }
}
