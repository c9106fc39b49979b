//! Whether a pod gets a proxy, and why, by Istio's rules.
//!
//! Istio has them in two places: which pods the API server shows the webhook (the selectors in its mutatingwebhook.yaml), and what
//! the webhook does with those (pkg/kube/inject/inject.go, injectRequired). Here they are one function, so that the webhook,
//! `weir inject` and an explanation agree whatever the selectors let through.

use super::selector::Selector;
use super::status::{self, Status};
use super::values::Values;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The label of namespaces: `enabled`, or anything else for no.
pub const INJECTION_LABEL: &str = "istio-injection";
/// The label of namespaces and pods that names a revision.
pub const REVISION_LABEL: &str = "istio.io/rev";
/// The label of pods, and the older annotation: yes or no.
pub const INJECT: &str = "sidecar.istio.io/inject";

/// Namespaces of Kubernetes itself.
const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// A namespace, as far as injection asks.
#[derive(Clone, Debug)]
pub struct Namespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: Cow<'a, BTreeMap<String, String>>,
}

/// Whether a pod gets a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It does.
    Inject(Why),
    /// It does not.
    Skip(WhyNot),
}

/// Why a pod gets a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The namespace is labelled `istio-injection: enabled`.
    Namespace,
    /// The namespace names our revision.
    NamespaceRevision,
    /// The pod names our revision.
    PodRevision,
    /// The pod is labelled `sidecar.istio.io/inject: "true"`.
    Pod,
    /// It matches alwaysInjectSelector.
    AlwaysInjectSelector,
    /// enableNamespacesByDefault is on.
    EveryNamespace,
}

/// Why a pod gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It uses the node's network.
    HostNetwork,
    /// Its namespace is one of Kubernetes'.
    SystemNamespace(String),
    /// Its namespace is the control plane's.
    OwnNamespace(String),
    /// Its namespace is labelled `istio-injection` with another value than `enabled`.
    Namespace(String),
    /// Its namespace names another revision.
    NamespaceRevision(String),
    /// The pod names another revision.
    PodRevision(String),
    /// The pod's label says so.
    Label(String),
    /// The pod's annotation says so.
    Annotation(String),
    /// It matches neverInjectSelector.
    NeverInjectSelector,
    /// Another mesh's injector was here.
    OtherInjector,
    /// Nothing asks for it.
    NotAsked,
}

impl<'a> Namespace<'a> {
    /// A namespace whose labels ask for injection: what a user means who runs `weir inject`.
    pub fn asking(name: &'a str, values: &Values) -> Self {
        let label = match values.revision() {
            "default" => (INJECTION_LABEL.to_string(), "enabled".to_string()),
            revision => (REVISION_LABEL.to_string(), revision.to_string()),
        };
        Namespace { name, labels: Cow::Owned(BTreeMap::from([label])) }
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }
}

/// Decides about a pod. `pod` is a Pod or a pod template: an object with `metadata` and `spec`.
pub fn select(pod: &Value, namespace: &Namespace, values: &Values) -> Selection {
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
    match shown(labels, namespace, values) {
        Ok(why) => refused(pod, labels, namespace, values).map_or(Selection::Inject(why), Selection::Skip),
        Err(why_not) => Selection::Skip(why_not),
    }
}

/// Whether Istio's API server would show the pod to the webhook.
fn shown(labels: Option<&Map<String, Value>>, namespace: &Namespace, values: &Values) -> Result<Why, WhyNot> {
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).and_then(Value::as_str);
    let is_default = values.revision() == "default";
    if let Some(injection) = namespace.label(INJECTION_LABEL) {
        let asks = injection == "enabled" && is_default;
        return if asks { Ok(Why::Namespace) } else { Err(WhyNot::Namespace(injection.into())) };
    }
    if let Some(revision) = namespace.label(REVISION_LABEL) {
        let asks = revision == values.revision();
        return if asks { Ok(Why::NamespaceRevision) } else { Err(WhyNot::NamespaceRevision(revision.into())) };
    }
    if let Some(revision) = label(REVISION_LABEL) {
        let asks = revision == values.revision();
        return if asks { Ok(Why::PodRevision) } else { Err(WhyNot::PodRevision(revision.into())) };
    }
    match label(INJECT) {
        _ if !is_default => Err(WhyNot::NotAsked),
        Some("true") => Ok(Why::Pod),
        // Istio's webhook never sees such a pod, so that its alwaysInjectSelector has no effect; here it has one.
        None if selected(&values.always_inject_selector, labels) => Ok(Why::AlwaysInjectSelector),
        None if values.enable_namespaces_by_default => Ok(Why::EveryNamespace),
        Some(value) if !value.is_empty() => Err(WhyNot::Label(value.into())),
        _ => Err(WhyNot::NotAsked),
    }
}

