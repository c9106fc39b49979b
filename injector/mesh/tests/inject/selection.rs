//! Who gets a proxy.

use super::values;
use serde_json::{Value, json};
use std::borrow::Cow;
use weir_mesh::inject::{Namespace, Selection, Values, Why, WhyNot, select};

fn decide(namespace: (&str, &[(&str, &str)]), pod: &Value, values: &Values) -> Selection {
    let labels = namespace.1.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    select(pod, &Namespace { name: namespace.0, labels: Cow::Owned(labels) }, values)
}

fn labelled(labels: Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": []}})
}

const PLAIN: (&str, &[(&str, &str)]) = ("shop", &[]);
const ENABLED: (&str, &[(&str, &str)]) = ("shop", &[("istio-injection", "enabled")]);
const DISABLED: (&str, &[(&str, &str)]) = ("shop", &[("istio-injection", "disabled")]);
const DEFAULT_REVISION: (&str, &[(&str, &str)]) = ("shop", &[("istio.io/rev", "default")]);
const OTHER_REVISION: (&str, &[(&str, &str)]) = ("shop", &[("istio.io/rev", "other")]);

#[test]
fn labels_decide_as_in_istio() {
    use Selection::{Inject, Skip};
    let values = Values::default();
    let inject = "sidecar.istio.io/inject";
    for (namespace, labels, expected) in [
        (PLAIN, json!({}), Skip(WhyNot::NotAsked)),
        (PLAIN, json!({inject: "true"}), Inject(Why::Pod)),
        (PLAIN, json!({inject: "yes"}), Skip(WhyNot::Label("yes".into()))),
        (PLAIN, json!({inject: "false"}), Skip(WhyNot::Label("false".into()))),
        (PLAIN, json!({"istio.io/rev": "default"}), Inject(Why::PodRevision)),
        (PLAIN, json!({"istio.io/rev": "default", inject: "false"}), Skip(WhyNot::Label("false".into()))),
        (PLAIN, json!({"istio.io/rev": "other", inject: "true"}), Skip(WhyNot::PodRevision("other".into()))),
        (ENABLED, json!({}), Inject(Why::Namespace)),
        (ENABLED, json!({inject: "ON"}), Inject(Why::Namespace)),
        (ENABLED, json!({inject: ""}), Inject(Why::Namespace)),
        (ENABLED, json!({inject: "no"}), Skip(WhyNot::Label("no".into()))),
        (ENABLED, json!({"istio.io/rev": "other"}), Inject(Why::Namespace)),
        (DISABLED, json!({inject: "true"}), Skip(WhyNot::Namespace("disabled".into()))),
        (DISABLED, json!({"istio.io/rev": "default"}), Skip(WhyNot::Namespace("disabled".into()))),
        (DEFAULT_REVISION, json!({}), Inject(Why::NamespaceRevision)),
        (OTHER_REVISION, json!({inject: "true"}), Skip(WhyNot::NamespaceRevision("other".into()))),
    ] {
        assert_eq!(decide(namespace, &labelled(labels.clone()), &values), expected, "{namespace:?} {labels}");
    }
}

#[test]
fn another_revision_than_the_default_answers_to_its_name_alone() {
    use Selection::{Inject, Skip};
    let values = values("revision: other");
    for (namespace, labels, expected) in [
        (ENABLED, json!({}), Skip(WhyNot::Namespace("enabled".into()))),
        (OTHER_REVISION, json!({}), Inject(Why::NamespaceRevision)),
        (PLAIN, json!({"istio.io/rev": "other"}), Inject(Why::PodRevision)),
        (PLAIN, json!({"sidecar.istio.io/inject": "true"}), Skip(WhyNot::NotAsked)),
    ] {
        assert_eq!(decide(namespace, &labelled(labels.clone()), &values), expected, "{namespace:?} {labels}");
    }
}

#[test]
fn every_namespace_is_asked_where_that_is_the_default() {
    let values = values("enableNamespacesByDefault: true");
    let decide = |namespace, labels: Value| decide(namespace, &labelled(labels), &values);
    assert_eq!(decide(PLAIN, json!({})), Selection::Inject(Why::EveryNamespace));
    assert_eq!(decide(PLAIN, json!({"sidecar.istio.io/inject": "false"})), Selection::Skip(WhyNot::Label("false".into())));
    assert_eq!(decide(DISABLED, json!({})), Selection::Skip(WhyNot::Namespace("disabled".into())));
}

