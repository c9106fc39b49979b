//! The gateways' ports outside: opened for each port of a Gateway object, closed when no Gateway names it any more.

use super::plan::gateway::Gateway;
use super::plan::selects;
use super::pod::Handle;
use super::protocol::{GatewayView, PortView};
use super::relay;
use anyhow::Result;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// All gateways of the plan, with their ports outside.
#[derive(Debug, Default)]
pub struct Gateways {
    planned: Vec<Gateway>,
    pods: BTreeMap<String, watch::Sender<Vec<Ipv4Addr>>>,
    open: BTreeMap<(String, u16), Option<Open>>,
}

#[derive(Debug)]
struct Open {
    outside: u16,
    task: JoinHandle<()>,
}

impl Gateways {
    /// Takes a new plan: closes what it has not, and returns which listeners are wanted.
    pub fn follow(&mut self, planned: &[Gateway]) -> Vec<(String, u16)> {
        self.planned = planned.to_vec();
        let wanted: Vec<_> = planned.iter().flat_map(|gateway| gateway.ports.keys().map(|port| (gateway.name.clone(), *port))).collect();
        self.open.retain(|key, open| {
            let keep = wanted.contains(key);
            if let (false, Some(open)) = (keep, open) {
                open.task.abort();
            }
            keep
        });
        let new: Vec<_> = wanted.into_iter().filter(|key| !self.open.contains_key(key)).collect();
        self.open.extend(new.iter().cloned().map(|key| (key, None)));
        new
    }

    /// A listener that was wanted has come.
    pub fn open(&mut self, gateway: &str, port: u16, listener: OwnedFd) -> Result<()> {
        let Some(open) = self.open.get_mut(&(gateway.to_string(), port)) else { return Ok(()) };
        let outside = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?).local_addr()?.port();
        let pods = self.pods.entry(gateway.into()).or_default().subscribe();
        *open = Some(Open { outside, task: relay::start(listener, port, pods)? });
        Ok(())
    }

    /// Takes the pods that are there: connections go to the ready ones, and to all while none is.
    pub fn follow_pods(&mut self, pods: &[&Handle]) {
        for gateway in &self.planned {
            let own: Vec<_> = pods.iter().filter(|pod| selects(&gateway.selector, &pod.identity.plan.labels)).collect();
            let ready: Vec<_> = own.iter().filter(|pod| pod.status.borrow().ready).map(|pod| pod.identity.ip).collect();
            let ips = if ready.is_empty() { own.iter().map(|pod| pod.identity.ip).collect() } else { ready };
            self.pods.entry(gateway.name.clone()).or_default().send_replace(ips);
        }
    }

    /// The ports whose listeners have not come yet.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        self.open.iter().filter(|(_, open)| open.is_none()).map(|((gateway, port), _)| format!("port {port} of {gateway} outside"))
    }

    /// How they are reached.
    pub fn views(&self) -> Vec<GatewayView> {
        let ports = |gateway: &Gateway| {
            let ports = gateway.ports.iter().filter_map(|(port, details)| {
                let open = self.open.get(&(gateway.name.clone(), *port))?.as_ref()?;
                Some((
                    details.urls(open.outside),
                    PortView { port: *port, outside: open.outside, hosts: details.hosts.iter().cloned().collect() },
                ))
            });
            ports.unzip::<Vec<String>, PortView, Vec<_>, Vec<_>>()
        };
        let view = |gateway: &Gateway| {
            let (urls, ports) = ports(gateway);
            GatewayView { name: gateway.name.clone(), urls: urls.concat(), ports }
        };
        self.planned.iter().map(view).collect()
    }
}
