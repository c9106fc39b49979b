//! Which of the replicas leads: the one that holds a Lease, as Kubernetes' own components have it
//! (<https://kubernetes.io/docs/concepts/architecture/leases/#leader-election>).

use anyhow::Result;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The Lease.
const NAME: &str = "weir-leader";
/// A Lease that was not renewed for so long is free.
const LASTS: Duration = Duration::from_secs(15);
/// Who could not renew it for so long leads no more: well before another may.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(3);

/// A pod of the control plane.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The namespace of all of them.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
}

/// Strives to lead until the control plane closes; `leads` tells whether this replica does.
pub async fn strive(client: Client, replica: Replica, leads: watch::Sender<bool>, mut closing: watch::Receiver<bool>) {
    let Replica { namespace, name } = replica;
    let mut candidate = Candidate { leases: Api::namespaced(client, &namespace), replica: name, seen: None };
    let mut held: Option<Instant> = None;
    loop {
        let start = Instant::now();
        match tokio::time::timeout(PAUSE, candidate.attempt()).await {
            Ok(Ok(holds)) => held = holds.then_some(start),
            Ok(Err(error)) => tracing::warn!("the Lease {namespace}/{NAME}: {error:#}"),
            Err(_) => tracing::warn!("the Lease {namespace}/{NAME}: no answer within {PAUSE:?}"),
        }
        let now = held.is_some_and(|held| held.elapsed() < DEADLINE);
        if leads.send_if_modified(|leads| std::mem::replace(leads, now) != now) {
            tracing::info!("{}", if now { "this replica leads" } else { "this replica leads no more" });
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = closing.changed() => break,
        }
    }
    if leads.send_replace(false)
        && let Err(error) = candidate.release().await
    {
        tracing::warn!("the Lease {namespace}/{NAME} is left to run out: {error:#}");
    }
}

struct Candidate {
    leases: Api<Lease>,
    replica: String,
    /// The Lease's version, and since when it is seen: clocks of other machines are not relied on.
    seen: Option<(String, Instant)>,
}

impl Candidate {
    /// Takes or renews the Lease if that may be; whether it is held now.
    async fn attempt(&mut self) -> Result<bool> {
        let Some(lease) = self.leases.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.into()), ..Default::default() };
            let lease = Lease { metadata, spec: Some(taken(None, &self.replica)) };
            return written(self.leases.create(&PostParams::default(), &lease).await);
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = self.seen.take().filter(|(seen, _)| *seen == version).map_or_else(Instant::now, |(_, since)| since);
        self.seen = Some((version, since));
        if !may_take(lease.spec.as_ref(), &self.replica, since.elapsed()) {
            return Ok(false);
        }
        let lease = Lease { spec: Some(taken(lease.spec.as_ref(), &self.replica)), ..lease };
        written(self.leases.replace(NAME, &PostParams::default(), &lease).await)
    }

    /// Gives it up, so that nobody has to wait.
    async fn release(&self) -> Result<()> {
        let mut lease = self.leases.get(NAME).await?;
        if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_ref() == Some(&self.replica)) {
            spec.holder_identity = None;
            self.leases.replace(NAME, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }
}

/// Whether the API server took it; not if another replica was first.
fn written(answer: kube::Result<Lease>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// `unchanged`: how long nobody has written it.
fn may_take(spec: Option<&LeaseSpec>, replica: &str, unchanged: Duration) -> bool {
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    holder.is_empty() || holder == replica || unchanged > lasts.map_or(LASTS, Duration::from_secs)
}

fn taken(before: Option<&LeaseSpec>, replica: &str) -> LeaseSpec {
    let now = MicroTime(Timestamp::now());
    let mut spec = before.cloned().unwrap_or_default();
    if spec.holder_identity.as_deref() != Some(replica) {
        spec.lease_transitions = Some(before.map_or(0, |spec| spec.lease_transitions.unwrap_or(0).saturating_add(1)));
        spec.acquire_time = Some(now.clone());
        spec.holder_identity = Some(replica.into());
    }
    spec.lease_duration_seconds = i32::try_from(LASTS.as_secs()).ok();
    spec.renew_time = Some(now);
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_it_is_free_ones_own_or_forgotten() {
        let held = taken(None, "a");
        let free = LeaseSpec { holder_identity: None, ..held.clone() };
        for (spec, replica, unchanged, expected) in [
            (None, "b", 0, true),
            (Some(&free), "b", 0, true),
            (Some(&held), "a", 0, true),
            (Some(&held), "b", 15, false),
            (Some(&held), "b", 16, true),
        ] {
            assert_eq!(may_take(spec, replica, Duration::from_secs(unchanged)), expected, "{spec:?} {replica} {unchanged}");
        }
    }

    #[test]
    fn taking_counts_and_renewing_does_not() {
        let first = taken(None, "a");
        let renewed = taken(Some(&first), "a");
        let second = taken(Some(&renewed), "b");
        assert_eq!([&first, &renewed, &second].map(|spec| spec.lease_transitions), [Some(0), Some(0), Some(1)]);
        assert_eq!((&renewed.acquire_time, second.holder_identity.as_deref()), (&first.acquire_time, Some("b")));
    }
}
