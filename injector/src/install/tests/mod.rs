//! The chart by Weir's own renderer against the chart by Helm.

mod objects;

use super::chart::{HELPERS, Release, TEMPLATES, VALUES};
use super::*;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Once;
use weir_mesh::object::documents;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/chart");

const GOOD: [(&str, &str, &[&str]); 9] = [
    ("defaults", "", &[]),
    (
        "everything on",
        "global: {hub: registry.example.com/mesh, tag: v1, imagePullPolicy: Always, imagePullSecrets: [one, two]}
controlPlane:
  autoscaling: {enabled: true, minReplicas: 3}
  podAnnotations: {prometheus.io/port: '9', note: 'a: \"b\" <c> & %d'}
  nodeSelector: {kubernetes.io/os: linux}
  tolerations: [{key: x, operator: Exists}, {key: z, value: 'no', effect: NoSchedule}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: ['1', 'on']}]}]}}}
sidecarInjector:
  enableNamespacesByDefault: true
  neverInjectSelector: [{matchLabels: {app: '<none> & \"quoted\"'}}]
  alwaysInjectSelector: [{matchExpressions: [{key: job-name, operator: Exists}]}]
  certificateSecret: webhook-tls
validation: {enabled: true}
networkPolicy: {enabled: true}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
ingressGateway:
  service: {annotations: {service.beta.kubernetes.io/aws-load-balancer-type: external}, externalTrafficPolicy: Local}
  podAnnotations: {a: b}
  priorityClassName: high
",
        &[],
    ),
    ("no gateway", "ingressGateway: {enabled: false}\nnetworkPolicy: {enabled: true}\n", &[]),
    (
        "NodePort",
        "ingressGateway: {service: {type: NodePort, ports: [{name: http2, port: 80, targetPort: 8080, nodePort: 30080}]}, autoscaling: {enabled: false}, replicas: 1}\n",
        &[],
    ),
    ("a ClusterIP by --set", "", &["ingressGateway.service.type=ClusterIP,controlPlane.replicas=1", "global.proxy.concurrency=0"]),
    ("a revision", "revision: canary\nsidecarInjector: {enableNamespacesByDefault: true}\n", &[]),
    ("lists and escapes by --set", "", &[r"controlPlane.nodeSelector.kubernetes\.io/os=linux", "global.imagePullSecrets={a,b}", r"global.proxy.includeIPRanges=10.0.0.0/8\,192.168.0.0/16"]),
    ("an index by --set", "controlPlane: {tolerations: [{key: a}]}\n", &["controlPlane.tolerations[1].key=b"]),
    ("what the defaults have, removed", "controlPlane: {resources: {limits: null}}\nglobal: {proxy: {resources: {requests: {cpu: null}}}}\n", &[]),
];

const BAD: [(&str, &[&str], &str); 12] = [
    ("gateway: {}\n", &[], "FILE:1:10: gateway: unknown field `gateway`, expected one of"),
    ("a: 1\n---\nb: 2\n", &[], "FILE: more than one YAML document"),
    ("- a\n", &[], "FILE: no values: keys, each with its value, are expected"),
    ("a: [\n", &[], "FILE:"),
    ("controlPlane:\n  replicas: two\n", &[], "FILE:2:13: controlPlane.replicas: invalid type: string \"two\", expected a nonzero u32"),
    ("controlPlane:\n  replicas: 0\n", &[], "FILE:2:13: controlPlane.replicas: invalid value: integer `0`, expected a nonzero u32"),
    ("revision: Canary_1\n", &[], "FILE:1:11: revision: \"Canary_1\" is no name of a revision"),
    ("global: {proxy: {terminationDrainDuration: 0s}}\n", &[], "FILE:1:44: global.proxy.terminationDrainDuration: \"0s\" is no number"),
    (
        "ingressGateway: {service: {ports: [{name: a, port: 80}]}}\n",
        &[],
        "FILE:1:36: ingressGateway.service.ports[0]: missing field `targetPort`",
    ),
    (
        "ingressGateway: {service: {type: LoadBalancer}}\n",
        &["ingressGateway.service.type=Load"],
        "--set ingressGateway.service.type=Load: ingressGateway.service.type: unknown variant `Load`, expected one of",
    ),
    ("", &["global.tag=140"], "--set global.tag=140: global.tag: invalid type: integer `140`, expected a string"),
    ("", &["global.tag"], "--set global.tag: tag has no value"),
];

/// Helm, if this machine has it: $HELM, else the PATH's.
fn helm(args: &[&str]) -> Option<Output> {
    static SKIPPED: Once = Once::new();
    if let Some(program) = std::env::var_os("HELM") {
        return Some(Command::new(&program).args(args).output().unwrap_or_else(|error| panic!("HELM={}: {error}", program.display())));
    }
    let output = Command::new("helm").args(args).output().ok();
    if output.is_none() {
        // Past the harness, which shows nothing of what passes.
        let say = || {
            drop(writeln!(
                std::io::stderr(),
                "SKIPPED: no helm on the PATH and no $HELM, so the chart is not compared with what Helm makes of it"
            ))
        };
        SKIPPED.call_once(say);
    }
    output
}

