//! All that runs, as commands of other terminals see it.

use super::plan::zone::Zone;
use super::pod::{Handle, Phase, Status};
use super::protocol::{ContainerView, GatewayView, PodName, PodView, ServiceView, View};
use super::rundir::RunDir;
use std::sync::Arc;

/// What the runner shows of itself.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The pods that are not gone.
    pub pods: Vec<Arc<Handle>>,
    /// The gateways.
    pub gateways: Vec<GatewayView>,
    /// The Services.
    pub services: Vec<ServiceView>,
}

impl Seen {
    /// The whole view.
    pub fn view(&self, dir: &RunDir) -> View {
        View {
            run_dir: dir.0.clone(),
            gateways: self.gateways.clone(),
            pods: self.pods.iter().map(|pod| pod_view(pod, dir)).collect(),
            services: self.services.clone(),
        }
    }

    /// The pod that a user means by `NAME`, `NAME.NAMESPACE` or the start of a name, or what to say.
    pub fn find(&self, asked: &PodName) -> Result<Arc<Handle>, String> {
        let names: Vec<_> = self.pods.iter().map(|pod| (pod.identity.plan.namespace.clone(), pod.identity.name.clone())).collect();
        let number = asked.find(&names)?;
        self.pods.get(number).cloned().ok_or_else(|| format!("no pod {}", asked.name))
    }
}

/// One pod.
pub fn pod_view(pod: &Handle, dir: &RunDir) -> PodView {
    let plan = &pod.identity.plan;
    let Status { phase, ready, reason, containers, .. } = pod.status.borrow().clone();
    let state = match phase {
        Phase::Up if ready => "Ready",
        Phase::Up => "Waiting",
        Phase::Stopping => "Stopping",
        Phase::Stopped | Phase::Gone => "Stopped",
    };
    let containers: Vec<_> = containers
        .into_iter()
        .map(|container| ContainerView {
            log: dir.log(&plan.namespace, &pod.identity.name, &container.name),
            name: container.name,
            pid: container.pid,
            ready: container.ready,
            restarts: container.restarts,
        })
        .collect();
    PodView {
        namespace: plan.namespace.clone(),
        name: pod.identity.name.clone(),
        state: state.into(),
        ready,
        reason,
        zone: Zone::to_string(&plan.zone),
        version: plan.labels.get("version").cloned().unwrap_or_default(),
        ip: pod.identity.ip,
        restarts: containers.iter().map(|container| container.restarts).sum(),
        labels: plan.labels.clone().into_iter().chain(plan.zone.labels()).collect(),
        containers,
    }
}
