//! Tells others by which authority they know the control plane: the API server, in the webhooks' configurations, and the gateways, in a
//! ConfigMap.

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// The ConfigMap, with `ca.crt`.
const CONFIG_MAP: &str = "weir-ca";
/// The manager of the fields that are written here: the installer's is another.
const MANAGER: &str = "weir-control-plane";
/// How many earlier authorities stay in a bundle.
const KEPT: usize = 2;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Who vouches for the control plane's certificates, as PEM.
pub struct Authorities {
    /// To proxies.
    pub proxies: String,
    /// To the API server.
    pub webhooks: String,
}

/// Whether all know their authority; if `write`, those that do not are told.
pub async fn tell(client: &Client, namespace: &str, authorities: &Authorities, write: bool) -> Result<bool> {
    let Authorities { proxies, webhooks: authority } = authorities;
    let map = config_map(client, namespace, proxies, write).await.with_context(|| format!("the ConfigMap {namespace}/{CONFIG_MAP}"))?;
    let injector = webhooks::<MutatingWebhookConfiguration>(client, "weir-injector", authority, write).await?;
    let validator = webhooks::<ValidatingWebhookConfiguration>(client, "weir-validator", authority, write).await?;
    Ok(map && injector && validator)
}

async fn config_map(client: &Client, namespace: &str, authority: &str, write: bool) -> Result<bool> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = Some([("ca.crt".to_string(), authority.to_string())].into());
    let there = maps.get_opt(CONFIG_MAP).await?;
    if !write || there.as_ref().is_some_and(|map| map.data == data) {
        return Ok(there.is_some_and(|map| map.data == data));
    }
    match there {
        Some(map) => drop(maps.replace(CONFIG_MAP, &PostParams::default(), &ConfigMap { data, ..map }).await?),
        None => {
            let metadata = ObjectMeta { name: Some(CONFIG_MAP.into()), ..Default::default() };
            maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..Default::default() }).await?;
        }
    }
    Ok(true)
}

async fn webhooks<K>(client: &Client, name: &str, authority: &str, write: bool) -> Result<bool>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize,
{
    let configurations: Api<K> = Api::all(client.clone());
    let Some(configuration) = configurations.get_opt(name).await.with_context(|| format!("reading {} {name}", K::kind(&())))? else {
        return Ok(true);
    };
    let Some(hooks) = with_authority(&serde_json::to_value(configuration)?, authority) else { return Ok(true) };
    if !write {
        return Ok(false);
    }
    let patch = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "webhooks": hooks,
    });
    let params = PatchParams::apply(MANAGER).force();
    configurations
        .patch(name, &params, &Patch::Apply(patch))
        .await
        .with_context(|| format!("writing caBundle of {} {name}", K::kind(&())))?;
    Ok(true)
}

/// The webhooks, each with its bundle and no more, in which the authority comes first; none if all have it. Those that are there stay for
/// a while: another replica may still show a certificate of theirs.
fn with_authority(configuration: &Value, authority: &str) -> Option<Vec<Value>> {
    let hooks = configuration.get("webhooks")?.as_array()?;
    let bundle = |hook: &Value| {
        let bytes = BASE64_STANDARD.decode(hook.pointer("/clientConfig/caBundle")?.as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    let bundles: Vec<String> = hooks.iter().map(|hook| bundle(hook).unwrap_or_default()).collect();
    if bundles.iter().all(|bundle| bundle.contains(authority.trim())) {
        return None;
    }
    let with = |bundle: &String| {
        let before = bundle.split_inclusive(END).filter(|pem| pem.contains(BEGIN) && !pem.contains(authority.trim())).take(KEPT);
        std::iter::once(authority.trim()).chain(before.map(str::trim)).collect::<Vec<_>>().join("\n") + "\n"
    };
    let hook = |(hook, bundle): (&Value, &String)| json!({"name": hook.get("name"), "clientConfig": {"caBundle": BASE64_STANDARD.encode(with(bundle))}});
    Some(hooks.iter().zip(&bundles).map(hook).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(name: &str) -> String {
        format!("{BEGIN}\n{name}\n{END}\n")
    }

    /// The bundle that is written where there is one.
    fn written(there: Option<&str>, authority: &str) -> Option<String> {
        let there = there.map(|bundle| BASE64_STANDARD.encode(bundle));
        let configuration = json!({"webhooks": [{"name": "a", "clientConfig": {"caBundle": there, "service": {}}}]});
        let hooks = with_authority(&configuration, authority)?;
        assert_eq!((hooks.len(), &hooks[0]["name"], hooks[0].as_object().unwrap().len()), (1, &json!("a"), 2));
        let bundle = BASE64_STANDARD.decode(hooks[0]["clientConfig"]["caBundle"].as_str().unwrap()).unwrap();
        Some(String::from_utf8(bundle).unwrap())
    }

    #[test]
    fn an_authority_is_added_to_those_that_replicas_may_still_use() {
        let [one, two, three, four] = ["1", "2", "3", "4"].map(pem);
        assert_eq!(written(None, &one), Some(one.clone()));
        assert_eq!(written(Some("no PEM"), &one), Some(one.clone()));
        assert_eq!(written(Some(&one), &one), None);
        assert_eq!(written(Some(&one), &two), Some([two.clone(), one.clone()].concat()));
        assert_eq!(written(Some(&[two.clone(), one.clone()].concat()), &one), None, "a replica that still has the old one leaves it");
        let full = [three.clone(), two.clone(), one].concat();
        assert_eq!(written(Some(&full), &four), Some([four, three, two].concat()), "the oldest goes");
        assert_eq!(with_authority(&json!({}), "x"), None);
    }
}