fn helm_template(file: &Path, sets: &[&str]) -> Option<Result<Vec<Value>, String>> {
    let file = file.display().to_string();
    let mut args = vec!["template", "weir", CHART, "--namespace", "weir-system", "--no-hooks", "--kube-version", "1.35.0", "-f", &file];
    args.extend(sets.iter().flat_map(|set| ["--set", *set]));
    let output = helm(&args)?;
    if !output.status.success() {
        return Some(Err(String::from_utf8(output.stderr).unwrap()));
    }
    Some(Ok(parsed(&String::from_utf8(output.stdout).unwrap())))
}

fn parsed(text: &str) -> Vec<Value> {
    documents(text).into_iter().map(|document| document.unwrap().value).collect()
}

/// With the texts that are YAML read, and sorted.
fn comparable(mut objects: Vec<Value>) -> Vec<Value> {
    for text in objects.iter_mut().filter_map(|object| object.pointer_mut("/data/config.yaml")) {
        *text = parsed(text.as_str().unwrap()).remove(0);
    }
    objects.sort_by_key(|object| (object["kind"].to_string(), object["metadata"]["name"].to_string()));
    objects
}

fn read_texts(file: &Path, sets: &[&str]) -> anyhow::Result<Values> {
    Ok(read(None, &[file.into()], &sets.iter().map(ToString::to_string).collect::<Vec<_>>())?.values)
}

#[test]
fn renders_what_helm_renders() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    for (name, text, sets) in GOOD {
        std::fs::write(&file, text).unwrap();
        let values = read_texts(&file, sets).unwrap();
        let release = Release { name: "weir", namespace: "weir-system", service: "Helm" };
        let ours = comparable(chart::render(&values, &release).unwrap());
        let Some(theirs) = helm_template(&file, sets) else { continue };
        let theirs = comparable(theirs.unwrap());
        let names = |objects: &[Value]| {
            objects.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&theirs), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

#[test]
fn refuses_what_helm_refuses_and_says_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    for (text, sets, expected) in BAD {
        std::fs::write(&file, text).unwrap();
        let error = format!("{:#}", read_texts(&file, sets).unwrap_err()).replace(&file.display().to_string(), "FILE");
        assert!(error.starts_with(expected), "{text}{sets:?}: {error}");
        // Helm reads no more of a file than its first document.
        if let Some(theirs) = helm_template(&file, sets).filter(|_| !text.contains("---")) {
            assert!(theirs.is_err(), "{text}{sets:?}: Helm takes it");
        }
    }
}

#[test]
fn helm_finds_nothing_to_say_of_the_chart() {
    if let Some(output) = helm(&["lint", CHART, "--strict"]) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn every_value_has_its_default_in_values_yaml() {
    let values = layer::values(vec![Layer::defaults().unwrap()], &[]).unwrap().0;
    assert_eq!(serde_json::to_value(values).unwrap(), parsed(VALUES).remove(0));
}

#[test]
fn the_program_has_all_of_the_chart_and_its_version() {
    fn files(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => files(&entry.path(), found),
                false => drop(found.insert(entry.path().strip_prefix(CHART).unwrap().display().to_string())),
            }
        }
    }
    let mut found = BTreeSet::new();
    files(&Path::new(CHART).join("templates"), &mut found);
    found.retain(|path| !path.starts_with("templates/tests/") && path != "templates/NOTES.txt");
    let known = HELPERS.iter().chain(&TEMPLATES).map(|(path, _)| path.to_string()).collect();
    assert_eq!(found, known);
    let chart = parsed(&std::fs::read_to_string(Path::new(CHART).join("Chart.yaml")).unwrap()).remove(0);
    assert_eq!([&chart["version"], &chart["appVersion"]], [env!("CARGO_PKG_VERSION"); 2]);
}

#[test]
fn texts_that_yaml_would_take_for_something_else_stay_texts() {
    for text in [
        "yes",
        "no",
        "on",
        "y",
        "~",
        "null",
        "0644",
        "0x10",
        "1e3",
        "1_000",
        "12:30:45",
        ".5",
        "2026-01-01",
        "*",
        "&a",
        "- a",
        "a: b",
        "a #b",
        " a ",
        "",
        "'",
        "\"",
        "a\nb\n",
        "\u{e9}\t",
    ] {
        let written = functions::to_yaml(&json!({"a": [text]})).unwrap();
        assert_eq!(parsed(&written), [json!({"a": [text]})], "{written}");
    }
}

#[test]
fn the_schema_is_that_of_the_types() {
    // A file of values need not name them all; an item of a list is whole.
    fn loosen(schema: &mut schemars::Schema) {
        schema.remove("default");
        if schema.get("properties").is_some_and(|properties| properties.get("targetPort").is_none()) {
            schema.remove("required");
        }
    }
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Values>();
    RecursiveTransform(loosen).transform(&mut schema);
    let mut schema = schema.to_value();
    schema.sort_all_objects();
    let expected = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = Path::new(CHART).join("values.schema.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), expected, "run: BLESS=1 cargo test -p weir the_schema_is");
}
