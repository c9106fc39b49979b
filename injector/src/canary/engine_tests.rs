use super::*;
use crate::ads::nodes::Nodes;
use crate::ads::service::Ads;
use crate::ask;
use crate::canary::fixtures::{block, name, world};
use crate::canary::page::{Local, PAGE, Verdict};
use crate::canary::store::{File, Place};
use crate::listen;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use weir_policy::NODE_HEADER;
use weir_policy::REPORT_PATH;

const SOON: Duration = Duration::from_secs(5);
const NODE: &str = "sidecar~198.18.0.1~front.shop~shop.svc.cluster.local";

/// A control plane that leads or not, and keeps what it knows in a folder.
struct Plane {
    orders: watch::Receiver<Orders>,
    canaries: Canaries,
    address: SocketAddr,
    socket: PathBuf,
    folder: TempDir,
    leads: watch::Sender<bool>,
    kept: watch::Sender<Kept>,
    _world: watch::Sender<Arc<World>>,
}

impl Plane {
    async fn start(folder: TempDir, leader: bool) -> Plane {
        let file = File::within(folder.path());
        let known = file.load().unwrap();
        let (canaries, engine, orders) = new(&known, Store::at(Place::File(file)));
        let (publish, worlds) = watch::channel(Arc::new(world("", "")));
        let ((leads, lead), (kept, keep)) = (watch::channel(leader), watch::channel(known));
        tokio::spawn(engine.run(worlds.clone(), lead, keep));
        let ads = Ads { world: worlds, nodes: Nodes::default(), tokens: None, canaries: canaries.clone() };
        let tcp = listen::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let socket = folder.path().join(format!("{}.sock", address.port()));
        let unix = listen::unix(&socket).unwrap();
        tokio::spawn(listen::serve_tcp(tcp, ads.clone(), listen::never()));
        tokio::spawn(listen::serve_unix(unix, Local { ads }, listen::never()));
        Plane { orders, canaries, address, socket, folder, leads, kept, _world: publish }
    }

    /// Waits until so much of its users may go to the canary, in ten thousandths.
    async fn share(&mut self, expected: u16) {
        let is = |orders: &Orders| orders.get(&name()).map_or(10_000, |order| order.share) == expected;
        timeout(SOON, self.orders.wait_for(is)).await.expect("in time").unwrap();
    }

