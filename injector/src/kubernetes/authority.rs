//! The authority that the replicas share: in a Secret that the first of them makes.

use crate::certificates::Authority;
use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

/// The Secret, with `ca.crt` and `ca.key`.
pub const SECRET: &str = "weir-ca";

/// The authority of the control plane in a namespace.
pub async fn of(client: &Client, namespace: &str) -> Result<Authority> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if let Some(secret) = secrets.get_opt(SECRET).await.with_context(|| format!("reading the Secret {namespace}/{SECRET}"))? {
        return read(&secret);
    }
    let authority = Authority::generate()?;
    let data = [("ca.crt", &authority.certificate), ("ca.key", &authority.key)];
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SECRET.into()), ..Default::default() },
        data: Some(data.map(|(name, text)| (name.to_string(), ByteString(text.clone().into_bytes()))).into()),
        ..Default::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(authority),
        // Another replica was first.
        Err(kube::Error::Api(status)) if status.code == 409 => read(&secrets.get(SECRET).await?),
        Err(error) => Err(error).with_context(|| format!("making the Secret {namespace}/{SECRET}")),
    }
}

fn read(secret: &Secret) -> Result<Authority> {
    let text = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        let bytes = bytes.with_context(|| format!("the Secret {SECRET} has no {name}: delete it, and a new one is made"))?;
        String::from_utf8(bytes.0.clone()).with_context(|| format!("{name} of the Secret {SECRET}"))
    };
    Ok(Authority { certificate: text("ca.crt")?, key: text("ca.key")? })
}
