//! What is known of each canary in the whole mesh, and what part of its users it may have. Pure: who calls says what time it is.

use super::page::{Answers, CanaryStatus, Evidence, Verdict};
use super::recent::Recent;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_mesh::mesh::Mesh;
use weir_mesh::mesh::canary::{Canary, Name, Order, Orders};
use weir_policy::canary::governor::{EVERYONE, Governor, Phase, Reason, Record, State, Subset};

/// All canaries by name.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<Name, Entry>);

#[derive(Clone, Debug, Default)]
struct Entry {
    /// As the mesh has it.
    canary: Option<Canary>,
    /// What compares it.
    governor: Option<Governor>,
    state: State,
    /// Since when it is held by hand, in seconds since 1970.
    by_hand: Option<u32>,
    round: u32,
    /// Why it was held by the governor last.
    reason: String,
    recent: [Recent; 2],
    /// The proxies that by themselves give it less, and how much.
    less: BTreeMap<String, u16>,
}

/// What outlives the control plane, by the canary's service and name.
pub type Kept = BTreeMap<String, KeptCanary>;

/// What outlives the control plane of one canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptCanary {
    /// Since when it is held by hand, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<u32>,
    /// See [`Order::round`].
    pub round: u32,
    /// Why it was held by the governor last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The governor's state as bytes, in Base64.
    pub state: String,
}

impl Ledger {
    /// What was kept.
    pub fn load(kept: &Kept) -> Ledger {
        let entry = |(name, kept): (&String, &KeptCanary)| {
            let (service, canary) = name.split_once('/')?;
            let bytes = BASE64_STANDARD.decode(&kept.state).unwrap_or_default();
            let KeptCanary { by_hand, round, ref reason, .. } = *kept;
            let entry = Entry { state: State::from_bytes(&bytes), by_hand, round, reason: reason.clone(), ..Entry::default() };
            Some((Name { service: service.into(), canary: canary.into() }, entry))
        };
        Ledger(kept.iter().filter_map(entry).collect())
    }

    /// What is to be kept.
    pub fn keep(&self) -> Kept {
        let kept = |entry: &Entry| KeptCanary {
            by_hand: entry.by_hand,
            round: entry.round,
            reason: entry.reason.clone(),
            state: BASE64_STANDARD.encode(entry.state.to_bytes()),
        };
        self.0.iter().map(|(name, entry)| (name.to_string(), kept(entry))).collect()
    }

    /// Takes another mesh in: its canaries are known from now on, others no more, unless they are held by hand.
    pub fn follow(&mut self, mesh: &Mesh) {
        for entry in self.0.values_mut() {
            (entry.canary, entry.governor) = (None, None);
        }
        for canary in &mesh.canaries {
            let entry = self.0.entry(canary.name.clone()).or_default();
            entry.governor = canary.governor.as_ref().map(weir_policy::canary::Governor::of_mesh);
            entry.canary = Some(canary.clone());
        }
        self.0.retain(|_, entry| entry.canary.is_some() || entry.by_hand.is_some());
        let pods: BTreeSet<String> = mesh.workloads.iter().map(|pod| format!("{}.{}", pod.name, pod.namespace)).collect();
        self.0.values_mut().for_each(|entry| entry.less.retain(|pod, _| pods.contains(pod)));
    }

    /// Takes in what a pod's proxy says of a canary.
    pub fn take(&mut self, pod: &str, name: &Name, record: &Record, now_ms: u64) {
        let Some(entry) = self.0.get_mut(name) else { return };
        match record {
            Record::Share(EVERYONE) => drop(entry.less.remove(pod)),
            Record::Share(share) => drop(entry.less.insert(pod.into(), *share)),
            Record::Block(block) => {
                let Some(governor) = entry.governor.filter(|_| entry.by_hand.is_none()) else { return };
                for (recent, subset) in entry.recent.iter_mut().zip([Subset::Canary, Subset::Stable]) {
                    recent.add(block, subset);
                }
                entry.change(|state| governor.take(state, block, now_ms));
            }
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, now_ms: u64) {
        for entry in self.0.values_mut() {
            if let Some(governor) = entry.governor.filter(|_| entry.by_hand.is_none()) {
                entry.change(|state| governor.advance(state, now_ms));
            }
        }
    }

    /// Gives a canary nobody, until it is resumed.
    ///
    /// # Errors
    /// If there is none of that name, or nothing by which proxies could be told.
    pub fn hold(&mut self, name: &Name, now_ms: u64) -> Result<(), String> {
        let entry = self.find(name)?;
        if entry.governor.is_none() && entry.by_hand.is_none() {
            return Err(format!("{name} has no governor: add `governor: {{}}` to its policy"));
        }
        entry.by_hand.get_or_insert(seconds(now_ms));
        Ok(())
    }

    /// Gives a canary all of its users, in each proxy too; what was known of it is forgotten. Rounds are seconds since 1970, so that each
    /// is later than all before, whoever counted these.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn resume(&mut self, name: &Name, now_ms: u64) -> Result<(), String> {
        let entry = self.find(name)?;
        let round = seconds(now_ms).max(entry.round.saturating_add(1));
        let (canary, governor) = (entry.canary.take(), entry.governor);
        *entry = Entry { canary, governor, round, ..Entry::default() };
        Ok(())
    }