/// Why the webhook would leave a pod that it is shown.
fn refused(pod: &Value, labels: Option<&Map<String, Value>>, namespace: &Namespace, values: &Values) -> Option<WhyNot> {
    if pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)) {
        return Some(WhyNot::HostNetwork);
    }
    if SYSTEM.contains(&namespace.name) {
        return Some(WhyNot::SystemNamespace(namespace.name.into()));
    }
    if namespace.name == values.namespace {
        return Some(WhyNot::OwnNamespace(namespace.name.into()));
    }
    if status::text(pod).is_some() && Status::of(pod).is_none() {
        return Some(WhyNot::OtherInjector);
    }
    let annotation = pod.pointer("/metadata/annotations").and_then(|annotations| annotations.get(INJECT)).and_then(Value::as_str);
    match labels.and_then(|labels| labels.get(INJECT)).and_then(Value::as_str) {
        Some("") => {}
        Some(value) => return (!is_yes(value)).then(|| WhyNot::Label(value.into())),
        None => match annotation {
            None | Some("") => {}
            Some(value) => return (!is_yes(value)).then(|| WhyNot::Annotation(value.into())),
        },
    }
    selected(&values.never_inject_selector, labels).then_some(WhyNot::NeverInjectSelector)
}

fn selected(selectors: &[Selector], labels: Option<&Map<String, Value>>) -> bool {
    selectors.iter().any(|selector| selector.selects(labels))
}

fn is_yes(value: &str) -> bool {
    ["y", "yes", "true", "on"].iter().any(|yes| yes.eq_ignore_ascii_case(value))
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selection::Inject(why) => why.fmt(f),
            Selection::Skip(why_not) => why_not.fmt(f),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pod gets a proxy: ")?;
        f.write_str(match self {
            Why::Namespace => "its namespace has the label istio-injection=enabled",
            Why::NamespaceRevision => "its namespace names this revision by the label istio.io/rev",
            Why::PodRevision => "it names this revision by the label istio.io/rev",
            Why::Pod => "it has the label sidecar.istio.io/inject=true",
            Why::AlwaysInjectSelector => "it matches alwaysInjectSelector",
            Why::EveryNamespace => "enableNamespacesByDefault is on",
        })
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pod gets no proxy: ")?;
        match self {
            WhyNot::HostNetwork => f.write_str("it uses its node's network (hostNetwork), where redirection would catch the whole node"),
            WhyNot::SystemNamespace(name) => write!(f, "the namespace {name} is Kubernetes' own"),
            WhyNot::OwnNamespace(name) => write!(f, "the namespace {name} is the control plane's own"),
            WhyNot::Namespace(value) if value == "enabled" => {
                f.write_str("istio-injection=enabled on its namespace asks the default revision, which this is not")
            }
            WhyNot::Namespace(value) => write!(f, "its namespace has the label istio-injection={value}"),
            WhyNot::NamespaceRevision(revision) => write!(f, "its namespace belongs to the revision {revision} (label istio.io/rev)"),
            WhyNot::PodRevision(revision) => write!(f, "it belongs to the revision {revision} (label istio.io/rev)"),
            WhyNot::Label(value) => write!(f, "it has the label sidecar.istio.io/inject={value}"),
            WhyNot::Annotation(value) => write!(f, "it has the annotation sidecar.istio.io/inject: {value}"),
            WhyNot::NeverInjectSelector => f.write_str("it matches neverInjectSelector"),
            WhyNot::OtherInjector => f.write_str("its annotation sidecar.istio.io/status says that another mesh's proxy is in it"),
            WhyNot::NotAsked => {
                f.write_str("nothing asks for one; label its namespace istio-injection=enabled, or the pod sidecar.istio.io/inject=true")
            }
        }
    }
}
