//! One user on one version over three hops, told by the passport, or by the key where an app does not hand it on.

use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;
use tempfile::TempDir;
use weir_sample::client::Client;
use weir_tests::tools::wait_for;
use weir_tests::{Mesh, Up, able};

const URL: &str = "http://hops.localhost/";
const SOON: Duration = Duration::from_secs(10);
const GATEWAY: &str = "istio-ingressgateway-0.istio-system";

/// The services in the order of the hops; each asks the next one.
const HOPS: [&str; 3] = ["front", "middle", "leaf"];

/// Three services in two versions at 50/50 each, with a gateway in front. `middle` is an app that hands on all headers but `drop`.
fn manifests(drop: Option<&str>) -> String {
    let mut text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: hops, labels: {istio-injection: enabled}}\n".to_string();
    for (place, service) in HOPS.into_iter().enumerate() {
        let next = HOPS.get(place + 1).map(|next| format!("http://{next}/"));
        let mut args: Vec<String> = next.map_or(vec!["stand-in".into()], |next| vec!["product".into(), "--order-history".into(), next]);
        args.extend(drop.filter(|_| service == "middle").into_iter().flat_map(|header| ["--drop".to_string(), header.to_string()]));
        let port = r#"[{"name": "http", "port": 80, "targetPort": 8080}]"#;
        let gateways = if place == 0 { "hosts: [hops.localhost, front], gateways: [hops, mesh]" } else { &format!("hosts: [{service}]") };
        let split = format!(
            "[{{destination: {{host: {service}, subset: v1}}, weight: 50}}, {{destination: {{host: {service}, subset: v2}}, weight: 50}}]"
        );
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {service}, namespace: hops}}\nspec: {{selector: {{app: {service}}}, ports: {port}}}
---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {service}, namespace: hops}}
spec: {{host: {service}, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]}}
---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {service}, namespace: hops}}
spec: {{{gateways}, http: [{{route: {split}}}]}}\n"
        )
        .unwrap();
        for version in ["v1", "v2"] {
            text += &deployment(&format!("{service}-{version}"), service, version, &args, true);
        }
    }
    text + "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: hops, namespace: hops}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n"
}

fn deployment(name: &str, app: &str, version: &str, args: &[String], injected: bool) -> String {
    let labels = format!("{{app: {app}, version: {version}, sidecar.istio.io/inject: \"{injected}\"}}");
    let args = json!(args);
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: hops}}
spec: {{selector: {{matchLabels: {{app: {app}}}}}, template: {{metadata: {{labels: {labels}}}, spec: {{containers: [{{name: app, image: weir-sample, args: {args}, env: [{{name: VERSION, value: {version}}}]}}]}}}}}}\n"
    )
}

