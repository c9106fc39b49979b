//! Compares the versions of the services that have a governor, together with the other workers of this Envoy.
//!
//! What is known of a canary is one value in what they share. A worker brings its answers there when the canary has answered, or at a
//! tick; and takes from there what part of its users the canary may have, so that all hold it back, and configurations come and go.

use crate::{HELD, reports};
use std::cell::RefCell;
use weir_policy::canary::governor::{Answer, EVERYONE, Ended, Governor, Phase, Reason, Record, State, Subset, admits};
use weir_policy::canary::{self, BUCKETS, Compiled, Policy};
use weir_policy::{STABLE, SUBSET_HEADER, WITHOUT, destination_of_cluster};
use weir_shell::{Headers, Level, count, log, now, number, property, random, set_gauge, set_header, share, shared};

/// So many requests are awaited at once; of more the oldest are forgotten. Envoy numbers them one after the other.
const MOST_ASKED: usize = 4096;
/// So many answers are kept until they are brought in; more of the stable are not needed meanwhile.
const MOST_PENDING: usize = 32;
/// So often a worker tries to bring its answers in where others do at the same time.
const ATTEMPTS: u32 = 5;

/// The number of a request and its user's bucket, if that is known.
type Asked = (u32, Option<u16>);

/// What this worker sees of all services with a governor.
#[derive(Debug)]
pub struct Governed {
    /// Whether there is any.
    exists: bool,
    /// The cluster by which the control plane is told.
    report_to: Option<Box<str>>,
    seen: RefCell<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The requests under way with their users' buckets, if they are known, each at its number's place. Only requests that a weight dealt:
    /// who asks for a subset, or must not have a canary, is another kind of user.
    asked: Box<[Option<Asked>]>,
    /// By their place in the policy.
    services: Box<[Service]>,
}

#[derive(Debug, Default)]
struct Service {
    /// Whether the control plane is told.
    reports: bool,
    canaries: Vec<Known>,
    /// Answers that were not brought in, the canaries' by their place.
    pending: Vec<(Option<usize>, Answer)>,
}

/// A canary that has answered here or in another worker.
#[derive(Debug)]
struct Known {
    name: Box<str>,
    /// Which part of its users it may have: by what is known here, and by what the control plane says; and since when that is not all.
    parts: [(u16, u32); 2],
}

impl Governed {
    /// Begins with what the workers know already.
    pub fn new(policy: &Policy) -> Self {
        let report_to: Option<Box<str>> = policy.report_to().map(Into::into);
        let service = |rules| {
            let mut service = Service { reports: report_to.is_some(), ..Service::default() };
            service.learn(rules);
            service.sync(rules, now());
            service
        };
        let services: Box<[Service]> = policy.governed().map(service).collect();
        let exists = !services.is_empty();
        let asked = vec![None; if exists { MOST_ASKED } else { 0 }].into();
        Self { exists, report_to, seen: RefCell::new(Seen { asked, services }) }
    }

    /// Takes note of a request that goes by its user's bucket, or without one by the weights alone; and asks for a route without the canary
    /// that the user may not have. `since` is when the user came, if that matters.
    pub fn ask(&self, canary: &Compiled, request: u32, bucket: Option<u16>, since: Option<u32>) {
        let Some(rules) = &canary.governed else { return };
        let mut seen = self.seen.borrow_mut();
        let Seen { asked, services } = &mut *seen;
        let service = services.get(rules.place).filter(|service| service.holds());
        let since = since.filter(|_| rules.spares_old_users);
        // Who keeps a canary that others are kept from is another kind of user.
        if !service.is_some_and(|service| service.canaries.iter().any(|known| known.spares(since)))
            && let Some(place) = asked.get_mut(place_of(request))
        {
            *place = Some((request, bucket));
        }
        let Some(service) = service else { return };
        // Without a user it is a part of the requests that may have the canary.
        let Some(bucket) = bucket.or_else(draw_bucket) else { return };
        let mut kept_from = service.canaries.iter().filter(|known| !known.admits(bucket, since));
        match (kept_from.next(), kept_from.next()) {
            (None, _) => return,
            (Some(one), None) => set_header(Headers::Request, SUBSET_HEADER, [WITHOUT, &one.name].concat().as_bytes()),
            (Some(_), Some(_)) => set_header(Headers::Request, SUBSET_HEADER, STABLE.as_bytes()),
        }
        count(HELD);
    }

    /// Whether an ended request is to be looked at: the bucket of its user, if that is known.
    pub fn asked(&self, request: u32) -> Option<Option<u16>> {
        if !self.exists {
            return None;
        }
        let mut seen = self.seen.borrow_mut();
        let (_, bucket) = seen.asked.get_mut(place_of(request))?.take_if(|(asked, _)| *asked == request)?;
        Some(bucket)
    }

    /// Takes in how the request that has ended went.
    pub fn answered(&self, canary: &Compiled, cluster: &[u8], bucket: Option<u16>) {
        let Some(rules) = &canary.governed else { return };
        let Some((_, name)) = destination_of_cluster(cluster) else { return };
        let subset = rules.subset(name);
        let mut seen = self.seen.borrow_mut();
        let Some(service) = seen.services.get_mut(rules.place) else { return };
        if subset == Subset::Stable && service.pending.len() >= MOST_PENDING {
            return;
        }
        let Some(answer) = ended().answer(subset, bucket) else { return };
        match subset {
            Subset::Stable => service.pending.push((None, answer)),
            Subset::Canary => {
                let place = service.place(rules, name);
                service.pending.push((Some(place), answer));
                service.sync(rules, now());
            }
        }
    }

