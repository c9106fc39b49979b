//! Drives the ledger: claims of proxies, commands, time and other worlds go in, orders come out.

use super::ledger::{Kept, Ledger};
use super::page::Page;
use super::report::Rates;
use super::store::Store;
use super::waiting::Waiting;
use crate::world::World;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use weir_mesh::mesh::canary::{Name, Orders};
use weir_policy::canary::governor::Record;

/// How often time passes.
const TICK: Duration = Duration::from_millis(200);
/// What changes all the time, the evidence, is kept so often.
const KEEP: Duration = Duration::from_secs(60);
/// Claims that wait to be taken; those beyond are lost.
const BACKLOG: usize = 4096;

/// What a proxy says of a canary.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Whose proxy, `POD.NAMESPACE`.
    pub pod: String,
    /// Of which canary.
    pub name: Name,
    /// What.
    pub record: Record,
}

/// What somebody wants.
#[derive(Debug)]
pub enum Command {
    /// That a canary has nobody.
    Hold(Name),
    /// That a canary has all of its users, and is judged anew.
    Resume(Name),
}

/// Where the engine is reached, cheap to clone.
#[derive(Clone, Debug)]
pub struct Canaries {
    /// How often pods may report.
    pub rates: Rates,
    claims: mpsc::Sender<Claim>,
    asked: mpsc::Sender<Asked>,
    /// Where another replica sums up: what it has not fetched yet.
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug)]
enum Asked {
    Page(oneshot::Sender<Page>),
    Command(Command, oneshot::Sender<Result<(), String>>),
}

impl Canaries {
    /// Takes a claim in, if there is room.
    pub fn claim(&self, claim: Claim) {
        if self.claims.try_send(claim).is_err() {
            tracing::debug!("a claim is lost: too many wait");
        }
    }

    /// How the canaries stand.
    pub async fn page(&self) -> Page {
        let (send, receive) = oneshot::channel();
        let _ = self.asked.send(Asked::Page(send)).await;
        receive.await.unwrap_or_default()
    }

    /// Does what somebody wants; the error says why not.
    pub async fn steer(&self, command: Command) -> Result<(), String> {
        let (send, receive) = oneshot::channel();
        let _ = self.asked.send(Asked::Command(command, send)).await;
        receive.await.unwrap_or_else(|_| Err("this control plane ends".into()))
    }

    /// What another replica is to fetch.
    pub fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Canaries {
    /// Where nobody hears anything.
    pub fn unheard() -> Canaries {
        Canaries { rates: Rates::default(), claims: mpsc::channel(1).0, asked: mpsc::channel(1).0, waiting: Arc::default() }
    }
}

/// What drives the ledger.
#[derive(Debug)]
pub struct Engine {
    ledger: Ledger,
    store: Store,
    claims: mpsc::Receiver<Claim>,
    asked: mpsc::Receiver<Asked>,
    waiting: Arc<Mutex<Waiting>>,
    orders: watch::Sender<Orders>,
    /// When was kept last.
    kept: Instant,
}

/// An engine that goes on from what was kept, where it is reached, and what holds by now.
pub fn new(kept: &Kept, store: Store) -> (Canaries, Engine, watch::Receiver<Orders>) {
    let ledger = Ledger::load(kept);
    let (send_claim, claims) = mpsc::channel(BACKLOG);
    let (ask, asked) = mpsc::channel(BACKLOG);
    let (orders, ordered) = watch::channel(ledger.orders());
    let waiting = Arc::<Mutex<Waiting>>::default();
    let canaries = Canaries { rates: Rates::default(), claims: send_claim, asked: ask, waiting: waiting.clone() };
    (canaries, Engine { ledger, store, claims, asked, waiting, orders, kept: Instant::now() }, ordered)
}

/// The time in milliseconds since 1970.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}

impl Engine {
    /// Runs while there are worlds. Where this replica does not lead, it does what `kept` says, and lets another one have the claims.
    pub async fn run(mut self, mut worlds: watch::Receiver<Arc<World>>, mut leads: watch::Receiver<bool>, mut kept: watch::Receiver<Kept>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.ledger.follow(&worlds.borrow_and_update().mesh);
        let mut leader = *leads.borrow_and_update();
        loop {
            let reload = tokio::select! {
                Some(claim) = self.claims.recv() => {
                    self.take(claim, leader);
                    while let Ok(claim) = self.claims.try_recv() {
                        self.take(claim, leader);
                    }
                    false
                }
                Some(asked) = self.asked.recv() => {
                    self.answer(asked, leader).await;
                    false
                }
                changed = worlds.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.ledger.follow(&worlds.borrow_and_update().mesh);
                    false
                }
                Ok(()) = leads.changed() => {
                    leader = *leads.borrow_and_update();
                    true
                }
                Ok(()) = kept.changed() => !leader,
                _ = tick.tick() => {
                    if leader {
                        self.ledger.advance(now_ms());
                    }
                    false
                }
            };
            if reload {
                self.ledger = Ledger::load(&kept.borrow_and_update());
                self.ledger.follow(&worlds.borrow().mesh);
            }
            let is_news = self.publish();
            if leader && (is_news || self.kept.elapsed() >= KEEP) {
                self.keep(None);
            }
        }
    }

    fn take(&mut self, claim: Claim, leader: bool) {
        if leader {
            self.ledger.take(&claim.pod, &claim.name, &claim.record, now_ms());
        } else {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).add(&claim);
        }
    }

    /// Tells what holds by now, if it is something else than before.
    fn publish(&mut self) -> bool {
        let orders = self.ledger.orders();
        let before = self.orders.borrow().clone();
        if orders == before {
            return false;
        }
        for (name, order) in orders.iter().filter(|(name, order)| before.get(name) != Some(order)) {
            tracing::info!(canary = %name, round = order.round, "{:.1} % of its users may go to it: {}", f64::from(order.share) / 100.0, order.why);
        }
        self.orders.send_replace(orders);
        true
    }

    async fn answer(&mut self, asked: Asked, leader: bool) {
        match asked {
            Asked::Page(answer) => drop(answer.send(Page { leads: leader, canaries: self.ledger.status() })),
            Asked::Command(_, answer) if !leader => drop(answer.send(Err("this replica of the control plane does not lead".into()))),
            Asked::Command(command, answer) => {
                let done = match &command {
                    Command::Hold(name) => self.ledger.hold(name, now_ms()),
                    Command::Resume(name) => self.ledger.resume(name, now_ms()),
                };
                match done {
                    // It is in force at once; that it lasts is said when it does.
                    Ok(()) => {
                        self.publish();
                        self.keep(Some(answer));
                    }
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
        }
    }

    fn keep(&mut self, answer: Option<oneshot::Sender<Result<(), String>>>) {
        self.kept = Instant::now();
        self.store.keep(self.ledger.keep(), answer);
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