#[test]
fn the_label_beats_the_annotation_which_beats_the_selectors() {
    let values = values(
        "neverInjectSelector: [{matchLabels: {app: batch}}, {}]\nalwaysInjectSelector: [{matchExpressions: [{key: tier, operator: In, values: [web]}]}]",
    );
    let annotated = |labels: Value, annotation: &str| {
        let mut pod = labelled(labels);
        pod["metadata"]["annotations"] = json!({"sidecar.istio.io/inject": annotation});
        pod
    };
    for (namespace, pod, expected) in [
        (ENABLED, annotated(json!({}), "false"), Selection::Skip(WhyNot::Annotation("false".into()))),
        (ENABLED, annotated(json!({"sidecar.istio.io/inject": "true"}), "false"), Selection::Inject(Why::Namespace)),
        (ENABLED, annotated(json!({"app": "batch"}), "true"), Selection::Inject(Why::Namespace)),
        (ENABLED, annotated(json!({"app": "batch"}), ""), Selection::Skip(WhyNot::NeverInjectSelector)),
        (ENABLED, labelled(json!({"app": "web"})), Selection::Inject(Why::Namespace)),
        (PLAIN, annotated(json!({}), "true"), Selection::Skip(WhyNot::NotAsked)),
        (PLAIN, labelled(json!({"tier": "web"})), Selection::Inject(Why::AlwaysInjectSelector)),
        (PLAIN, labelled(json!({"tier": "web", "app": "batch"})), Selection::Skip(WhyNot::NeverInjectSelector)),
        (DISABLED, labelled(json!({"tier": "web"})), Selection::Skip(WhyNot::Namespace("disabled".into()))),
    ] {
        assert_eq!(decide(namespace, &pod, &values), expected, "{pod}");
    }
}

#[test]
fn selectors_are_kubernetes() {
    let selects = |expression: &str, labels: Value| {
        let values = values(&format!("neverInjectSelector: [{{matchExpressions: [{expression}]}}]"));
        decide(ENABLED, &labelled(labels), &values) == Selection::Skip(WhyNot::NeverInjectSelector)
    };
    for (expression, labels, expected) in [
        ("{key: a, operator: In, values: [x, y]}", json!({"a": "y"}), true),
        ("{key: a, operator: In, values: [x, y]}", json!({}), false),
        ("{key: a, operator: NotIn, values: [x]}", json!({"a": "y"}), true),
        ("{key: a, operator: NotIn, values: [x]}", json!({}), true),
        ("{key: a, operator: Exists}", json!({"a": ""}), true),
        ("{key: a, operator: DoesNotExist}", json!({"a": ""}), false),
    ] {
        assert_eq!(selects(expression, labels.clone()), expected, "{expression} {labels}");
    }
}

#[test]
fn some_pods_are_left_alone_whatever_they_ask() {
    let values = Values::default();
    let mut host = labelled(json!({"sidecar.istio.io/inject": "true"}));
    host["spec"]["hostNetwork"] = true.into();
    assert_eq!(decide(ENABLED, &host, &values), Selection::Skip(WhyNot::HostNetwork));
    for name in ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"] {
        let pod = labelled(json!({"sidecar.istio.io/inject": "true"}));
        assert_eq!(decide((name, &[]), &pod, &values), Selection::Skip(WhyNot::SystemNamespace(name.into())));
    }
    let own = ("weir-system", ENABLED.1);
    assert_eq!(decide(own, &labelled(json!({})), &values), Selection::Skip(WhyNot::OwnNamespace("weir-system".into())));
    let mut istios = labelled(json!({}));
    istios["metadata"]["annotations"] = json!({"sidecar.istio.io/status": "{\"containers\":[\"istio-proxy\"],\"revision\":\"default\"}"});
    assert_eq!(decide(ENABLED, &istios, &values), Selection::Skip(WhyNot::OtherInjector));
}

#[test]
fn says_why_in_a_sentence() {
    let values = Values::default();
    for (namespace, pod, expected) in [
        (ENABLED, labelled(json!({})), "the pod gets a proxy: its namespace has the label istio-injection=enabled"),
        (
            PLAIN,
            labelled(json!({})),
            "the pod gets no proxy: nothing asks for one; label its namespace istio-injection=enabled, or the pod sidecar.istio.io/inject=true",
        ),
        (DISABLED, labelled(json!({})), "the pod gets no proxy: its namespace has the label istio-injection=disabled"),
    ] {
        assert_eq!(decide(namespace, &pod, &values).to_string(), expected);
    }
}
