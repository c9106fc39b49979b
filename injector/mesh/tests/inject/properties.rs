//! Whatever a pod holds: injection can be repeated and taken back, loses nothing, and does not panic.

use super::*;
use proptest::prelude::*;
use proptest::sample::select as one_of;
use weir_mesh::inject::{Namespace, Patch, select, uninject};

/// Any JSON.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((text(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Words that mean something to injection, and some that do not.
fn text() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "metadata",
        "spec",
        "labels",
        "annotations",
        "containers",
        "initContainers",
        "volumes",
        "name",
        "image",
        "auto",
        "istio-proxy",
        "weir-init",
        "app",
        "true",
        "false",
        "tcpSocket",
        "readinessProbe",
        "port",
        "8080",
        "ports",
        "containerPort",
        "env",
        "lifecycle",
        "sidecar.istio.io/status",
        "sidecar.istio.io/inject",
        "restartPolicy",
        "Always",
        "é~/",
        "",
    ];
    one_of(WORDS).prop_map(String::from)
}

fn container() -> impl Strategy<Value = Value> {
    const CONTAINERS: &[&str] = &[
        r#"{"name": "a", "image": "a", "ports": [{"name": "http", "containerPort": 80}], "readinessProbe": {"tcpSocket": {"port": "http"}}}"#,
        r#"{"image": "b", "name": "b", "livenessProbe": {"periodSeconds": 1, "tcpSocket": {"port": 81}, "failureThreshold": 2}}"#,
        r#"{"name": "c", "env": [{"name": "A", "value": "1"}], "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 82}}}"#,
        r#"{"volumeMounts": [{"mountPath": "/a", "name": "v"}], "name": "d"}"#,
    ];
    one_of(CONTAINERS).prop_map(|text| serde_json::from_str(text).unwrap())
}

fn proxy() -> impl Strategy<Value = Value> {
    const PROXIES: &[&str] = &[
        r#"{"image": "auto", "name": "istio-proxy", "env": [{"name": "B", "value": "2"}]}"#,
        r#"{"name": "istio-proxy", "restartPolicy": "Always", "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}}"#,
        r#"{"name": "istio-proxy", "securityContext": {"runAsUser": 7}, "ports": null, "resources": 3}"#,
    ];
    one_of(PROXIES).prop_map(|text| serde_json::from_str(text).unwrap())
}

/// Pods with distinct names, with a proxy of the user's in some place or none.
fn any_pod() -> impl Strategy<Value = Value> {
    const ANNOTATIONS: &[(&str, &str)] = &[
        ("inject.istio.io/templates", "gateway"),
        ("sidecar.istio.io/nativeSidecar", "false"),
        ("proxy.istio.io/config", "holdApplicationUntilProxyStarts: true"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "81"),
        ("sidecar.istio.io/userVolume", r#"{"v": {"emptyDir": {}}, "w": {"emptyDir": {}}}"#),
        ("sidecar.istio.io/bootstrapOverride", "more"),
        ("mine", "x"),
    ];
    let containers = || proptest::collection::vec(container(), 0..3);
    let annotations = proptest::option::of(proptest::sample::subsequence(ANNOTATIONS, 0..=ANNOTATIONS.len()));
    let labels = proptest::option::of(one_of(vec![json!({}), json!({"app": "x"}), json!({"version": "1", "app": ""})]));
    let volumes = proptest::option::of(one_of(vec![json!([]), json!([{"name": "v", "emptyDir": {}}])]));
    let places = (any::<bool>(), any::<u8>(), proptest::option::of(proxy()));
    (containers(), proptest::option::of(containers()), annotations, labels, volumes, places).prop_map(
        |(mut containers, mut inits, annotations, labels, volumes, (is_init, place, proxy))| {
            let rename = |kind: &str, items: &mut Vec<Value>| {
                items.iter_mut().enumerate().for_each(|(i, item)| item["name"] = format!("{kind}{i}").into());
            };
            rename("c", &mut containers);
            if let Some(inits) = &mut inits {
                rename("i", inits);
            }
            let list = if is_init { inits.as_mut().unwrap_or(&mut containers) } else { &mut containers };
            if let Some(proxy) = proxy {
                list.insert(usize::from(place) % (list.len() + 1), proxy);
            }
            let mut pod = json!({"spec": {"containers": containers}, "kept": [1, {"a": null}]});
            let mut put = |parent: &str, field: &str, value: Option<Value>| {
                if let Some(value) = value {
                    pod[parent][field] = value;
                }
            };
            put("spec", "initContainers", inits.map(Value::from));
            put("spec", "volumes", volumes);
            put("metadata", "labels", labels);
            let annotations = annotations.map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_string(), json!(value))).collect());
            put("metadata", "annotations", annotations);
            pod
        },
    )
}

