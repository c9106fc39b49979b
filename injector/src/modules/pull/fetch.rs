//! One pull: an image of a registry, or a file of a server, to a module whose digest is right.

use super::unpack::{LIMIT, unpack};
use crate::modules::digest;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use oci_client::client::{ClientConfig, ClientProtocol, linux_amd64_resolver};
use oci_client::errors::{DigestError, OciDistributionError};
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use reqwest::redirect::{Action, Attempt, Policy};
use std::net::IpAddr;
use std::time::Duration;
use weir_mesh::mesh::pull::Source;

/// For a connection, and for the next bytes to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of the whole pull.
const LONGEST: Duration = Duration::from_secs(120);
/// Of a file's server.
const REDIRECTS: usize = 5;
/// Layers that are a module as it is: Istio's, and the CNCF's.
const MODULE_LAYERS: [&str; 2] = ["application/vnd.module.wasm.content.layer.v1+wasm", "application/wasm"];
/// Layers that hold `plugin.wasm`, where they are the last ones.
const ARCHIVES: [&str; 2] = ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"];

/// The module of a source, or why there is none.
pub async fn fetch(source: &Source) -> Result<Bytes> {
    let fetching = async {
        if source.url.starts_with("https://") || source.url.starts_with("http://") { file(source).await } else { image(source).await }
    };
    tokio::time::timeout(LONGEST, fetching).await.with_context(|| format!("{} did not come within {LONGEST:?}", source.url))?
}

async fn file(source: &Source) -> Result<Bytes> {
    let client = reqwest::Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).redirect(Policy::custom(redirect)).build()?;
    let response = client.get(&source.url).send().await?.error_for_status()?;
    let module = unpack(collect(response.bytes_stream()).await?)?;
    let found = digest(&module);
    if !source.sha256.is_empty() && source.sha256 != found {
        bail!("what {} serves has the digest {found}, not {}", source.url, source.sha256);
    }
    Ok(module)
}

/// Few, and never from a server that proves who it is to one that does not.
fn redirect(attempt: Attempt) -> Action {
    let was_safe = attempt.previous().iter().any(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS {
        attempt.error("too many redirects")
    } else if was_safe && attempt.url().scheme() != "https" {
        attempt.error("a redirect from https to http")
    } else {
        attempt.follow()
    }
}

async fn image(source: &Source) -> Result<Bytes> {
    let name = source.url.strip_prefix("oci://").unwrap_or(&source.url);
    let image: Reference = name.parse().with_context(|| format!("{name:?} is no name of an image"))?;
    let registry = image.resolve_registry().to_string();
    // As Docker does: who listens on this machine needs no certificate.
    let protocol = if is_loopback(&registry) { ClientProtocol::HttpsExcept(vec![registry]) } else { ClientProtocol::Https };
    let config = ClientConfig {
        protocol,
        connect_timeout: Some(PATIENCE),
        read_timeout: Some(PATIENCE),
        platform_resolver: Some(Box::new(|images| linux_amd64_resolver(images).or_else(|| Some(images.first()?.digest.clone())))),
        ..ClientConfig::default()
    };
    let client = Client::try_from(config)?;
    let pulled = client.pull_image_manifest_and_list_digest(&image, &RegistryAuth::Anonymous).await;
    let (manifest, found, list) = pulled.map_err(|error| told(name, error))?;
    let wanted = source.sha256.strip_prefix("sha256:").unwrap_or(&source.sha256);
    let is_wanted = |digest: &String| digest.strip_prefix("sha256:") == Some(wanted);
    if !wanted.is_empty() && !is_wanted(&found) && !list.iter().any(is_wanted) {
        bail!("the image {name} has the digest {found}, not sha256:{wanted}");
    }
    let layer = layer(&manifest).with_context(|| {
        format!("the image {name} holds no module: expected a layer {}, or a last layer {} with plugin.wasm", MODULE_LAYERS[0], ARCHIVES[0])
    })?;
    if usize::try_from(layer.size).is_ok_and(|size| size > LIMIT) {
        bail!("the module is larger than {LIMIT} bytes");
    }
    let blob = client.pull_blob_stream(&image, layer).await.map_err(|error| told(name, error))?;
    unpack(collect(blob.stream).await?)
}

/// The layer that is or holds the module.
fn layer(manifest: &OciImageManifest) -> Option<&OciDescriptor> {
    let module = manifest.layers.iter().find(|layer| MODULE_LAYERS.contains(&layer.media_type.as_str()));
    module.or_else(|| manifest.layers.last().filter(|layer| ARCHIVES.contains(&layer.media_type.as_str())))
}

async fn collect<E: Into<anyhow::Error>>(stream: impl Stream<Item = Result<Bytes, E>>) -> Result<Bytes> {
    let mut stream = std::pin::pin!(stream);
    let mut all = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(Into::into)? {
        if all.len() + chunk.len() > LIMIT {
            bail!("the module is larger than {LIMIT} bytes");
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.into())
}

/// A wrong digest in the same words, wherever it was found; and nothing of what a server wrote, whom the url may name for others to hear.
fn told(name: &str, error: OciDistributionError) -> anyhow::Error {
    match error {
        OciDistributionError::DigestError(DigestError::VerificationError { expected, actual }) => {
            anyhow::anyhow!("the image {name} has the digest {actual}, not {expected}")
        }
        OciDistributionError::ServerError { code, url, .. } => anyhow::anyhow!("{url} answers {code}"),
        OciDistributionError::AuthenticationFailure(_) => {
            anyhow::anyhow!("the registry of {name} does not let everybody pull it, and Weir has no credentials")
        }
        error => error.into(),
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
