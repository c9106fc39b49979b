//! The world that is simulated: endpoints with a queue each, zones, callers, and what happens to them while time goes by.

use crate::balancer::{Balancer, Kind, Pick};
use crate::random::Random;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Time in microseconds.
pub type Micros = u64;
/// How long an endpoint works on a request, on average; it is drawn from an exponential distribution.
pub const SERVICE: f64 = 10_000.0;
/// There and back, within a zone and between zones.
const NEAR_RTT: Micros = 200;
const FAR_RTT: Micros = 1_000;
/// How often a request is tried.
const TRIES: u32 = 3;

/// What a zone is like for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zone {
    /// How many of its endpoints there are.
    pub endpoints: usize,
    /// How much slower they work than others.
    pub slower: f64,
    /// Whether they answer at all.
    pub up: bool,
    /// How many callers it has.
    pub callers: usize,
    /// What all its callers ask for, in requests per second.
    pub rate: f64,
}

/// A time in which nothing changes but by chance.
#[derive(Debug, Clone)]
pub struct Phase {
    /// How long it is.
    pub seconds: u64,
    /// The zones.
    pub zones: Vec<Zone>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// When it was asked.
    pub at: Micros,
    /// How long it took, with its retries.
    pub took: Micros,
    /// Whether it left its zone.
    pub crossed: bool,
    /// Whether nobody answered.
    pub failed: bool,
}

struct Endpoint {
    zone: usize,
    up: bool,
    slower: f64,
    /// Requests that wait, the first one being worked on.
    queue: VecDeque<usize>,
}

struct Request {
    caller: usize,
    at: Micros,
    sent: Micros,
    tries: u32,
    pick: Pick,
    crossed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A caller asks.
    Ask(usize),
    /// A request reaches its endpoint.
    Arrive(usize),
    /// An endpoint has worked on its first request.
    Worked(usize),
    /// An answer, or the lack of one, reaches the caller.
    Answer(usize, bool),
}

/// One run.
pub struct World {
    now: Micros,
    /// When callers no longer ask.
    end: Micros,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    count: u64,
    random: Random,
    endpoints: Vec<Endpoint>,
    callers: Vec<Caller>,
    requests: Vec<Request>,
    free: Vec<usize>,
    done: Vec<Done>,
}

struct Caller {
    zone: usize,
    balancer: Balancer,
    /// Microseconds between requests on average; infinite for none.
    gap: f64,
}

/// What was seen in a run.
pub fn run(kind: Kind, phases: &[Phase], workers: usize, seed: u64) -> Vec<Done> {
    let Some(first) = phases.first() else { return Vec::new() };
    let mut world = World::new(kind, first, workers, seed);
    world.end = phases.iter().map(|phase| phase.seconds * 1_000_000).sum();
    let mut until = 0;
    for phase in phases {
        world.change(phase);
        until += phase.seconds * 1_000_000;
        world.run_until(until);
    }
    // Nobody asks any more, and all answers come.
    world.run_until(Micros::MAX);
    world.done
}

impl World {
    fn new(kind: Kind, phase: &Phase, workers: usize, seed: u64) -> Self {
        let mut endpoints = Vec::new();
        for (zone, of) in phase.zones.iter().enumerate() {
            for _ in 0..of.endpoints {
                endpoints.push(Endpoint { zone, up: true, slower: 1.0, queue: VecDeque::new() });
            }
        }
        let zones: Vec<usize> = endpoints.iter().map(|endpoint| endpoint.zone).collect();
        let mut callers = Vec::new();
        for (zone, of) in phase.zones.iter().enumerate() {
            for _ in 0..of.callers {
                let balancer = Balancer::new(kind, zone, &zones, phase, workers, seed.wrapping_add(callers.len() as u64));
                callers.push(Caller { zone, balancer, gap: f64::INFINITY });
            }
        }
        let mut world = World {
            now: 0,
            end: Micros::MAX,
            events: BinaryHeap::new(),
            count: 0,
            random: Random::new(seed),
            endpoints,
            callers,
            requests: Vec::new(),
            free: Vec::new(),
            done: Vec::new(),
        };
        world.change(phase);
        for caller in 0..world.callers.len() {
            world.next_ask(caller);
        }
        world
    }

