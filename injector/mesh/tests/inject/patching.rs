//! The patch, and injection of what is injected already.

use super::*;
use weir_mesh::inject::{Operation, Patch, uninject};

#[test]
fn the_patch_is_what_is_added_and_no_more() {
    let pod = pod();
    let injected = injected(&pod);
    let operations = injected.patch.0.iter().map(|operation| match operation {
        Operation::Add { path, .. } => format!("add {path}"),
        Operation::Remove { path } => format!("remove {path}"),
        Operation::Replace { path, .. } => format!("replace {path}"),
    });
    assert_eq!(
        operations.collect::<Vec<_>>(),
        [
            "add /metadata/labels/service.istio.io~1canonical-name",
            "add /metadata/labels/service.istio.io~1canonical-revision",
            "add /metadata/annotations",
            "add /spec/initContainers/0",
            "add /spec/initContainers/1",
            "add /spec/volumes/1",
            "add /spec/volumes/2",
        ]
    );
    assert_eq!(applied(&pod, &injected.patch), injected.pod);
}

#[test]
fn a_pod_that_has_its_proxy_is_left_as_it_is() {
    let mut pod = injected(&pod()).pod;
    assert_eq!(injected(&pod).patch, Patch::default());
    // Another webhook puts its container first, changes ours, and adds a label.
    let init = pod["spec"]["initContainers"].as_array_mut().unwrap();
    init.insert(0, json!({"name": "vault", "image": "vault"}));
    init[2]["env"] = json!([{"name": "A", "value": "b"}]);
    pod["metadata"]["labels"]["added"] = "yes".into();
    assert_eq!(injected(&pod).patch, Patch::default());
    assert_eq!(injected(&pod).pod, pod);
}

#[test]
fn what_was_taken_away_of_ours_comes_back() {
    let whole = injected(&pod()).pod;
    for (list, index) in [("initContainers", 0), ("initContainers", 1), ("volumes", 1)] {
        let mut pod = whole.clone();
        pod["spec"][list].as_array_mut().unwrap().remove(index);
        let again = injected(&pod);
        assert_eq!(again.pod, whole, "{list}[{index}]");
        assert_eq!(again.patch.0.len(), 1, "{:?}", again.patch);
    }
}

#[test]
fn an_annotation_that_came_since_counts() {
    let mut pod = injected(&annotated(&[])).pod;
    pod["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeOutboundPorts"] = "5432".into();
    pod["spec"]["initContainers"][1]["env"] = json!([{"name": "A", "value": "b"}]);
    let again = injected(&pod);
    assert_eq!(flag(&again.pod, "--exclude-outbound-ports").as_deref(), Some("5432"));
    assert_eq!(container(&again.pod, "istio-proxy")["env"], json!([{"name": "A", "value": "b"}]), "what another changed stays");
    assert_eq!(applied(&pod, &again.patch), again.pod);
    assert_eq!(injected(&again.pod).patch, Patch::default());
}

#[test]
fn other_values_renew_the_proxy_and_keep_what_the_user_says_of_it() {
    let mut pod = pod();
    let users = json!({"name": "istio-proxy", "image": "auto", "env": [{"name": "A", "value": "b"}]});
    pod["spec"]["containers"].as_array_mut().unwrap().push(users);
    let newer = values("proxy: {image: newer}\nimage: newer-weir");
    let old = injected(&pod).pod;
    let renewed = inject(&old, None, &newer, CA).unwrap();
    assert_eq!(renewed.pod, inject(&pod, None, &newer, CA).unwrap().pod);
    assert_eq!(container(&renewed.pod, "istio-proxy")["env"], json!([{"name": "A", "value": "b"}]));
    let image = |path: &str, value: &str| Operation::Replace { path: path.into(), value: value.into() };
    assert_eq!(renewed.patch.0[1..], [image("/spec/initContainers/0/image", "newer-weir"), image("/spec/initContainers/1/image", "newer")]);
    assert_eq!(uninject(&renewed.pod), Some(pod));
}

#[test]
fn a_pod_of_another_injector_is_refused() {
    let pod = annotated(&[("sidecar.istio.io/status", "{\"initContainers\":[\"istio-init\"],\"containers\":[\"istio-proxy\"]}")]);
    assert_eq!(problems(&pod), ["annotation sidecar.istio.io/status: another mesh's injector wrote it: the pod has a proxy already"]);
    assert_eq!(uninject(&pod), None);
}

#[test]
fn patches_are_right_for_any_change() {
    for (old, new) in [
        (json!({"a": [1, 2, 3]}), json!({"a": [3, 1]})),
        (json!([{"name": "a"}, {"name": "b", "x": 1}]), json!([{"name": "b", "x": 2}, {"name": "c"}, {"name": "a"}])),
        (json!({"a/b": {"~": 1}}), json!({"a/b": {"~": 2, "c": []}})),
        (json!({"a": 1}), json!([])),
        (json!([]), json!([[], [[]]])),
        (json!([1, 1, 2]), json!([1, 2, 2])),
    ] {
        assert_eq!(applied(&old, &Patch::between(&old, &new)), new, "{old} {new}");
    }
}
