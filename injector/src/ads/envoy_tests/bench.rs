//! A server, a real Envoy, an upstream, and requests through them.

use super::plan::{ApiType, Plan};
use crate::ads::nodes::Nodes;
use crate::ads::service::Ads;
use crate::ads::status::{State, TypeStatus};
use crate::canary::engine::Canaries;
use crate::listen;
use crate::modules::store::Store;
use crate::serve::proxies::Proxies;
use crate::world::World;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Envoy as the project finds it.
fn envoy() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    let named = std::env::var_os("ENVOY").map(PathBuf::from);
    let found = std::env::split_paths(&path).chain([tools]).map(|folder| folder.join("envoy")).find(|file| file.is_file());
    named.or(found).expect("these tests need Envoy: name it by ENVOY, or run `make test`, which gets it")
}

/// All of it; the Envoy ends with it.
pub struct Bench {
    plan: Plan,
    server: Option<Server>,
    nodes: Nodes,
    /// What the control plane serves besides.
    pub modules: Store,
    envoy: Child,
    folder: tempfile::TempDir,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// The control plane on a runtime of its own, so that all its streams end with it as with a process.
struct Server {
    publish: watch::Sender<Arc<World>>,
    address: SocketAddr,
    runtime: Runtime,
}

impl Server {
    async fn start(address: SocketAddr, world: Arc<World>, nodes: Nodes, modules: Store) -> Server {
        let (publish, world) = watch::channel(world);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // The one before it may not have gone quite yet.
        let listening = until("the address", async || runtime.spawn(listen::tcp(address)).await.unwrap().ok()).await;
        let address = listening.local_addr().unwrap();
        let proxies = Proxies { ads: Ads { world, nodes, tokens: None, canaries: Canaries::unheard() }, modules };
        runtime.spawn(listen::serve_tcp(listening, proxies, listen::never()));
        Server { publish, address, runtime }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("{:#?}\n{log}", self.nodes.status());
        }
        let _ = self.envoy.kill();
        let _ = self.envoy.wait();
        self.stop_server();
    }
}

impl Bench {
    /// Starts with one cluster `c0`, which the route names; `adjust` changes that.
    pub async fn start(protocol: ApiType, adjust: impl FnOnce(&mut Plan)) -> Bench {
        Bench::with(protocol, Store::default(), adjust).await
    }