/// The policies of all three: the gateway finds the user, and each service's own key is `key`.
fn policy(key: &str) -> String {
    let canary = |host: &str| format!("{{hosts: [{host}.hops.svc.cluster.local], stable: v1, train: autumn, key: [{key}]}}");
    let canaries: Vec<_> = HOPS.into_iter().map(canary).collect();
    format!(
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: train, namespace: istio-system}}
spec:\n  url: file:///etc/weir/modules/weir-canary.wasm\n  failStrategy: FAIL_OPEN\n  pluginConfig: {{version: 1,
    passport: {{key: [{{cookie: user}}], override: [{{header: {{name: x-tester, exact: \"yes\"}}, subset: v2}}]}},
    canaries: [{}]}}\n",
        canaries.join(", ")
    )
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

/// One request: the answer of each hop.
async fn get(mesh: &Up, headers: HeaderMap) -> Option<[Value; 3]> {
    let front = ask(mesh, URL, headers).await?;
    let middle = front["orderHistory"].clone();
    let leaf = middle["orderHistory"].clone();
    Some([front, middle, leaf])
}

async fn ask(mesh: &Up, url: &str, headers: HeaderMap) -> Option<Value> {
    let answer = Client::new(Some(mesh.gateway())).get(url, headers, SOON).await.ok().filter(|answer| answer.status.is_success())?;
    serde_json::from_slice(&answer.body).ok()
}

fn versions(hops: &[Value; 3]) -> [&str; 3] {
    [0, 1, 2].map(|hop| hops[hop]["version"].as_str().unwrap())
}

/// Starts the services with the policy, and waits until it holds on all hops: by chance three versions agree 40 times in 1 of 4^40 cases.
async fn start(drop: Option<&str>, key: &str) -> (Up, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("hops.yaml");
    std::fs::write(&path, manifests(drop) + "---\n" + &policy(key)).unwrap();
    let mesh = Up::start(&[path.to_str().unwrap()]).unwrap();
    wait_for("one user's version on every hop", Duration::from_secs(30), async || {
        for _ in 0..40 {
            let hops = get(&mesh, headers(&[("cookie", "user=ann")])).await?;
            (versions(&hops)[0] == versions(&hops)[1] && versions(&hops)[1] == versions(&hops)[2]).then_some(())?;
        }
        Some(())
    })
    .await
    .unwrap();
    (mesh, folder)
}

/// Forty users with five requests each are on one version each, on all hops; returns the versions that they had.
async fn users(mesh: &Up) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for user in 0..40 {
        let cookie = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("user=u{user}")).unwrap())]);
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let hops = get(mesh, cookie.clone()).await.unwrap();
            seen.extend(versions(&hops).map(String::from));
        }
        assert_eq!(seen.len(), 1, "user {user}: {seen:?}");
        all.extend(seen);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_keeps_the_version_on_every_hop() {
    if !able::to_run_a_mesh() {
        return;
    }
    // No key but the passport.
    let (mesh, _folder) = start(None, "").await;
    assert_eq!(users(&mesh).await.len(), 2, "users differ");

    // Who has no user is drawn one that all hops share.
    let mut drawn = BTreeSet::new();
    for _ in 0..100 {
        let hops = get(&mesh, headers(&[])).await.unwrap();
        drawn.insert(versions(&hops).map(String::from));
    }
    assert_eq!(drawn.len(), 2, "{drawn:?}");

    // A tester is sent to the subset on every hop.
    let ours = get(&mesh, headers(&[("cookie", "user=ann"), ("x-tester", "yes")])).await.unwrap();
    assert_eq!(versions(&ours), ["v2"; 3]);

    // What comes from outside is not believed, and what is not ours stays.
    let seen = ours[2]["headers"]["baggage"].as_str().unwrap();
    assert!(seen.starts_with("weir=01"), "{seen}");
    let expected = versions(&get(&mesh, headers(&[("cookie", "user=u1")])).await.unwrap()).map(String::from);
    for passport in [seen, "weir=0102"] {
        let stolen = format!("tenant=7;p=1,{passport},b=%20");
        let hops = get(&mesh, headers(&[("cookie", "user=u1"), ("baggage", &stolen)])).await.unwrap();
        assert_eq!(versions(&hops).map(String::from), expected);
        let arrived = hops[2]["headers"]["baggage"].as_str().unwrap();
        assert!(arrived.starts_with("tenant=7;p=1,b=%20,weir=01") && !arrived.contains(passport), "{arrived}");
    }
    let made = async || mesh.counted(GATEWAY, "weir_canary_passport_made").ok().filter(|count| *count >= 300);
    wait_for("passports to be counted", SOON, made).await.unwrap();

    // The policy is shown, its keys are not.
    let shown = mesh.ask(&["proxy-config", "filters", GATEWAY, "-o", "json"]).unwrap();
    let lists: Vec<&str> = shown.split("secrets").skip(1).filter_map(|rest| rest.split(']').next()).collect();
    assert!(
        !lists.is_empty() && lists.iter().all(|list| list.contains("REMOVED") && list.split('"').all(|part| part.len() < 64)),
        "{shown}"
    );

    leaves_it_behind(&mesh).await;
}

