//! Whether one may do what `weir install` does.

use super::line::{Line, bad, good};
use crate::install::reference::Reference;
use crate::install::{read, render};
use crate::kubernetes::access::message;
use anyhow::{Result, anyhow};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use std::collections::{BTreeMap, BTreeSet};

/// What is done with each object: applied, and one day removed.
const VERBS: [&str; 4] = ["get", "create", "patch", "delete"];
/// Questions at the same time.
const AT_ONCE: usize = 8;

/// Asks for every kind that is installed.
pub async fn lines(client: &Client, namespace: &str) -> Result<Vec<Line>> {
    let objects = render(&read(None, &[], &[])?.values, namespace)?;
    let asked = questions(&objects.iter().map(Reference::of).collect::<Vec<_>>());
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answers = stream::iter(asked.into_iter().map(|question| {
        let api = api.clone();
        async move {
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(question.clone()), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let answer = api.create(&PostParams::default(), &review).await.map_err(|error| anyhow!("{}", message(&error)))?;
            Ok::<_, anyhow::Error>((question, answer.status.is_some_and(|status| status.allowed)))
        }
    }));
    let answers: Vec<_> = answers.buffered(AT_ONCE).try_collect().await?;
    let denied: Vec<_> = answers.into_iter().filter(|(_, allowed)| !allowed).map(|(question, _)| question).collect();
    Ok(vec![match denied.as_slice() {
        [] => good("you may do what weir install does"),
        denied => bad(
            format!("you may not do all that weir install does. What lacks:\n{}", shown(denied).join("\n")),
            "install as a cluster's administrator (ClusterRole cluster-admin)",
        ),
    }])
}

/// Each kind with each verb, once.
fn questions(objects: &[Reference]) -> Vec<ResourceAttributes> {
    let kinds: BTreeSet<_> = objects.iter().map(|it| (it.group().to_string(), it.resource().plural, it.namespace.clone())).collect();
    let question = |(group, resource, namespace): (String, String, Option<String>), verb: &str| ResourceAttributes {
        group: Some(group),
        resource: Some(resource),
        namespace,
        verb: Some(verb.to_string()),
        ..Default::default()
    };
    kinds.into_iter().flat_map(|kind| VERBS.map(|verb| question(kind.clone(), verb))).collect()
}

/// For each kind a line, `deployments.apps in weir-system: get, create`.
fn shown(questions: &[ResourceAttributes]) -> Vec<String> {
    let mut verbs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for question in questions {
        let group = question.group.as_deref().filter(|group| !group.is_empty()).map(|group| format!(".{group}")).unwrap_or_default();
        let place = question.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let kind = format!("{}{group}{place}", question.resource.as_deref().unwrap_or_default());
        verbs.entry(kind).or_default().extend(question.verb.as_deref());
    }
    verbs.into_iter().map(|(kind, verbs)| format!("{kind}: {}", verbs.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_for_each_kind_and_verb() {
        let objects = render(&read(None, &[], &[]).unwrap().values, "mesh").unwrap();
        let asked = shown(&questions(&objects.iter().map(Reference::of).collect::<Vec<_>>()));
        for kind in ["namespaces", "deployments.apps in mesh", "customresourcedefinitions.apiextensions.k8s.io"] {
            let expected = format!("{kind}: get, create, patch, delete");
            assert_eq!(asked.iter().filter(|line| **line == expected).count(), 1, "{asked:?}");
        }
    }
}