    /// The same, and these modules are served.
    pub async fn with(protocol: ApiType, modules: Store, adjust: impl FnOnce(&mut Plan)) -> Bench {
        let upstream = upstream().await;
        let mut plan = Plan { clusters: vec![("c0".into(), 1)], route: "c0".into(), upstream, protocol, filters: vec![] };
        adjust(&mut plan);
        let nodes = Nodes::default();
        let server = Server::start(([127, 0, 0, 1], 0).into(), plan.world(), nodes.clone(), modules.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let bootstrap = folder.path().join("bootstrap.json");
        std::fs::write(&bootstrap, plan.bootstrap(server.address).to_string()).unwrap();
        let envoy = Command::new(envoy())
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"])
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(folder.path().join("admin"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Bench { plan, server: Some(server), nodes, modules, envoy, folder, client }
    }

    /// Changes what the Envoy is to have.
    pub fn change(&mut self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan);
        if let Some(server) = &self.server {
            server.publish.send_replace(self.plan.world());
        }
    }

    /// Ends the control plane, as a kill would; its address, to start it there again.
    pub fn stop_server(&mut self) -> Option<SocketAddr> {
        let server = self.server.take()?;
        server.runtime.shutdown_background();
        Some(server.address)
    }

    /// Starts the control plane again.
    pub async fn start_server(&mut self, address: SocketAddr) {
        self.server = Some(Server::start(address, self.plan.world(), self.nodes.clone(), self.modules.clone()).await);
    }

    /// Status and body, if there is an answer.
    pub async fn get(&self, url: &str) -> Option<(u16, String)> {
        let request = Request::get(url).body(Empty::new()).unwrap();
        let response = self.client.request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// The header `x-module` of an answer, empty if it has none; of one that failed its status.
    pub async fn module(&self) -> Option<String> {
        let listeners = self.admin("/listeners").await?;
        let address = listeners.lines().find_map(|line| line.strip_prefix("l::"))?;
        let response = self.client.request(Request::get(format!("http://{address}/")).body(Empty::new()).unwrap()).await.ok()?;
        let told = response.headers().get("x-module").map(|it| it.to_str().unwrap().to_string()).unwrap_or_default();
        let status = response.status();
        drop(response.into_body().collect().await);
        Some(if status == StatusCode::OK { told } else { status.as_u16().to_string() })
    }

    pub async fn admin(&self, path: &str) -> Option<String> {
        // The file is there before what it says.
        let address: SocketAddr = std::fs::read_to_string(self.folder.path().join("admin")).ok()?.trim().parse().ok()?;
        Some(self.get(&format!("http://{address}{path}")).await?.1)
    }

    /// Where the listener is, once it is there.
    pub async fn url(&self) -> String {
        let found = until("the listener", async || {
            let listeners = self.admin("/listeners").await?;
            listeners.lines().find_map(|line| line.strip_prefix("l::")).filter(|it| !it.ends_with(":0")).map(str::to_string)
        });
        format!("http://{}/", found.await)
    }

    /// Waits for an answer of this status.
    pub async fn answers(&self, status: u16) {
        let url = self.url().await;
        until(&format!("status {status}"), async || self.get(&url).await.filter(|got| got.0 == status)).await;
    }

    /// Waits until a type stands so at the control plane.
    pub async fn stands(&self, kind: &str, state: State) -> TypeStatus {
        let status = || self.nodes.status().into_iter().next()?.types.remove(kind);
        until(&format!("{kind} {state}"), async || status().filter(|status| status.state == state)).await
    }

    /// The clusters that the Envoy uses, besides that of the control plane.
    pub async fn clusters(&self) -> Option<Vec<String>> {
        let clusters = self.admin("/clusters").await?;
        let mut names: Vec<_> = clusters.lines().filter_map(|line| line.split_once("::")).map(|(name, _)| name.to_string()).collect();
        names.dedup();
        names.retain(|name| name != "weir");
        names.sort();
        Some(names)
    }

    /// Starts requests without pause to the listener.
    pub async fn load(&self) -> Load {
        Load::start(&self.client, &self.url().await)
    }
}

/// Polls until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(40);
    while Instant::now() < end {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

/// Answers `ok` to everything.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |_| Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from("ok")))));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Requests without pause in the background, until stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<Vec<String>>,
}

impl Load {
    fn start(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> Load {
        let (client, url) = (client.clone(), url.to_string());
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), sent.clone());
        let task = tokio::spawn(async move {
            let mut failures = vec![];
            while !stopped.load(SeqCst) {
                match client.request(Request::get(&url).body(Empty::new()).unwrap()).await {
                    Ok(response) if response.status() == 200 => drop(response.into_body().collect().await),
                    Ok(response) => {
                        let status = response.status();
                        let body = response.into_body().collect().await.unwrap().to_bytes();
                        failures.push(format!("{status}: {}", String::from_utf8_lossy(&body)));
                    }
                    Err(error) => failures.push(error.to_string()),
                }
                counted.fetch_add(1, SeqCst);
            }
            failures
        });
        Load { stop, sent, task }
    }

    /// Waits until so many more requests were answered.
    pub async fn more(&self, requests: usize) {
        let goal = self.sent.load(SeqCst) + requests;
        until("load", async || (self.sent.load(SeqCst) >= goal).then_some(())).await;
    }

    /// Stops; what was answered with other than 200.
    pub async fn failures(self) -> Vec<String> {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap()
    }
}