/// On its way to an address outside the mesh, a request loses its passport and nothing else. (At a port at which no service of the mesh is,
/// a proxy passes bytes on, and takes none of them for requests.)
async fn leaves_it_behind(mesh: &Up) {
    mesh.apply_text(&deployment("outside", "outside", "v1", &["stand-in", "--port", "80"].map(String::from), false)).unwrap();
    let address = wait_for("a pod outside", Duration::from_secs(30), async || {
        Some(mesh.pod("outside-0.hops").ok().filter(|pod| pod["ready"] == true)?["ip"].as_str()?.to_string())
    });
    let address = address.await.unwrap();
    let args = ["product".to_string(), "--order-history".into(), format!("http://{address}/")];
    mesh.apply_text(&deployment("caller", "caller", "v1", &args, true)).unwrap();
    let port = r#"[{"name": "http", "port": 80, "targetPort": 8080}]"#;
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: caller, namespace: hops}}\nspec: {{selector: {{app: caller}}, ports: {port}}}
---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: out, namespace: hops}}
spec: {{hosts: [out.localhost], gateways: [hops], http: [{{route: [{{destination: {{host: caller}}}}]}}]}}\n"
    );
    mesh.apply_text(&service).unwrap();
    let out =
        async |sent: HeaderMap| ask(mesh, "http://out.localhost/", sent).await.map(|answer| answer["orderHistory"]["headers"].clone());
    let baggage = "tenant=7, b=%20";
    let arrived = wait_for("an answer from outside", Duration::from_secs(30), async || {
        out(headers(&[("cookie", "user=ann"), ("baggage", baggage)])).await
    });
    let arrived = arrived.await.unwrap();
    assert_eq!(arrived["baggage"], baggage, "{arrived}");
    let alone = out(headers(&[("cookie", "user=ann")])).await.unwrap();
    assert!(alone.is_object() && alone["baggage"].is_null(), "{alone}");

    // A gateway too may lead out of the mesh, for a service whose endpoints are no pods: its Envoy takes what that needs.
    let elsewhere = "apiVersion: v1\nkind: Service\nmetadata: {name: elsewhere, namespace: hops}\nspec: {ports: [{name: http, port: 80}]}
---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice
metadata: {name: elsewhere, namespace: hops, labels: {kubernetes.io/service-name: elsewhere}}
addressType: IPv4\nports: [{name: http, port: 9}]\nendpoints: [{addresses: [198.18.0.1]}]
---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: elsewhere, namespace: hops}
spec: {hosts: [elsewhere.localhost], gateways: [hops], http: [{route: [{destination: {host: elsewhere}}]}]}\n";
    mesh.apply_text(elsewhere).unwrap();
    wait_for("a gateway that leads out of the mesh", SOON, async || {
        let config = mesh.admin(GATEWAY, "/config_dump?resource=dynamic_listeners", false).ok()?;
        config.contains("header_to_metadata").then_some(())
    })
    .await
    .unwrap();
    let answer = Client::new(Some(mesh.gateway())).get("http://elsewhere.localhost/", HeaderMap::new(), SOON).await.unwrap();
    assert_eq!(answer.status, 503, "nobody listens there");
    let status = mesh.ask(&["proxy-status"]).unwrap();
    assert!(status.contains("istio-ingressgateway-0") && !status.contains(" rejected "), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_passport_the_key_puts_a_user_on_the_same_version() {
    if !able::to_run_a_mesh() {
        return;
    }
    let (mesh, _folder) = start(Some("baggage"), "{cookie: user}").await;
    assert_eq!(users(&mesh).await.len(), 2, "users differ");
    let hops = get(&mesh, headers(&[("cookie", "user=ann")])).await.unwrap();
    assert!(hops[2]["headers"].is_object() && hops[2]["headers"]["baggage"].is_null(), "{}", hops[2]);
}
