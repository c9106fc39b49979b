//! Which canary a user means.

use crate::canary::page::CanaryStatus;
use anyhow::{Result, bail};

/// What a canary is called among people: `SERVICE/SUBSET`, with a Service of the mesh by its short name.
pub fn name(canary: &CanaryStatus) -> String {
    format!("{}/{}", service(canary), canary.canary)
}

fn service(canary: &CanaryStatus) -> &str {
    let short = canary.service.split_once(&format!(".{}.svc.", canary.namespace));
    short.map_or(canary.service.as_str(), |(name, _)| name)
}

/// The one that is called so.
pub fn find(canaries: Vec<CanaryStatus>, asked: &str) -> Result<CanaryStatus> {
    let is = |canary: &CanaryStatus| match asked.split_once('/') {
        Some((of, subset)) => canary.canary == subset && (canary.service == of || service(canary) == of),
        None => canary.canary == asked,
    };
    let listed = |canaries: &[CanaryStatus]| {
        canaries.iter().map(|canary| format!("\n  {} -n {}", name(canary), canary.namespace)).collect::<String>()
    };
    let (mut found, others): (Vec<_>, Vec<_>) = canaries.into_iter().partition(is);
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (Some(last), _) => {
            found.push(last);
            bail!("{asked} may mean several canaries; say which:{}", listed(&found))
        }
        (None, _) if others.is_empty() => bail!("there is no canary {asked}, and no other one"),
        (None, _) => bail!("there is no canary {asked}; there is:{}", listed(&others)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::page::{Answers, Verdict};

    fn canary(service: &str, canary: &str, namespace: &str) -> CanaryStatus {
        CanaryStatus {
            service: service.into(),
            canary: canary.into(),
            namespace: namespace.into(),
            stable: "v1".into(),
            weights: Vec::new(),
            share: 10_000,
            verdict: Verdict::Open,
            why: String::new(),
            until_ms: None,
            evidence: None,
            holds: 0,
            of_canary: Answers::default(),
            of_stable: Answers::default(),
            held_by_proxies: 0,
        }
    }

    #[test]
    fn a_subset_alone_names_a_canary_if_no_other_is_called_so() {
        let all = || {
            vec![
                canary("reviews.shop.svc.cluster.local", "v2", "shop"),
                canary("reviews.bank.svc.cluster.local", "v2", "bank"),
                canary("www.example.com", "v3", "shop"),
            ]
        };
        let found = |asked: &str| find(all(), asked).map(|canary| name(&canary)).map_err(|error| error.to_string());
        assert_eq!(found("v3"), Ok("www.example.com/v3".into()));
        assert_eq!(found("reviews.bank.svc.cluster.local/v2"), Ok("reviews/v2".into()));
        let both = "v2 may mean several canaries; say which:\n  reviews/v2 -n shop\n  reviews/v2 -n bank";
        assert_eq!(found("v2"), Err(both.into()));
        assert_eq!(found("reviews/v2"), Err(format!("reviews/{both}")));
        let none = "there is no canary v9; there is:\n  reviews/v2 -n shop\n  reviews/v2 -n bank\n  www.example.com/v3 -n shop";
        assert_eq!(found("v9"), Err(none.into()));
        assert_eq!(find(vec![], "v9").unwrap_err().to_string(), "there is no canary v9, and no other one");
    }
}