/// Whether all of `part` is in `whole`, lists in their order.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| holds(whole, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            let mut whole = whole.iter();
            part.iter().all(|item| whole.any(|whole| holds(whole, item)))
        }
        _ => whole == part,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn injection_is_repeatable_and_can_be_taken_back(pod in any_pod()) {
        let values = values("imagePullSecrets: [s]");
        let first = inject(&pod, Some("owner"), &values, CA).unwrap();
        prop_assert_eq!(&applied(&pod, &first.patch), &first.pod);
        let second = inject(&first.pod, Some("owner"), &values, CA).unwrap();
        prop_assert_eq!(&second.patch, &Patch::default());
        prop_assert_eq!(&second.pod, &first.pod);
        let back = uninject(&first.pod).unwrap();
        prop_assert_eq!(back.to_string(), pod.to_string(), "fields and their order");
        prop_assert_eq!(uninject(&back), None);
    }

    #[test]
    fn nothing_of_the_users_pod_is_lost(pod in any_pod()) {
        let injected = inject(&pod, Some("owner"), &Values::default(), CA).unwrap().pod;
        let mut part = pod;
        // What is changed on purpose: probes, and the user's own proxy, which may move.
        for list in ["containers", "initContainers"] {
            for container in part["spec"][list].as_array_mut().into_iter().flatten() {
                for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                    if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
                        probe.shift_remove("tcpSocket");
                    }
                }
            }
            if let Some(items) = part["spec"].get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| item["name"] != "istio-proxy");
            }
        }
        part["spec"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
        prop_assert!(holds(&injected, &part), "{} {}", injected, part);
    }

    #[test]
    fn changed_values_give_what_they_give_at_first(pod in any_pod()) {
        let newer = values("proxy: {image: newer, concurrency: 1}");
        let old = inject(&pod, Some("owner"), &Values::default(), CA).unwrap().pod;
        let renewed = inject(&old, Some("owner"), &newer, "other").unwrap();
        prop_assert_eq!(&renewed.pod, &inject(&pod, Some("owner"), &newer, "other").unwrap().pod);
        prop_assert_eq!(&applied(&old, &renewed.patch), &renewed.pod);
    }

    #[test]
    fn patches_lead_from_any_value_to_any_other(old in json(), new in json()) {
        prop_assert_eq!(applied(&old, &Patch::between(&old, &new)), new);
    }

    #[test]
    fn nothing_panics(pod in json(), metadata in json(), spec in json()) {
        let values = Values::default();
        for pod in [pod, json!({"metadata": metadata, "spec": spec}), json!({"metadata": {"annotations": metadata}, "spec": {"containers": spec}})] {
            let _ = select(&pod, &Namespace::asking("a", &values), &values);
            let _ = inject(&pod, None, &values, CA);
            let _ = uninject(&pod);
        }
    }

    #[test]
    fn nothing_panics_on_any_status(status in json(), own in json(), spec in json(), pod in any_pod()) {
        let mut status = if status.is_object() { status } else { json!({}) };
        for (field, value) in [("initContainers", json!(["a"])), ("containers", json!(["a"])), ("volumes", json!([])), ("imagePullSecrets", json!([]))] {
            status[field] = value;
        }
        status["revision"] = "r".into();
        status["weir"] = json!({"digests": {}, "created": ["/spec", "/metadata", "", "x"], "originals": [{"list": "containers", "index": 9, "container": own}]});
        let mut pod = pod;
        pod["metadata"]["annotations"] = json!({"sidecar.istio.io/status": status.to_string()});
        pod["spec"]["more"] = spec;
        let _ = uninject(&pod);
        let _ = inject(&pod, None, &Values::default(), CA);
    }
}
