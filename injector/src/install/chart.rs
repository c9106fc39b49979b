//! The Helm chart inside this program, and its rendering.

use super::functions::FUNCTIONS;
use super::values::Values;
use anyhow::{Context, anyhow};
use gotmpl::{Template, TemplateError};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock, Weak};
use weir_mesh::object::documents;

macro_rules! chart {
    ($($path:literal),* $(,)?) => { [$(($path, include_str!(concat!("../../../deploy/chart/", $path)))),*] };
}

/// The defaults of all values.
pub const VALUES: &str = include_str!("../../../deploy/chart/values.yaml");
/// What templates share.
pub const HELPERS: [(&str, &str); 2] = chart!["templates/_helpers.tpl", "templates/injection/_webhook.tpl"];
/// Templates of objects. Those of `helm test` are Helm's alone.
pub const TEMPLATES: [(&str, &str); 18] = chart![
    "templates/control-plane/clusterrole.yaml",
    "templates/control-plane/configmap.yaml",
    "templates/control-plane/deployment.yaml",
    "templates/control-plane/horizontalpodautoscaler.yaml",
    "templates/control-plane/networkpolicy.yaml",
    "templates/control-plane/poddisruptionbudget.yaml",
    "templates/control-plane/role.yaml",
    "templates/control-plane/service.yaml",
    "templates/control-plane/serviceaccount.yaml",
    "templates/control-plane/servicemonitor.yaml",
    "templates/ingress-gateway/deployment.yaml",
    "templates/ingress-gateway/horizontalpodautoscaler.yaml",
    "templates/ingress-gateway/networkpolicy.yaml",
    "templates/ingress-gateway/poddisruptionbudget.yaml",
    "templates/ingress-gateway/service.yaml",
    "templates/ingress-gateway/serviceaccount.yaml",
    "templates/injection/mutatingwebhook.yaml",
    "templates/injection/validatingwebhook.yaml",
];

/// The order in which objects are applied, which is Helm's: nothing comes before what it needs, webhooks come after who answers them.
const ORDER: [&str; 14] = [
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "Deployment",
    "HorizontalPodAutoscaler",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ServiceMonitor",
];

/// What the templates know as `.Release`.
pub struct Release<'a> {
    /// In labels alone.
    pub name: &'a str,
    /// The namespace of all that has one.
    pub namespace: &'a str,
    /// Who installs.
    pub service: &'a str,
}

/// The chart's objects, in the order in which they are applied.
pub fn render(values: &Values, release: &Release) -> anyhow::Result<Vec<Value>> {
    let data = gotmpl::to_value(&json!({
        "Values": values,
        "Release": {"Name": release.name, "Namespace": release.namespace, "Service": release.service},
        "Chart": {"Name": "weir", "Version": env!("CARGO_PKG_VERSION"), "AppVersion": env!("CARGO_PKG_VERSION")},
    }))?;
    let helpers = helpers()?;
    let mut objects = Vec::new();
    for (path, text) in TEMPLATES {
        let rendered = Template::clone(&helpers).parse(text).and_then(|template| template.execute_to_string(&data)).context(path)?;
        for document in documents(&rendered) {
            objects.push(document.map_err(|error| anyhow!("{path}: {}\n{}", error.message, error.snippet))?.value);
        }
    }
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let place = |kind: &str| ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len());
    objects.sort_by_cached_key(|object| (place(&text(object, "/kind")), text(object, "/metadata/name")));
    Ok(objects)
}

/// All definitions and functions.
fn helpers() -> Result<Arc<Template>, TemplateError> {
    let this = Arc::new(OnceLock::<Weak<Template>>::new());
    let mut template = Template::new("weir");
    for (name, function) in FUNCTIONS {
        template = template.func(name, move |args| {
            let args: Vec<Value> = args.iter().map(plain).collect();
            gotmpl::to_value(&function(&args).map_err(|error| TemplateError::Exec(format!("{name}: {error}")))?)
        });
    }
    let included = this.clone();
    template = template.func("include", move |args| {
        let helpers = included.get().and_then(Weak::upgrade);
        let (Some(helpers), [name, data]) = (helpers, args) else {
            return Err(TemplateError::Exec("include takes a name and a value".into()));
        };
        Ok(helpers.execute_template_to_string(&name.to_string(), data)?.into())
    });
    for (_, text) in HELPERS {
        template = template.parse(text)?;
    }
    let template = Arc::new(template);
    this.get_or_init(|| Arc::downgrade(&template));
    Ok(template)
}

/// A template's value as JSON has it.
fn plain(value: &gotmpl::Value) -> Value {
    match value {
        gotmpl::Value::Nil | gotmpl::Value::Function(_) => Value::Null,
        gotmpl::Value::Bool(value) => (*value).into(),
        gotmpl::Value::Int(value) => (*value).into(),
        gotmpl::Value::Uint(value) => (*value).into(),
        gotmpl::Value::Float(value) => (*value).into(),
        gotmpl::Value::String(value) => Value::String(value.to_string()),
        gotmpl::Value::List(items) => items.iter().map(plain).collect(),
        gotmpl::Value::Map(map) => map.iter().map(|(key, value)| (key.to_string(), plain(value))).collect(),
    }
}
