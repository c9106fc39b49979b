//! Who a proxy is: its projected service account token, reviewed by the API server.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use kube::api::{Api, PostParams};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weir_mesh::node::Node;

/// The audience of the tokens that proxies show.
pub const AUDIENCE: &str = "weir";
/// How long a review holds. A stream that began stays: what it may see does not grow.
const LASTS: Duration = Duration::from_secs(60);
/// Where Kubernetes says which pod a token is bound to
/// (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims>).
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// The pod whose token was shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no `authorization: Bearer TOKEN`.
    #[error("no token was shown: a proxy sends its service account token of the audience {AUDIENCE:?}")]
    NoToken,
    /// The API server does not know it.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// It is valid, and of no pod.
    #[error("the token is not bound to a pod")]
    NoPod,
    /// It is another pod's.
    #[error("the token is of the pod {}/{}, which may not ask for the configuration of {node}", pod.namespace, pod.name)]
    Other {
        /// Whose token it is.
        pod: Pod,
        /// Whose configuration was asked for.
        node: String,
    },
    /// The API server did not answer.
    #[error("the token could not be reviewed: {0}")]
    Unreviewed(String),
}

/// Reviews tokens, each once in a while.
#[derive(Clone)]
pub struct Tokens {
    client: Client,
    known: Arc<Mutex<Known>>,
}

/// By the token's digest: when it was reviewed, and whose it is.
type Known = HashMap<[u8; 32], (Instant, Pod)>;

impl Tokens {
    /// With the API server that reviews them.
    pub fn new(client: Client) -> Tokens {
        Tokens { client, known: Arc::default() }
    }

    /// The pod whose token the header `authorization` shows.
    pub async fn shown(&self, authorization: Option<&str>) -> Result<Pod, Refused> {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refused::NoToken)?;
        self.pod(token.trim()).await
    }

    /// The pod that a token is bound to.
    async fn pod(&self, token: &str) -> Result<Pod, Refused> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some((since, pod)) = self.known().get(&digest)
            && since.elapsed() < LASTS
        {
            return Ok(pod.clone());
        }
        let spec = TokenReviewSpec { token: Some(token.into()), audiences: Some(vec![AUDIENCE.into()]) };
        let review = TokenReview { spec, ..Default::default() };
        let reviewed = Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let pod = bound(reviewed.map_err(|error| Refused::Unreviewed(error.to_string()))?.status.unwrap_or_default())?;
        let mut known = self.known();
        known.retain(|_, (since, _)| since.elapsed() < LASTS);
        known.insert(digest, (Instant::now(), pod.clone()));
        Ok(pod)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bound(status: TokenReviewStatus) -> Result<Pod, Refused> {
    // An API server that does not know audiences ignores them, and then names none.
    let for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !for_us {
        return Err(Refused::Invalid(status.error.unwrap_or_else(|| format!("it is not for the audience {AUDIENCE:?}"))));
    }
    let user = status.user.unwrap_or_default();
    let account = user.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:")?.split_once(':'));
    let name = user.extra.as_ref().and_then(|extra| extra.get(POD_NAME)?.first());
    match (account, name) {
        (Some((namespace, _)), Some(name)) => Ok(Pod { namespace: namespace.into(), name: name.clone() }),
        _ => Err(Refused::NoPod),
    }
}

/// Whether a pod is the node that it asks as.
pub fn may(pod: Pod, node: &Node) -> Result<(), Refused> {
    if pod.namespace == node.namespace && pod.name == node.pod {
        return Ok(());
    }
    Err(Refused::Other { pod, node: format!("{}/{}", node.namespace, node.pod) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(authenticated: bool, audience: &str, username: &str, pod: Option<&str>) -> TokenReviewStatus {
        let extra = pod.map(|pod| json!({POD_NAME: [pod]}));
        serde_json::from_value(json!({
            "authenticated": authenticated, "audiences": [audience], "user": {"username": username, "extra": extra},
        }))
        .unwrap()
    }

    #[test]
    fn a_token_names_its_pod_if_it_is_valid_for_us_and_bound_to_one() {
        let account = "system:serviceaccount:shop:default";
        let pod = Pod { namespace: "shop".into(), name: "a-0".into() };
        assert_eq!(bound(status(true, AUDIENCE, account, Some("a-0"))), Ok(pod));
        assert_eq!(bound(status(true, AUDIENCE, account, None)), Err(Refused::NoPod));
        assert_eq!(bound(status(true, AUDIENCE, "admin", Some("a-0"))), Err(Refused::NoPod));
        for refused in [status(false, AUDIENCE, account, Some("a-0")), status(true, "other", account, Some("a-0")), Default::default()] {
            assert!(matches!(bound(refused), Err(Refused::Invalid(_))));
        }
    }

    #[test]
    fn a_pod_may_ask_for_itself_alone() {
        let node: Node = "sidecar~198.18.1.2~a-0.shop~shop.svc.cluster.local".parse().unwrap();
        let pod = |namespace: &str, name: &str| Pod { namespace: namespace.into(), name: name.into() };
        assert_eq!(may(pod("shop", "a-0"), &node), Ok(()));
        for other in [pod("shop", "a-1"), pod("other", "a-0")] {
            let refused = may(other.clone(), &node).unwrap_err().to_string();
            let expected =
                format!("the token is of the pod {}/{}, which may not ask for the configuration of shop/a-0", other.namespace, other.name);
            assert_eq!(refused, expected);
        }
    }
}
