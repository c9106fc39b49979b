//! Which nodes are connected.

use super::status::{NodeStatus, short};
use super::stream::{Protocol, Stream};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_mesh::node::Node;

/// One node's stream, which the task that drives it shares with who asks how it stands.
#[derive(Debug)]
pub struct Connection {
    /// Who it is.
    pub node: Node,
    protocol: Protocol,
    stream: Mutex<Stream>,
}

impl Connection {
    /// The stream, for a moment.
    pub fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All open streams.
#[derive(Clone, Debug, Default)]
pub struct Nodes(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    last: u64,
    connections: BTreeMap<u64, Arc<Connection>>,
}

/// A node's place among the connected ones, while it lasts.
#[derive(Debug)]
pub struct Connected {
    nodes: Nodes,
    number: u64,
    /// Its stream.
    pub connection: Arc<Connection>,
}

impl Nodes {
    /// Enters a node until the result is dropped.
    pub fn connect(&self, node: Node, protocol: Protocol) -> Connected {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stream = Stream::new(protocol).numbered(u64::try_from(now.as_millis()).unwrap_or_default());
        let connection = Arc::new(Connection { node, protocol, stream: Mutex::new(stream) });
        let mut table = self.table();
        table.last += 1;
        let number = table.last;
        table.connections.insert(number, connection.clone());
        Connected { nodes: self.clone(), number, connection }
    }

    /// All that are connected.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.table().connections.values().cloned().collect()
    }

    /// How every node stands, sorted by node id.
    pub fn status(&self) -> Vec<NodeStatus> {
        let mut nodes: Vec<_> = self.connections().iter().map(|connection| connection.status()).collect();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        nodes
    }

    /// A connected node by its id, and so with what only it can tell of itself.
    pub fn find(&self, id: &Node) -> Option<Node> {
        let is = |node: &Node| Node { modules: BTreeSet::new(), ..node.clone() } == Node { modules: BTreeSet::new(), ..id.clone() };
        self.table().connections.values().map(|connection| &connection.node).find(|node| is(node)).cloned()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn status(&self) -> NodeStatus {
        let protocol = match self.protocol {
            Protocol::Delta => "delta",
            Protocol::Sotw => "sotw",
        };
        let types = self.stream().status().into_iter().map(|(kind, status)| (short(kind).to_string(), status)).collect();
        NodeStatus { node: self.node.to_string(), protocol: protocol.to_string(), types }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.nodes.table().connections.remove(&self.number);
    }
}
