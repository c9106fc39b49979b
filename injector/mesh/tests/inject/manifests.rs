//! Injection of files.

use super::CA;
use weir_mesh::finding::Severity;
use weir_mesh::inject::Values;
use weir_mesh::inject::manifest::{self, Output, Request};
use weir_mesh::object::SourceFile;

fn file(text: &str) -> SourceFile {
    SourceFile { path: "f.yaml".into(), text: text.into() }
}

fn injected(text: &str) -> Output {
    manifest::inject(&file(text), &Request { namespace: "default", values: &Values::default(), ca: Some(CA) })
}

fn findings(output: &Output) -> Vec<String> {
    output.findings.iter().map(ToString::to_string).collect()
}

const TEMPLATE: &str = "metadata: {labels: {app: a}}\nspec:\n  containers:\n  - name: app\n    image: \"yes\"\n    args: [\"0644\", \"1e3\", \"\", \" x\", \"a: b\", \"#\"]\n    env:\n    - {name: LONG, value: \"many words many words many words many words many words many words many words many words\"}\n    - {name: LINES, value: \"a\\nb\\n\"}\n";

fn within(head: &str, indent: usize, template: &str) -> String {
    head.to_string() + &template.lines().map(|line| format!("{}{line}\n", " ".repeat(indent))).collect::<String>()
}

fn all_kinds() -> Vec<String> {
    let workload = |api: &str, kind: &str| {
        within(&format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  replicas: 1\n  template:\n"), 4, TEMPLATE)
    };
    vec![
        format!("apiVersion: v1\nkind: Pod\n{TEMPLATE}"),
        workload("v1", "ReplicationController"),
        workload("apps/v1", "Deployment"),
        workload("apps/v1", "StatefulSet"),
        workload("apps/v1", "DaemonSet"),
        workload("apps/v1", "ReplicaSet"),
        workload("batch/v1", "Job"),
        workload("argoproj.io/v1alpha1", "Rollout"),
        within(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec:\n  jobTemplate:\n    spec:\n      template:\n",
            8,
            TEMPLATE,
        ),
    ]
}

fn value(text: &str) -> serde_json::Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn every_kind_with_a_pod_template_is_injected_and_taken_back() {
    for text in all_kinds() {
        let output = injected(&text);
        assert_eq!(findings(&output), [""; 0], "{text}");
        assert!(output.text.contains("name: istio-proxy"), "{}", output.text);
        let back = manifest::uninject(&file(&output.text));
        assert_eq!(value(&back.text).to_string(), value(&text).to_string(), "fields in their order");
        assert_eq!(injected(&output.text).text, output.text, "once is enough");
    }
}

#[test]
fn other_documents_keep_their_text_and_their_place() {
    let service = "# the service\napiVersion: v1\nkind: Service # a comment\nmetadata:\n    name: a\n";
    let text = format!(
        "{service}--- # next\n{}---\n---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\ndata: {{a: \"x\\n--- y\"}}",
        all_kinds()[2]
    );
    let output = injected(&text);
    assert!(output.text.starts_with(&format!("{service}---\napiVersion: apps/v1\nkind: Deployment\n")), "{}", output.text);
    assert!(
        output.text.ends_with("---\n---\n# nothing\n---\napiVersion: v1\nkind: ConfigMap\ndata: {a: \"x\\n--- y\"}"),
        "{}",
        output.text
    );
}

#[test]
fn lists_are_injected_item_by_item() {
    let item = |text: &str| format!("- {}", text.trim_end().replace('\n', "\n  "));
    let kinds = all_kinds();
    let text =
        format!("apiVersion: v1\nkind: List\nitems:\n{}\n- {{apiVersion: v1, kind: Service}}\n{}\n", item(&kinds[0]), item(&kinds[2]));
    let output = injected(&text);
    assert_eq!(output.text.matches("name: istio-proxy").count(), 2, "{}", output.text);
    assert_eq!(value(&manifest::uninject(&file(&output.text)).text), value(&text));
}

#[test]
fn json_is_read_too() {
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}"#;
    assert!(injected(text).text.contains("- name: istio-proxy\n"));
}

#[test]
fn what_is_not_injected_is_said_with_its_place() {
    let deployment = all_kinds()[2].replace("labels: {app: a}", "labels: {sidecar.istio.io/inject: \"false\"}");
    let output = injected(&format!("# first\n---\n{deployment}"));
    assert_eq!(findings(&output), ["f.yaml:3:1: info Deployment a: the pod gets no proxy: it has the label sidecar.istio.io/inject=false"]);
    assert!(output.text.ends_with(&deployment));
}

#[test]
fn errors_name_the_object_and_the_annotation() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b, annotations: {sidecar.istio.io/proxyCPU: lots}}\nspec: {containers: [{name: a}]}\n";
    assert_eq!(
        findings(&injected(pod)),
        ["f.yaml:1:1: error Pod b/a annotation sidecar.istio.io/proxyCPU: \"lots\" is not a quantity such as 100m, 2 or 128Mi"]
    );
    let broken = injected("a: 1\n---\nb: [\n");
    assert!(findings(&broken)[0].starts_with("f.yaml:") && findings(&broken)[0].contains("this is not YAML"), "{broken:?}");
    let request = Request { namespace: "default", values: &Values::default(), ca: None };
    let without = manifest::inject(&file(&all_kinds()[0]), &request);
    assert_eq!(without.findings[0].severity, Severity::Error);
}

#[test]
fn the_namespace_of_an_object_that_names_none_is_given() {
    let request = Request { namespace: "kube-system", values: &Values::default(), ca: Some(CA) };
    let text = all_kinds()[0].clone();
    let output = manifest::inject(&file(&text), &request);
    assert_eq!(output.text, text);
    assert_eq!(findings(&output), ["f.yaml:1:1: info Pod : the pod gets no proxy: the namespace kube-system is Kubernetes' own"]);
}