    /// Brings in what is pending, and learns what the others did.
    pub fn tick(&self, policy: &Policy) {
        let mut seen = self.seen.borrow_mut();
        for rules in policy.governed() {
            if let Some(service) = seen.services.get_mut(rules.place) {
                service.learn(rules);
                service.sync(rules, now());
            }
        }
        if let Some(cluster) = &self.report_to {
            reports::tell(cluster, now());
        }
    }
}

fn place_of(request: u32) -> usize {
    request as usize % MOST_ASKED
}

impl Service {
    fn holds(&self) -> bool {
        self.canaries.iter().any(|known| known.parts.iter().any(|(share, _)| *share < EVERYONE))
    }

    /// The place of a canary; one that was not known is made known to all.
    fn place(&mut self, rules: &canary::Governed, name: &[u8]) -> usize {
        let find = |canaries: &[Known]| canaries.iter().position(|known| known.name.as_bytes() == name);
        find(&self.canaries).unwrap_or_else(|| {
            self.learn(rules);
            if let Some(place) = find(&self.canaries) {
                return place;
            }
            self.canaries.push(Known::new(&String::from_utf8_lossy(name)));
            let names: Vec<&str> = self.canaries.iter().map(|known| known.name.as_ref()).collect();
            // Of two that come at once one is made known with its next answer.
            share(&rules.name, names.join("\n").as_bytes(), 0);
            self.canaries.len() - 1
        })
    }

    /// Learns of the canaries that answered in other workers.
    fn learn(&mut self, rules: &canary::Governed) {
        let names = shared(&rules.name).map(|(names, _)| names).unwrap_or_default();
        for name in String::from_utf8_lossy(&names).lines() {
            if !self.canaries.iter().any(|known| known.name.as_ref() == name) {
                self.canaries.push(Known::new(name));
            }
        }
    }

    fn sync(&mut self, rules: &canary::Governed, now: u64) {
        for (place, known) in self.canaries.iter_mut().enumerate() {
            let concerns = |of: &Option<usize>| of.is_none_or(|of| of == place);
            let answers: Vec<Answer> = self.pending.iter().filter(|(of, _)| concerns(of)).map(|(_, answer)| *answer).collect();
            known.sync(rules, &answers, now, self.reports);
        }
        self.pending.clear();
    }
}

impl Known {
    fn new(name: &str) -> Self {
        Self { name: name.into(), parts: [(EVERYONE, 0); 2] }
    }

    /// Whether a user keeps it who came then.
    fn spares(&self, since: Option<u32>) -> bool {
        self.parts.iter().any(|(share, closed)| *share < EVERYONE && since.is_some_and(|since| since < *closed))
    }

    fn admits(&self, bucket: u16, since: Option<u32>) -> bool {
        self.parts.iter().all(|(share, closed)| admits(*share, bucket) || since.is_some_and(|since| since < *closed))
    }

    fn sync(&mut self, rules: &canary::Governed, answers: &[Answer], now: u64, reports: bool) {
        let key = format!("{}\n{}", rules.name, self.name);
        let order = rules.order(&self.name);
        for _ in 0..ATTEMPTS {
            let (bytes, version) = shared(&key).unwrap_or_default();
            let before = State::from_bytes(&bytes);
            let (mut state, mut closed) = (before, Vec::new());
            rules.governor.obey(&mut state, order, now, &mut closed);
            rules.governor.observe(&mut state, answers, now, &mut closed);
            let is_set = state == before || share(&key, &state.to_bytes(), version);
            if is_set {
                if state.phase() != before.phase() {
                    self.tell(rules, &before, &state);
                }
                if state.share() != before.share() {
                    set_gauge(&format!("weir_canary_share.{}.{}", self.name, rules.name), state.share().into());
                }
                let mut records: Vec<Record> = closed.into_iter().map(|block| Record::Block(block.into())).collect();
                if state.own_share() != before.own_share() {
                    records.push(Record::Share(state.own_share()));
                }
                if reports && !records.is_empty() {
                    reports::add(&key, &records);
                }
                self.parts = [(state.own_share(), state.closed_since()), (order.share, order.since)];
                return;
            }
        }
    }

    /// Tells that the canary may have another part of its users.
    fn tell(&self, rules: &canary::Governed, before: &State, state: &State) {
        let what = match state.phase() {
            Phase::Held { until_ms } => format!("held back until {until_ms} ms{}", why(&rules.governor, before, state)),
            Phase::Probing { share, .. } => format!("probed with {} of 10000 of its users", share),
            Phase::Open { .. } => "no longer held back".into(),
        };
        log(Level::Warn, &format!("canary {} of {}: {what}", self.name, rules.name));
    }
}

fn why(governor: &Governor, before: &State, state: &State) -> String {
    let of = |subset| {
        let total = state.total(subset);
        // Fractions would weigh more here than all else.
        format!("{} of {} failed, the others took {} us", total.failures, total.requests, (total.mean_ms() * 1_000.0) as u64)
    };
    let reason = match state.reason() {
        Some(Reason::Failures) => "fails more often",
        Some(Reason::Latency) => "is slower",
        None => "is worse",
    };
    let needed = governor.needed(before) as u64;
    format!(": it {reason} than the stable: {}; of the stable {}; more than 10^{needed} to 1", of(Subset::Canary), of(Subset::Stable))
}

fn draw_bucket() -> Option<u16> {
    Some((random()? as u32 % u32::from(BUCKETS)) as u16)
}

fn ended() -> Ended {
    // Envoy makes up a status of gRPC for every answer.
    let grpc = || {
        let kind = property("request\0headers\0content-type")?;
        if kind.starts_with(b"application/grpc") { number("response\0grpc_status") } else { None }
    };
    Ended {
        status: number("response\0code").unwrap_or(0),
        flags: number("response\0flags").unwrap_or(0),
        grpc: grpc(),
        nanos: number("response\0backend_latency"),
    }
}
