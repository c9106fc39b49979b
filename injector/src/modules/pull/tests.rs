//! Pulls from a registry on this machine.

use super::*;
use crate::modules::digest;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use weir_mesh::mesh::{self, Options};
use weir_mesh::object::{SourceFile, read};

/// What a registry has, by path, and how often each was asked for.
#[derive(Clone, Default)]
struct Content(Arc<Mutex<BTreeMap<String, (Bytes, usize)>>>);

impl Content {
    fn put(&self, path: String, body: Bytes) {
        self.0.lock().unwrap().insert(path, (body, 0));
    }

    /// An image of one layer; the digest of its manifest.
    fn image(&self, name: &str, tag: &str, media_type: &str, layer: &[u8]) -> String {
        let descriptor = |media_type: &str, body: &[u8]| json!({"mediaType": media_type, "digest": format!("sha256:{}", digest(body)), "size": body.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
            "layers": [descriptor(media_type, layer)],
        })
        .to_string();
        let found = digest(manifest.as_bytes());
        self.put(format!("/v2/{name}/blobs/sha256:{}", digest(layer)), layer.to_vec().into());
        for reference in [tag.to_string(), format!("sha256:{found}")] {
            self.put(format!("/v2/{name}/manifests/{reference}"), manifest.clone().into());
        }
        found
    }

    fn asked(&self, path: &str) -> usize {
        self.0.lock().unwrap()[path].1
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let mut content = self.0.lock().unwrap();
        let Some((body, asked)) = content.get_mut(path) else {
            return Response::builder().status(if path == "/v2/" { 200 } else { 404 }).body(Full::default()).unwrap();
        };
        *asked += 1;
        Response::new(Full::new(body.clone()))
    }

    async fn serve(&self, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, content) = (listener.local_addr().unwrap(), self.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let content = content.clone();
                let service =
                    service_fn(move |request: Request<_>| std::future::ready(Ok::<_, Infallible>(content.answer(request.uri().path()))));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (address, serving)
    }
}

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const WASM: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const ONE: &[u8] = b"\0asm one";
const TWO: &[u8] = b"\0asm two";

/// Plugins as `(namespace, fields)`.
fn objects(plugins: &[(&str, String)]) -> Objects {
    let plugin = |(namespace, fields): &(&str, String)| {
        format!(
            "---\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {{{fields}}}\n"
        )
    };
    let text = plugins.iter().map(plugin).collect();
    Objects::default().update(read(&[SourceFile { path: "p.yaml".into(), text }]))
}

/// The modules of the plugins, and what is wrong.
fn told(objects: &Objects, pulls: &watch::Receiver<Pulls>) -> (Vec<Option<String>>, Vec<String>) {
    let options = Options { pulls: pulls.borrow().clone(), ..Default::default() };
    let (mesh, findings) = mesh::build(objects, &options);
    let modules = mesh.plugins.iter().map(|plugin| plugin.module.sha256().map(str::to_string)).collect();
    (modules, findings.iter().map(|finding| format!("{} {}", finding.severity, finding.message)).collect())
}

#[tokio::test]
async fn an_image_is_pulled_once_for_all_who_name_it_and_served_by_the_digest_of_its_module() {
    let content = Content::default();
    let (registry, _serving) = content.serve(ANY.into()).await;
    let image = content.image("acme/auth", "v1", WASM, ONE);
    content.put("/auth.wasm".into(), TWO.into());
    let url = format!("url: 'oci://{registry}/acme/auth:v1'");
    let file = format!("url: 'http://{registry}/auth.wasm', sha256: {}", digest(TWO).to_ascii_uppercase());
    let objects = objects(&[("a", url.clone()), ("b", url.clone()), ("c", format!("{url}, sha256: {image}")), ("d", file)]);
    let store = Store::default();
    let (mut puller, pulls) = Puller::new(store.clone());
    let (modules, findings) = told(&objects, &pulls);
    assert_eq!(
        (modules.len(), findings.len(), findings[0].as_str()),
        (0, 4, "warning the module is being pulled; the plugin has no effect")
    );
    puller.first(&objects).await;
    puller.first(&objects).await;
    let (one, two) = (digest(ONE), digest(TWO));
    assert_eq!(told(&objects, &pulls), (vec![Some(one.clone()), Some(one.clone()), Some(one.clone()), Some(two.clone())], vec![]));
    assert_eq!(content.asked(&format!("/v2/acme/auth/blobs/sha256:{one}")), 2, "once by the tag, once where its digest is told");
    assert_eq!(content.asked("/auth.wasm"), 1);
    assert_eq!(store.at(&format!("/modules/{one}.wasm")).as_deref(), Some(ONE));
    assert_eq!(store.at(&format!("/modules/{two}.wasm")).as_deref(), Some(TWO));
}

