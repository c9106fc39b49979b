//! The gateways' ports outside: opened for each port of a Gateway object, closed when no Gateway names it any more.

use super::plan::gateway::{Gateway, Port};
use super::plan::selects;
use super::pod::Handle;
use super::protocol::{GatewayView, PortView};
use super::relay;
use anyhow::Result;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A port of a gateway: the gateway's key and the port as its Gateway object has it.
pub type PortKey = (String, u16);

/// All gateways of the plan, with their ports outside.
#[derive(Debug, Default)]
pub struct Gateways {
    planned: Vec<Gateway>,
    ports: BTreeMap<PortKey, Outside>,
}

#[derive(Debug, Default)]
struct Outside {
    pods: watch::Sender<Vec<SocketAddrV4>>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    outside: u16,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateways {
    /// Takes a new plan. Returns which listeners are closed now, and which new ones are wanted.
    pub fn follow(&mut self, planned: &[Gateway]) -> (Vec<PortKey>, Vec<PortKey>) {
        self.planned = planned.to_vec();
        let wanted: Vec<PortKey> = planned.iter().flat_map(|gateway| gateway.ports.keys().map(|port| (gateway.key(), *port))).collect();
        let closed: Vec<PortKey> = self.ports.keys().filter(|key| !wanted.contains(key)).cloned().collect();
        self.ports.retain(|key, _| wanted.contains(key));
        let new: Vec<PortKey> = wanted.into_iter().filter(|key| !self.ports.contains_key(key)).collect();
        self.ports.extend(new.iter().cloned().map(|key| (key, Outside::default())));
        (closed, new)
    }

    /// A listener that was wanted has come.
    pub fn open(&mut self, gateway: &str, port: u16, listener: OwnedFd) -> Result<()> {
        let Some(port) = self.ports.get_mut(&(gateway.to_string(), port)) else { return Ok(()) };
        let outside = std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?).local_addr()?.port();
        port.open = Some(Open { outside, task: relay::start(listener, port.pods.subscribe())? });
        Ok(())
    }

    /// Takes the pods that are there: connections go to the ready ones, and to all while none is.
    pub fn follow_pods(&mut self, pods: &[&Handle]) {
        for gateway in &self.planned {
            let own: Vec<_> = pods.iter().filter(|pod| selects(&gateway.selector, &pod.identity.plan.labels)).collect();
            let ready: Vec<Ipv4Addr> = own.iter().filter(|pod| pod.status.borrow().ready).map(|pod| pod.identity.ip).collect();
            let ips = if ready.is_empty() { own.iter().map(|pod| pod.identity.ip).collect() } else { ready };
            for (number, port) in &gateway.ports {
                if let Some(outside) = self.ports.get(&(gateway.key(), *number)) {
                    outside.pods.send_replace(ips.iter().map(|ip| SocketAddrV4::new(*ip, port.target)).collect());
                }
            }
        }
    }

    /// The ports whose listeners have not come yet.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        let missing = self.ports.iter().filter(|(_, outside)| outside.open.is_none());
        missing.map(|((gateway, port), _)| format!("port {port} of gateway {gateway} outside"))
    }

    /// How they are reached.
    pub fn views(&self) -> Vec<GatewayView> {
        let open = |gateway: &Gateway, number: u16| Some(self.ports.get(&(gateway.key(), number))?.open.as_ref()?.outside);
        let port = |gateway: &Gateway, number: u16, port: &Port| {
            let outside = open(gateway, number)?;
            Some((port.urls(outside), PortView { port: number, outside, hosts: port.hosts.iter().cloned().collect() }))
        };
        let view = |gateway: &Gateway| {
            let ports = gateway.ports.iter().filter_map(|(number, details)| port(gateway, *number, details));
            let (urls, ports) = ports.unzip::<Vec<String>, PortView, Vec<_>, Vec<_>>();
            let unserved = gateway.unserved.iter().cloned().collect();
            let namespaces = gateway.namespaces.iter().cloned().collect();
            GatewayView { name: gateway.name.clone(), namespaces, urls: urls.concat(), ports, unserved }
        };
        self.planned.iter().map(view).collect()
    }
}
