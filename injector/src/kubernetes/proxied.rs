//! Which pods of a cluster have Weir's proxy, and of which versions.

use super::list;
use anyhow::Result;
use k8s_openapi::api::core::v1::{Container, Namespace, Pod};
use kube::api::Api;
use kube::{Client, ResourceExt};

/// The init container that prepares the proxy: its image is Weir's.
pub const INIT: &str = "weir-init";
/// The proxy.
pub const PROXY: &str = "istio-proxy";

/// The images that make a pod's proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Images {
    /// Weir's own, as of the day when the pod was made.
    pub weir: String,
    /// Envoy's.
    pub envoy: String,
}

/// The images of a pod's proxy; none if it has none of Weir's.
pub fn images(pod: &Pod) -> Option<Images> {
    let spec = pod.spec.as_ref()?;
    let inits = || spec.init_containers.iter().flatten();
    let image = |container: &Container| container.image.clone().unwrap_or_default();
    let weir = inits().find(|container| container.name == INIT).map(image)?;
    let envoy = inits().chain(&spec.containers).find(|container| container.name == PROXY).map(image)?;
    Some(Images { weir, envoy })
}

/// The version that an image's name says: its tag, else all of it.
pub fn version(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => image,
    }
}

/// All pods that have not ended.
pub async fn pods(client: &Client) -> Result<Vec<Pod>> {
    let mut pods: Vec<Pod> = list::all(&Api::all(client.clone()), "").await?;
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    pods.retain(|pod| !matches!(phase(pod).as_str(), "Succeeded" | "Failed"));
    Ok(pods)
}

/// The label by which a namespace asks for sidecars, as `istio-injection=enabled`; none if it does not ask.
pub fn asks(namespace: &Namespace) -> Option<String> {
    let label = |name: &str| namespace.labels().get(name).map(String::as_str);
    match (label("istio-injection"), label("istio.io/rev")) {
        (Some("enabled"), _) => Some("istio-injection=enabled".into()),
        (None, Some(revision)) => Some(format!("istio.io/rev={revision}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_proxy_is_known_by_its_containers_native_or_not() {
        let pod = |inits: &[(&str, &str)], containers: &[(&str, &str)]| -> Pod {
            let list = |items: &[(&str, &str)]| items.iter().map(|(name, image)| json!({"name": name, "image": image})).collect::<Vec<_>>();
            serde_json::from_value(json!({"metadata": {}, "spec": {"initContainers": list(inits), "containers": list(containers)}}))
                .unwrap()
        };
        let (init, proxy) = (("weir-init", "weir:1"), ("istio-proxy", "envoy:2"));
        let expected = Some(Images { weir: "weir:1".into(), envoy: "envoy:2".into() });
        assert_eq!(images(&pod(&[init, proxy], &[("app", "a")])), expected);
        assert_eq!(images(&pod(&[init], &[("app", "a"), proxy])), expected);
        // Istio's own.
        assert_eq!(images(&pod(&[("istio-init", "i")], &[("app", "a"), proxy])), None);
    }

    #[test]
    fn an_images_version_is_its_tag() {
        for (image, expected) in [
            ("envoyproxy/envoy:v1.40.0", "v1.40.0"),
            ("registry:5000/weir:1.2", "1.2"),
            ("weir:1@sha256:abc", "1"),
            ("registry:5000/weir", "registry:5000/weir"),
            ("weir@sha256:abc", "weir@sha256:abc"),
        ] {
            assert_eq!(version(image), expected);
        }
    }

    #[test]
    fn a_namespace_asks_by_istios_labels() {
        let namespace = |labels| -> Namespace { serde_json::from_value(json!({"metadata": {"labels": labels}})).unwrap() };
        for (labels, expected) in [
            (json!({"istio-injection": "enabled"}), Some("istio-injection=enabled")),
            (json!({"istio.io/rev": "canary"}), Some("istio.io/rev=canary")),
            (json!({"istio-injection": "disabled", "istio.io/rev": "canary"}), None),
            (json!({}), None),
        ] {
            assert_eq!(asks(&namespace(labels)).as_deref(), expected);
        }
    }
}