#[tokio::test]
async fn a_wrong_digest_is_refused_and_told_and_what_was_there_stays_in_force() {
    let content = Content::default();
    let (registry, _serving) = content.serve(ANY.into()).await;
    let one = content.image("auth", "v1", WASM, ONE);
    let two = content.image("auth", "v2", WASM, TWO);
    content.put("/auth.wasm".into(), TWO.into());
    let (mut puller, pulls) = Puller::new(Store::default());
    puller.first(&objects(&[("shop", format!("url: 'oci://{registry}/auth:v1', sha256: {one}"))])).await;
    for (fields, expected) in [
        (
            format!("url: 'oci://{registry}/auth:v2', sha256: {one}"),
            format!("the image {registry}/auth:v2 has the digest sha256:{two}, not sha256:{one}"),
        ),
        (
            format!("url: 'http://{registry}/auth.wasm', sha256: {one}"),
            format!("what http://{registry}/auth.wasm serves has the digest {}, not {one}", digest(TWO)),
        ),
    ] {
        let objects = objects(&[("shop", fields)]);
        puller.first(&objects).await;
        let finding = format!("error {expected}; the module that was there stays in force");
        assert_eq!(told(&objects, &pulls), (vec![Some(digest(ONE))], vec![finding]));
    }
    // A registry that serves another manifest than the one that is named by its digest, and another layer than the manifest names.
    content.put(format!("/v2/auth/manifests/sha256:{one}"), "{}".into());
    content.put(format!("/v2/auth/blobs/sha256:{}", digest(TWO)), ONE.into());
    for url in [format!("auth@sha256:{one}"), "auth:v2".to_string()] {
        let objects = objects(&[("shop", format!("url: 'oci://{registry}/{url}'"))]);
        puller.first(&objects).await;
        let (modules, findings) = told(&objects, &pulls);
        assert_eq!(modules, [Some(digest(ONE))]);
        assert!(findings[0].contains("digest") && findings[0].ends_with("stays in force"), "{findings:?}");
    }
    puller.first(&objects(&[("shop", format!("url: 'oci://{registry}/none:v1'"))])).await;
    let new = objects(&[("new", format!("url: 'oci://{registry}/none:v1', imagePullSecret: secret"))]);
    puller.first(&new).await;
    let (modules, findings) = told(&new, &pulls);
    assert!(modules == [None] && findings[0].ends_with("; requests get 503, since its failStrategy is not FAIL_OPEN"), "{findings:?}");
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_again_and_a_changed_object_where_the_policy_is_always() {
    let content = Content::default();
    content.image("auth", "v1", WASM, ONE);
    let (registry, serving) = content.serve(ANY.into()).await;
    serving.abort();
    let _ = serving.await;
    let with = |generation: u32| {
        let text = format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: p, namespace: shop, generation: {generation}}}\nspec: {{url: 'oci://{registry}/auth:v1', imagePullPolicy: Always}}\n"
        );
        Objects::default().update(read(&[SourceFile { path: "p.yaml".into(), text }]))
    };
    let world = |objects: &Objects| {
        let options = Options::default();
        Arc::new(World::new(objects.clone(), vec![], &options))
    };
    let objects = with(1);
    let (mut puller, mut pulls) = Puller::new(Store::default());
    puller.first(&objects).await;
    let (modules, findings) = told(&objects, &pulls);
    assert!(modules == [None] && findings[0].ends_with("; requests get 503, since its failStrategy is not FAIL_OPEN"), "{findings:?}");
    let (worlds, receiver) = watch::channel(world(&objects));
    tokio::spawn(puller.run(receiver));
    let _serving = content.serve(registry).await;
    let mut until = async |objects: Objects, module: &[u8]| {
        let expected = (vec![Some(digest(module))], vec![]);
        let there = async {
            while told(&objects, &pulls) != expected {
                pulls.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), there).await.unwrap();
    };
    until(objects, ONE).await;
    content.image("auth", "v1", WASM, TWO);
    worlds.send_replace(world(&with(2)));
    until(with(2), TWO).await;
}
