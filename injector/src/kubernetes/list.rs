//! All objects of a kind, in pages.

use super::access::message;
use anyhow::{Result, anyhow};
use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// What the chart labels the objects of the control plane with, in whichever namespace it was installed.
pub const CONTROL_PLANE: &str = "app=weir,app.kubernetes.io/component=control-plane";
/// Objects of one answer.
const PAGE: u32 = 500;

/// Lists them; `labels` is a selector, empty for all.
pub async fn all<K: Clone + Debug + DeserializeOwned>(api: &Api<K>, labels: &str) -> Result<Vec<K>> {
    let mut params = ListParams::default().labels(labels).limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|error| anyhow!("{}", message(&error)))?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(objects),
        }
    }
}