    fn find(&mut self, name: &Name) -> Result<&mut Entry, String> {
        self.0.get_mut(name).ok_or_else(|| format!("there is no canary {name}"))
    }

    /// What holds in the whole mesh; of a canary for which nothing but the usual does, nothing.
    pub fn orders(&self) -> Orders {
        let order = |entry: &Entry| Order { share: entry.share(), round: entry.round, since: entry.since(), why: entry.why() };
        let orders = self.0.iter().map(|(name, entry)| (name.clone(), order(entry)));
        orders.filter(|(_, order)| order.share < EVERYONE || order.round > 0).collect()
    }

    /// What people are told.
    pub fn status(&self) -> Vec<CanaryStatus> {
        self.0.iter().map(|(name, entry)| entry.status(name)).collect()
    }
}

fn seconds(millis: u64) -> u32 {
    u32::try_from(millis / 1_000).unwrap_or(u32::MAX)
}

impl Entry {
    fn share(&self) -> u16 {
        if self.by_hand.is_some() { 0 } else { self.state.share() }
    }

    /// Since when it has less than all of its users.
    fn since(&self) -> u32 {
        let held = (self.state.share() < EVERYONE).then(|| self.state.closed_since());
        match (held, self.by_hand) {
            (Some(held), Some(by_hand)) => held.min(by_hand),
            (held, by_hand) => held.or(by_hand).unwrap_or_default(),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut State)) {
        let holds = self.state.holds();
        change(&mut self.state);
        if self.state.holds() > holds {
            self.reason = self.reason();
        }
    }

    /// Why it has less than its weights give it.
    fn why(&self) -> String {
        match self.state.phase() {
            _ if self.by_hand.is_some() => "it was held by hand".into(),
            Phase::Open { .. } => String::new(),
            Phase::Held { .. } => self.reason.clone(),
            Phase::Probing { share, .. } => format!("{:.1} % of them, after {}", f64::from(share) / 100.0, self.reason),
        }
    }

    fn reason(&self) -> String {
        let [canary, stable] = &self.recent;
        let failed = |recent: &Recent| {
            let (requests, failures) = recent.counts();
            format!("{failures} of {requests}")
        };
        let median = |recent: &Recent| recent.percentile(50).map_or_else(|| "nothing".into(), |millis| format!("{millis:.1} ms"));
        match self.state.reason() {
            Some(Reason::Latency) => {
                format!("it is slower than the stable: {} in the median, the stable {}", median(canary), median(stable))
            }
            _ => format!("it fails more often than the stable: {} failed, of the stable's {}", failed(canary), failed(stable)),
        }
    }

    fn status(&self, name: &Name) -> CanaryStatus {
        let answers = |subset, recent: &Recent| {
            let (total, (requests, failures)) = (self.state.total(subset), recent.counts());
            let success = (requests > 0).then(|| 100.0 * (requests - failures.min(requests)) as f64 / requests as f64);
            Answers {
                requests: total.requests,
                failures: total.failures,
                success,
                p50_ms: recent.percentile(50),
                p99_ms: recent.percentile(99),
            }
        };
        let [canary, stable] = &self.recent;
        let (verdict, until_ms) = match self.state.phase() {
            _ if self.by_hand.is_some() => (Verdict::HeldByHand, None),
            _ if self.governor.is_none() => (Verdict::NoGovernor, None),
            Phase::Open { .. } => (Verdict::Open, None),
            Phase::Held { until_ms } => (Verdict::Held, Some(until_ms)),
            Phase::Probing { .. } => (Verdict::Probing, None),
        };
        let evidence = self.governor.map(|governor| Evidence {
            failures: self.state.evidence(Reason::Failures),
            latency: self.state.evidence(Reason::Latency),
            needed: governor.needed(&self.state),
        });
        let of_mesh = self.canary.as_ref();
        CanaryStatus {
            service: name.service.clone(),
            canary: name.canary.clone(),
            namespace: of_mesh.map(|canary| canary.namespace.clone()).unwrap_or_default(),
            stable: of_mesh.map(|canary| canary.stable.clone()).unwrap_or_default(),
            weights: of_mesh.map(|canary| canary.weights.clone()).unwrap_or_default(),
            share: self.share(),
            verdict,
            why: self.why(),
            until_ms,
            evidence,
            holds: self.state.holds(),
            of_canary: answers(Subset::Canary, canary),
            of_stable: answers(Subset::Stable, stable),
            held_by_proxies: self.less.len(),
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