    /// Waits until something is kept.
    async fn kept(&self) -> Kept {
        let kept = async {
            loop {
                let kept = File::within(self.folder.path()).load().unwrap();
                if !kept.is_empty() {
                    return kept;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, kept).await.expect("kept")
    }

    /// Asks over the socket.
    async fn ask(&self, method: Method, path: &str) -> Result<Page, String> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let answer = ask::ask(stream, method, path).await.map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    /// Posts over TCP, as anybody may.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> StatusCode {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(path).header("host", "weir");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let status = response.status();
        let _ = response.into_body().collect().await;
        status
    }

    /// A proxy reports that the canary failed a block; of users that nobody has told of.
    async fn report(&self, node: &str, from: u16) -> StatusCode {
        let mut body = Vec::new();
        (0..4).for_each(|place| block(4, from + place * 4).append(&format!("{}\n{}", name().service, name().canary), &mut body));
        self.post(REPORT_PATH, &[(NODE_HEADER, node)], body).await
    }
}

#[tokio::test]
async fn what_proxies_report_holds_a_canary_back_and_people_lift_it() {
    let mut plane = Plane::start(TempDir::new().unwrap(), true).await;
    assert_eq!(plane.report(NODE, 0).await, StatusCode::NO_CONTENT);
    plane.share(0).await;
    let page = plane.ask(Method::GET, PAGE).await.unwrap();
    assert_eq!((page.leads, page.canaries[0].verdict), (true, Verdict::Held));

    // A control plane that starts again goes on.
    plane.kept().await;
    let mut plane = Plane::start(plane.folder, true).await;
    plane.share(0).await;
    let page = plane.ask(Method::POST, "/canary/resume/reviews.shop.svc.cluster.local/v2").await.unwrap();
    assert_eq!(page.canaries[0].verdict, Verdict::Open);
    plane.share(10_000).await;
    plane.ask(Method::POST, "/canary/hold/reviews.shop.svc.cluster.local/v2").await.unwrap();
    let mut plane = Plane::start(plane.folder, true).await;
    plane.share(0).await;
    assert_eq!(plane.ask(Method::GET, PAGE).await.unwrap().canaries[0].verdict, Verdict::HeldByHand);
    let unknown = plane.ask(Method::POST, "/canary/hold/x/y").await.unwrap_err();
    assert!(unknown.ends_with("409 Conflict: there is no canary x/y"), "{unknown}");
}

#[tokio::test]
async fn nobody_steers_by_the_port_of_the_proxies_nor_a_page_in_a_browser() {
    let plane = Plane::start(TempDir::new().unwrap(), true).await;
    let path = "/canary/hold/reviews.shop.svc.cluster.local/v2";
    assert_eq!(plane.post(path, &[("x-weir-command", "yes")], Vec::new()).await, StatusCode::METHOD_NOT_ALLOWED);
    let stream = TokioIo::new(UnixStream::connect(&plane.socket).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (host, header) in [("weir", "x-other"), ("attacker.example", "x-weir-command")] {
        let request = Request::post(path).header("host", host).header(header, "yes").body(Full::new(Bytes::new())).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let _ = response.into_body().collect().await;
    }
    assert_eq!(plane.canaries.page().await.canaries[0].verdict, Verdict::Open);
}

#[tokio::test]
async fn only_who_has_a_policy_for_a_canary_is_heard_on_it() {
    let plane = Plane::start(TempDir::new().unwrap(), true).await;
    let other = NODE.replace("front.shop~shop", "other.bank~bank");
    assert_eq!(plane.report(&other, 0).await, StatusCode::NO_CONTENT);
    assert_eq!(plane.report(&NODE.replace("front", "nobody"), 0).await, StatusCode::FORBIDDEN);
    assert_eq!(plane.report("nobody", 0).await, StatusCode::UNAUTHORIZED);
    assert_eq!(plane.post(REPORT_PATH, &[(NODE_HEADER, NODE)], b"nothing".to_vec()).await, StatusCode::BAD_REQUEST);
    assert_eq!(plane.post(REPORT_PATH, &[(NODE_HEADER, NODE)], vec![0; 30_000]).await, StatusCode::PAYLOAD_TOO_LARGE);
    let status = plane.canaries.page().await.canaries.remove(0);
    assert_eq!((status.verdict, status.of_canary.requests), (Verdict::Open, 0));
    let mut answers = Vec::new();
    for from in 0..12 {
        answers.push(plane.report(NODE, from).await);
    }
    assert_eq!(answers.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test]
async fn a_replica_that_does_not_lead_lets_the_leader_have_what_it_was_told_and_does_what_that_says() {
    let mut plane = Plane::start(TempDir::new().unwrap(), false).await;
    let first = plane.canaries.waiting().fetch(0, 0);
    plane.report(NODE, 0).await;
    let fetched = async {
        loop {
            let fetched = plane.canaries.waiting().fetch(first.life, first.last);
            if fetched.claims.len() == 4 {
                return fetched;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let fetched = timeout(SOON, fetched).await.expect("claims");
    let refused = plane.ask(Method::POST, "/canary/hold/reviews.shop.svc.cluster.local/v2").await.unwrap_err();
    assert!(refused.ends_with("does not lead"), "{refused}");

    let mut leader = Plane::start(TempDir::new().unwrap(), true).await;
    fetched.claims().for_each(|claim| leader.canaries.claim(claim));
    leader.share(0).await;
    plane.kept.send_replace(leader.kept().await);
    plane.share(0).await;
    // When it leads itself, it goes on from there.
    plane.leads.send_replace(true);
    plane.ask(Method::POST, "/canary/resume/reviews.shop.svc.cluster.local/v2").await.unwrap();
    plane.share(10_000).await;
}
