//! Gateways as they are reached from outside.

use super::mesh::{Mesh, eventually};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Istio's own ingress gateway, on another port than its Service's, before an app.
const DEPLOYED: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  template:
    metadata:
      labels: {app: istio-ingressgateway, istio: ingressgateway}
      annotations: {inject.istio.io/templates: gateway}
    spec: {containers: [{name: istio-proxy, image: auto}]}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{name: http2, port: 80, targetPort: 8080}]}
";

const GATEWAY: &str = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}
";

const ROUTE: &str = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: ['*'], gateways: [web], http: [{route: [{destination: {host: web, port: {number: 8080}}}]}]}
";

fn app() -> String {
    super::deployment("web", "v1", 1) + &super::service("web")
}

/// The status line of an answer to a request from outside, empty where there is none.
fn get(port: u16) -> String {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer.lines().next().unwrap_or_default().to_string())
    };
    ask().unwrap_or_default()
}

fn answers(port: u16) {
    eventually(Duration::from_secs(10), &format!("port {port} answers"), || get(port) == "HTTP/1.1 200 OK");
}

fn outside(mesh: &Mesh) -> Vec<u64> {
    let view = mesh.look();
    let ports = view["gateways"].as_array().unwrap().iter().flat_map(|gateway| gateway["ports"].as_array().unwrap().clone());
    ports.map(|port| port["outside"].as_u64().unwrap()).collect()
}

#[test]
fn a_deployed_gateway_is_reached_at_the_target_port_of_its_service() {
    let mesh = Mesh::start(&[DEPLOYED, GATEWAY, ROUTE, &app()].concat(), &[]);
    let ports = outside(&mesh);
    assert_eq!((ports.len(), &mesh.look()["gateways"][0]["unserved"][0]), (1, &"port 443: HTTPS is not served yet".into()));
    answers(u16::try_from(ports[0]).unwrap());

    let gateway = "istio-ingressgateway-0";
    for container in ["envoy", "istio-proxy"] {
        assert_eq!(mesh.does(&["exec", gateway, "-c", container, "--", "echo", "hello"]), "hello\n");
        mesh.does(&["stop", gateway, "-c", container, "--signal", "KILL"]);
        mesh.becomes(gateway, "Waiting");
        mesh.does(&["start", gateway, "-c", container]);
        mesh.becomes(gateway, "Ready");
    }
    mesh.does(&["logs", gateway, "-c", "envoy"]);
}

#[test]
fn the_port_asked_for_comes_back_with_its_gateway_and_is_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let both = GATEWAY.replace("istio: ingressgateway", "app: istio-ingressgateway").replace("name: web}", "name: other}");
    let mesh = Mesh::start(&[GATEWAY, &both, ROUTE, &app()].concat(), &["--gateway-port", &port.to_string()]);
    let pods = || mesh.look()["pods"].as_array().unwrap().iter().map(|pod| pod["name"].clone()).collect::<Vec<_>>();
    assert_eq!(pods(), ["web-0", "istio-ingressgateway-0"]);
    assert_eq!(outside(&mesh), [u64::from(port)]);
    answers(port);
    mesh.edit(&[ROUTE, &app()].concat());
    eventually(Duration::from_secs(5), "the gateway goes", || outside(&mesh).is_empty());
    assert_eq!(get(port), "", "who comes is turned away");
    mesh.edit(&[GATEWAY, ROUTE, &app()].concat());
    eventually(Duration::from_secs(5), "the gateway comes back", || outside(&mesh) == [u64::from(port)]);
    answers(port);
    assert!(mesh.said().contains(&format!("gateway istio-ingressgateway\n  http://127.0.0.1:{port}/\n")), "{}", mesh.said());
}
