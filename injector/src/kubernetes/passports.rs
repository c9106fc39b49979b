//! The keys of passports that the replicas share: in a Secret that the first of them makes, and the leader renews.

use crate::passports::{Keys, Other};
use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use weir_mesh::mesh::Secrets;

/// The Secret, with `current` and one of `next` and `previous`.
pub const SECRET: &str = "weir-passport";
/// When its keys were last changed.
const CHANGED: &str = "weir.io/changed";
/// How long a step of the keys lasts: far longer than proxies take to hear of it.
const STEP: SignedDuration = SignedDuration::from_hours(12);
/// How often each replica reads them.
const READING: Duration = Duration::from_secs(10);

/// The keys, new ones if there are none.
pub async fn of(client: &Client, namespace: &str) -> Result<Secrets> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let read = || async { secrets.get_opt(SECRET).await.with_context(|| format!("reading the Secret {namespace}/{SECRET}")) };
    if let Some(secret) = read().await? {
        return Ok(keys(&secret)?.secrets());
    }
    let new = Keys::generate()?;
    match secrets.create(&PostParams::default(), &secret(&new, None)).await {
        Ok(_) => Ok(new.secrets()),
        // Another replica was first.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(keys(&read().await?.with_context(|| format!("the Secret {SECRET} is gone again"))?)?.secrets())
        }
        Err(error) => Err(error).with_context(|| format!("making the Secret {namespace}/{SECRET}")),
    }
}

/// Publishes the keys as they change; the leader changes them.
pub async fn follow(client: Client, namespace: String, leads: watch::Receiver<bool>, publish: watch::Sender<Secrets>) {
    loop {
        tokio::time::sleep(READING).await;
        let leader = *leads.borrow();
        match renew(&client, &namespace, leader).await {
            Ok(secrets) => {
                publish.send_if_modified(|known| std::mem::replace(known, secrets.clone()) != secrets);
            }
            Err(error) => tracing::warn!("the keys of passports stay: {error:#}"),
        }
    }
}

/// The keys as they are, or, if they are due and this replica may, one step later.
async fn renew(client: &Client, namespace: &str, leader: bool) -> Result<Secrets> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let Some(stored) = secrets.get_opt(SECRET).await.with_context(|| format!("reading the Secret {SECRET}"))? else {
        return of(client, namespace).await;
    };
    let keys = keys(&stored)?;
    let changed = stored.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CHANGED)?.parse::<Timestamp>().ok());
    let due = changed.is_none_or(|changed| Timestamp::now().duration_since(changed) >= STEP);
    if !leader || !due {
        return Ok(keys.secrets());
    }
    let stepped = keys.stepped()?;
    // With the version that was read, so that of two who think that they lead one does it.
    secrets.replace(SECRET, &PostParams::default(), &secret(&stepped, stored.metadata.resource_version)).await.context("writing them")?;
    tracing::info!("the keys of passports are one step further");
    Ok(stepped.secrets())
}

fn secret(keys: &Keys, resource_version: Option<String>) -> Secret {
    let other = match &keys.other {
        Other::Next(key) => ("next", key),
        Other::Previous(key) => ("previous", key),
    };
    let data = [("current", &keys.current), other];
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.into()),
            annotations: Some(BTreeMap::from([(CHANGED.to_string(), Timestamp::now().to_string())])),
            resource_version,
            ..Default::default()
        },
        data: Some(data.map(|(name, key)| (name.to_string(), ByteString(key.clone().into_bytes()))).into()),
        ..Default::default()
    }
}

fn keys(secret: &Secret) -> Result<Keys> {
    let key = |name: &str| {
        let key = String::from_utf8(secret.data.as_ref()?.get(name)?.0.clone()).ok()?;
        (key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(key)
    };
    let read = || {
        let other = key("next").map(Other::Next).or(key("previous").map(Other::Previous))?;
        Some(Keys { current: key("current")?, other })
    };
    read().with_context(|| {
        format!("the Secret {SECRET} has no `current`, or neither `next` nor `previous`: delete it, and new keys are made")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let keys_of = |written: &Keys| keys(&secret(written, None)).unwrap();
        let one = Keys::generate().unwrap();
        let two = one.clone().stepped().unwrap();
        assert_eq!((keys_of(&one), keys_of(&two)), (one.clone(), two));
        let mut broken = secret(&one, None);
        broken.data.as_mut().unwrap().insert("current".into(), ByteString(b"short".to_vec()));
        let error = keys(&broken).unwrap_err().to_string();
        assert!(error.starts_with("the Secret weir-passport has no `current`") && !error.contains("short"), "{error}");
    }
}
