//! How a command of this program finds a cluster, as kubectl does: $KUBECONFIG, else ~/.kube/config, else the pod that it runs in.

use anyhow::{Context, Result, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// An API server that does not take a connection within this is told as one that cannot be reached.
const CONNECT: Duration = Duration::from_secs(10);

/// Which cluster, and where in it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Access {
    /// File with clusters and credentials; else $KUBECONFIG, else ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Which of the file's contexts; else its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace; else the context's
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
}

impl Access {
    /// A client, and the namespace: the one that was named, else the context's. Nothing is asked yet.
    pub async fn client(&self) -> Result<(Client, String)> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| anyhow!("{}", chain(&error)))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|error| anyhow!("{}", chain(&error)))
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options).await.map_err(|error| anyhow!("{}", chain(&error))),
            None => Config::infer().await.map_err(|error| anyhow!("{}", chain(&error))),
        };
        let mut config = config.context("no access to a cluster")?;
        config.connect_timeout = Some(CONNECT);
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| anyhow!("no access to a cluster: {}", message(&error)))?;
        Ok((client, namespace))
    }
}

/// What the API server said, or why it could not be asked, in one line.
pub fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("the API server answered {} {}", status.code, status.reason),
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(error) => format!("the API server does not answer: {}", chain(error.as_ref())),
        error => chain(error),
    }
}

/// An error with its causes, without those that repeat what stands before them.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: 'https://192.0.2.1:6443'}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: one, context: {cluster: c, user: u, namespace: shop}}
- {name: other, context: {cluster: c, user: u}}
";

    async fn namespace(context: Option<&str>, namespace: Option<&str>) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, FILE).unwrap();
        let access = Access { kubeconfig: Some(path), context: context.map(str::to_string), namespace: namespace.map(str::to_string) };
        Ok(access.client().await?.1)
    }

    #[tokio::test]
    async fn the_namespace_is_that_which_was_named_else_the_contexts() {
        assert_eq!(namespace(None, None).await.unwrap(), "shop");
        assert_eq!(namespace(Some("other"), None).await.unwrap(), "default");
        assert_eq!(namespace(None, Some("mine")).await.unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_context_that_the_file_lacks_is_named() {
        let error = format!("{:#}", namespace(Some("third"), None).await.unwrap_err());
        assert!(error.starts_with("no access to a cluster: ") && error.contains("third"), "{error}");
        let absent = Access { kubeconfig: Some("/nowhere".into()), ..Access::default() };
        let error = format!("{:#}", absent.client().await.err().unwrap());
        assert!(error.contains("/nowhere"), "{error}");
    }
}
