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

/// Writes the authority wherever it is not written yet.
pub async fn tell(client: &Client, namespace: &str, authority: &str) -> Result<()> {
    config_map(client, namespace, authority).await.with_context(|| format!("the ConfigMap {namespace}/{CONFIG_MAP}"))?;
    let bundle = BASE64_STANDARD.encode(authority);
    webhooks::<MutatingWebhookConfiguration>(client, "weir-injector", &bundle).await?;
    webhooks::<ValidatingWebhookConfiguration>(client, "weir-validator", &bundle).await
}

async fn config_map(client: &Client, namespace: &str, authority: &str) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = Some([("ca.crt".to_string(), authority.to_string())].into());
    let Some(mut map) = maps.get_opt(CONFIG_MAP).await? else {
        let map = ConfigMap { metadata: ObjectMeta { name: Some(CONFIG_MAP.into()), ..Default::default() }, data, ..Default::default() };
        return match maps.create(&PostParams::default(), &map).await {
            // Another replica was first.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            created => Ok(created.map(drop)?),
        };
    };
    if map.data != data {
        map.data = data;
        maps.replace(CONFIG_MAP, &PostParams::default(), &map).await?;
    }
    Ok(())
}

async fn webhooks<K>(client: &Client, name: &str, bundle: &str) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize,
{
    let configurations: Api<K> = Api::all(client.clone());
    let Some(configuration) = configurations.get_opt(name).await.with_context(|| format!("reading {} {name}", K::kind(&())))? else {
        return Ok(());
    };
    let Some(hooks) = with_bundle(&serde_json::to_value(configuration)?, bundle) else { return Ok(()) };
    let patch = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "webhooks": hooks,
    });
    let params = PatchParams::apply(MANAGER).force();
    configurations
        .patch(name, &params, &Patch::Apply(patch))
        .await
        .with_context(|| format!("writing caBundle of {} {name}", K::kind(&())))?;
    Ok(())
}

/// The webhooks with their bundle and no more; none if all have it.
fn with_bundle(configuration: &Value, bundle: &str) -> Option<Vec<Value>> {
    let hooks = configuration.get("webhooks")?.as_array()?;
    let has = |hook: &Value| hook.pointer("/clientConfig/caBundle").and_then(Value::as_str) == Some(bundle);
    let own = |hook: &Value| json!({"name": hook.get("name"), "clientConfig": {"caBundle": bundle}});
    (!hooks.iter().all(has)).then(|| hooks.iter().map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bundle_that_is_missing_or_another_is_written() {
        let configuration = |bundle: Value| json!({"webhooks": [{"name": "a", "clientConfig": {"caBundle": bundle, "service": {}}}]});
        assert_eq!(with_bundle(&configuration(json!("x")), "x"), None);
        let expected = Some(vec![json!({"name": "a", "clientConfig": {"caBundle": "x"}})]);
        for other in [json!("y"), json!(null)] {
            assert_eq!(with_bundle(&configuration(other), "x"), expected);
        }
        assert_eq!(with_bundle(&json!({}), "x"), None);
    }
}