    fn change(&mut self, phase: &Phase) {
        for (zone, of) in phase.zones.iter().enumerate() {
            let mut left = of.endpoints;
            for endpoint in self.endpoints.iter_mut().filter(|endpoint| endpoint.zone == zone) {
                endpoint.up = of.up && left > 0;
                left = left.saturating_sub(1);
                endpoint.slower = of.slower;
            }
            for caller in self.callers.iter_mut().filter(|caller| caller.zone == zone) {
                caller.gap = 1e6 * of.callers as f64 / of.rate;
                caller.balancer.told(&phase.zones);
            }
        }
    }

    fn at(&mut self, time: Micros, event: Event) {
        self.count += 1;
        self.events.push(Reverse((time, self.count, event)));
    }

    fn next_ask(&mut self, caller: usize) {
        let gap = self.random.exponential(self.callers[caller].gap);
        let next = self.now + gap as Micros;
        if next < self.end {
            self.at(next, Event::Ask(caller));
        }
    }

    fn run_until(&mut self, until: Micros) {
        while let Some(Reverse((time, _, _))) = self.events.peek()
            && *time <= until
            && let Some(Reverse((time, _, event))) = self.events.pop()
        {
            self.now = time;
            match event {
                Event::Ask(caller) => self.ask(caller),
                Event::Arrive(request) => self.arrive(request),
                Event::Worked(endpoint) => self.worked(endpoint),
                Event::Answer(request, answered) => self.answer(request, answered),
            }
        }
    }

    fn ask(&mut self, caller: usize) {
        self.next_ask(caller);
        let pick = self.callers[caller].balancer.pick(self.now, None);
        let request = Request { caller, at: self.now, sent: self.now, tries: 1, pick, crossed: false };
        let id = self.free.pop().unwrap_or(self.requests.len());
        if id == self.requests.len() {
            self.requests.push(request);
        } else {
            self.requests[id] = request;
        }
        self.send(id);
    }

    fn send(&mut self, id: usize) {
        let request = &mut self.requests[id];
        request.sent = self.now;
        let crosses = self.endpoints[request.pick.endpoint].zone != self.callers[request.caller].zone;
        request.crossed |= crosses;
        let rtt = if crosses { FAR_RTT } else { NEAR_RTT };
        self.at(self.now + rtt, Event::Arrive(id));
    }

    fn arrive(&mut self, id: usize) {
        let endpoint = self.requests[id].pick.endpoint;
        if !self.endpoints[endpoint].up {
            return self.at(self.now, Event::Answer(id, false));
        }
        self.endpoints[endpoint].queue.push_back(id);
        if self.endpoints[endpoint].queue.len() == 1 {
            self.work(endpoint);
        }
    }

    fn work(&mut self, endpoint: usize) {
        let takes = self.random.exponential(SERVICE * self.endpoints[endpoint].slower);
        self.at(self.now + takes as Micros, Event::Worked(endpoint));
    }

    fn worked(&mut self, endpoint: usize) {
        if let Some(id) = self.endpoints[endpoint].queue.pop_front() {
            // Whoever goes answers what was begun.
            self.at(self.now, Event::Answer(id, true));
        }
        if !self.endpoints[endpoint].queue.is_empty() {
            self.work(endpoint);
        }
    }

    fn answer(&mut self, id: usize, answered: bool) {
        let Request { caller, at, sent, tries, pick, crossed } = self.requests[id];
        let retries = !answered && tries < TRIES;
        let balancer = &mut self.callers[caller].balancer;
        balancer.tried(&pick, answered, self.now);
        if retries {
            let again = balancer.pick(self.now, Some(&pick));
            self.requests[id].tries += 1;
            self.requests[id].pick = again;
            return self.send(id);
        }
        balancer.ended(self.now, &pick, self.now - sent, tries, answered);
        self.done.push(Done { at, took: self.now - at, crossed, failed: !answered });
        self.free.push(id);
    }
}
