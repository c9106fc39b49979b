//! Images: which program runs for one.

use super::{Options, Pod};
use std::collections::{BTreeMap, BTreeSet};

/// The program of an image: of its full name, else of its name without tag and digest, else of its last path segment.
pub fn program<'a>(images: &'a BTreeMap<String, String>, image: &str) -> Option<&'a str> {
    names(image).iter().find_map(|name| images.get(*name)).map(String::as_str)
}

/// What is said of `--image` options that no container has a use for.
pub fn unused(options: &Options, pods: &[Pod]) -> Vec<String> {
    let images: BTreeSet<&str> = pods.iter().flat_map(|pod| &pod.containers).map(|container| container.image.as_str()).collect();
    let used = |name: &String| images.iter().any(|image| names(image).contains(&name.as_str()));
    let there_are = match images.iter().copied().collect::<Vec<_>>().join(", ") {
        all if all.is_empty() => String::new(),
        all => format!("; the images are {all}"),
    };
    options.images.keys().filter(|name| !used(name)).map(|name| format!("--image {name}: no container uses it{there_are}")).collect()
}

/// By which names an image is meant, the most exact one first.
fn names(image: &str) -> [&str; 3] {
    [image, without_tag(image), short_name(image)]
}

fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// An image's last path segment.
pub fn short_name(image: &str) -> &str {
    let name = without_tag(image);
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_its_full_name_without_its_tag_or_by_its_last_segment() {
        let images = |name: &str| BTreeMap::from([(name.to_string(), "/bin/app".to_string())]);
        for (name, image, found) in [
            ("docker.io/istio/app:1.2", "docker.io/istio/app:1.2", true),
            ("docker.io/istio/app", "docker.io/istio/app:1.2", true),
            ("app", "docker.io/istio/app:1.2", true),
            ("app", "app@sha256:00", true),
            ("localhost:5000/app", "localhost:5000/app", true),
            ("app", "localhost:5000/app", true),
            ("docker.io/istio/app:1.3", "docker.io/istio/app:1.2", false),
            ("ap", "docker.io/istio/app:1.2", false),
        ] {
            assert_eq!(program(&images(name), image).is_some(), found, "{name} {image}");
        }
    }
}
