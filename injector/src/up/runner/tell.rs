//! What the runner tells its user: what is ready, what is still missing, what is wrong.

use super::Runner;
use crate::up::message;
use crate::up::plan;
use crate::up::protocol::ToOuter;
use std::time::Instant;

impl Runner {
    /// A line for each pod that is ready for the first time.
    pub(super) fn announce(&mut self) {
        let lines: Vec<_> = self
            .pods
            .iter()
            .filter(|(key, pod)| !self.announced.contains(*key) && pod.status.borrow().ready)
            .map(|(key, pod)| {
                let identity = &pod.identity;
                let place =
                    format!("{:<40} {:<15} {}", format!("{}.{}", identity.name, identity.plan.namespace), identity.ip, identity.plan.zone);
                (key.clone(), format!("ready  {place}  {:.1} s", self.started.elapsed().as_secs_f32()))
            })
            .collect();
        for (key, line) in lines {
            self.announced.insert(key);
            self.line(line);
        }
        self.announced.retain(|key| self.pods.contains_key(key));
    }

    /// Notes whether all is up, and since when.
    pub(super) fn look_for_all(&mut self) {
        if self.ready {
            return;
        }
        let missing = self.missing();
        if missing.is_empty() {
            self.complete.get_or_insert_with(Instant::now);
        } else {
            self.complete = None;
            self.send(&ToOuter::Waiting(missing));
        }
    }

    pub(super) fn become_ready(&mut self) {
        self.ready = true;
        let view = self.seen.borrow().view(&self.shared.dir);
        self.shown_gateways = view.gateways.clone();
        self.send(&ToOuter::Ready(Box::new(view)));
    }

    /// After all was ready: each gateway that is reached otherwise since.
    pub(super) fn tell_gateways(&mut self) {
        if !self.ready || self.gateways.missing().next().is_some() {
            return;
        }
        let views = self.gateways.views();
        for view in views.iter().filter(|view| !self.shown_gateways.contains(view)) {
            self.send(&ToOuter::Gateway(view.clone()));
        }
        self.shown_gateways = views;
    }

    /// What is not up yet.
    fn missing(&self) -> Vec<String> {
        let waits = |pod: &plan::Pod| {
            let mut same = self.pods.values().filter(|running| running.identity.plan == *pod);
            let status = same.next().map(|running| running.status.borrow().clone());
            let status = status.filter(|status| !status.ready);
            status.map(|status| format!("{}.{}: {}", pod.slot, pod.namespace, status.reason))
        };
        let control_plane =
            (!self.control_plane).then(|| format!("weir serve does not answer (log: {})", self.shared.dir.serve_log().display()));
        control_plane.into_iter().chain(self.gateways.missing()).chain(self.plan.pods.iter().filter_map(waits)).collect()
    }

    pub(super) fn remind(&mut self) {
        if self.trouble.is_some() {
            self.follow(Runner::follow_files);
        }
        if !self.ready {
            self.missing().into_iter().for_each(|missing| self.line(format!("waiting for {missing}")));
        }
    }

    /// Tells what is wrong now and was not at the last time.
    pub(super) fn tell(&mut self, wrong: Vec<String>) {
        for line in wrong.iter().filter(|line| !self.told.contains(*line)) {
            self.line(line.clone());
        }
        self.told = wrong;
    }

    pub(super) fn line(&self, line: String) {
        self.send(&ToOuter::Line(line));
    }

    pub(super) fn send(&self, message: &ToOuter) {
        // If `weir up` is gone, the other direction ends too, and with it this process.
        let _ = message::send(&self.outer, message, &[]);
    }
}
