//! Names inside the mesh: a DNS server at the runner's address, which every pod's resolv.conf names.

use super::network::RUNNER;
use anyhow::{Context, Result};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::A;
use hickory_server::proto::rr::{RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Addresses by full name, in lower case, without a dot at the end.
pub type Names = Arc<BTreeMap<String, Vec<Ipv4Addr>>>;

/// Short, since a headless Service's addresses are those of its ready pods.
const TTL: u32 = 5;

/// Serves `names`, as they are at each question.
pub async fn serve(names: watch::Receiver<Names>) -> Result<()> {
    let mut server = Server::new(Handler { names });
    server.register_socket(tokio::net::UdpSocket::bind((RUNNER, 53)).await.context("DNS over UDP")?);
    let listener = tokio::net::TcpListener::bind((RUNNER, 53)).await.context("DNS over TCP")?;
    server.register_listener(listener, Duration::from_secs(5), 32);
    tokio::spawn(async move { server.block_until_done().await });
    Ok(())
}

/// A pod's resolv.conf, as a cluster writes it.
pub fn resolv_conf(namespace: &str) -> String {
    format!("search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {RUNNER}\noptions ndots:5\n")
}

struct Handler {
    names: watch::Receiver<Names>,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        metadata.recursion_available = true;
        let mut answers = Vec::new();
        match request.request_info() {
            Err(_) => metadata.response_code = ResponseCode::FormErr,
            Ok(info) => {
                let asked = info.query.original().name();
                let name = asked.to_ascii().trim_end_matches('.').to_ascii_lowercase();
                let names = self.names.borrow().clone();
                match names.get(&name) {
                    // There is no way out of a run, so a name that is not here does not exist.
                    None => metadata.response_code = ResponseCode::NXDomain,
                    Some(addresses) if info.query.query_type() == RecordType::A => {
                        answers = addresses.iter().map(|ip| Record::from_rdata(asked.clone(), TTL, RData::A(A(*ip)))).collect();
                    }
                    // The name exists, but has no record of this type: an empty answer, so that the resolver does not search on.
                    Some(_) => {}
                }
            }
        }
        let builder = MessageResponseBuilder::from_message_request(request);
        match response.send_response(builder.build(metadata, answers.iter(), [], [], [])).await {
            Ok(info) => info,
            Err(_) => ResponseInfo::from(hickory_server::proto::op::Header { metadata, counts: HeaderCounts::default() }),
        }
    }
}
