//! Probes of apps whose traffic is redirected.

use super::*;
use std::net::IpAddr;
use weir_mesh::inject::probes;

fn probed(probe: Value) -> Value {
    let mut pod = pod();
    pod["spec"]["containers"][0]["readinessProbe"] = probe;
    pod
}

fn readiness(pod: &Value) -> &Value {
    &container(pod, "app")["readinessProbe"]
}

#[test]
fn a_tcp_probe_of_a_redirected_port_asks_the_proxys_page_about_that_port() {
    for port in [json!(8080), json!("http"), json!("8080")] {
        let original = probed(json!({"initialDelaySeconds": 3, "tcpSocket": {"port": port}, "periodSeconds": 5}));
        let pod = injected(&original).pod;
        let expected =
            json!({"initialDelaySeconds": 3, "httpGet": {"path": "/app-health/8080", "port": 15021, "scheme": "HTTP"}, "periodSeconds": 5});
        assert_eq!(readiness(&pod).to_string(), expected.to_string(), "the order of fields too");
        assert_eq!(flag(&pod, "--tcp-probes").as_deref(), Some("8080"));
        assert_eq!(weir_mesh::inject::uninject(&pod).map(|pod| pod.to_string()), Some(original.to_string()));
    }
}

#[test]
fn probes_that_work_as_they_are_stay() {
    for probe in [
        json!({"httpGet": {"path": "/", "port": 8080}}),
        json!({"httpGet": {"path": "/", "port": 9999, "scheme": "HTTPS"}}),
        json!({"grpc": {"port": 8080}}),
        json!({"exec": {"command": ["true"]}}),
        json!({"tcpSocket": {"port": "nobody"}}),
        json!({"tcpSocket": {"port": 8080, "host": "10.0.0.9"}}),
        json!({"tcpSocket": {"port": 15090}}),
    ] {
        let pod = injected(&probed(probe.clone())).pod;
        assert_eq!((readiness(&pod), flag(&pod, "--tcp-probes")), (&probe, None));
    }
}

#[test]
fn tcp_probes_stay_where_the_port_is_not_redirected_or_the_user_says_so() {
    let probe = json!({"tcpSocket": {"port": 8080}});
    for (name, value) in [
        ("traffic.sidecar.istio.io/excludeInboundPorts", "8080"),
        ("traffic.sidecar.istio.io/includeInboundPorts", "80"),
        ("sidecar.istio.io/interceptionMode", "NONE"),
        ("inject.istio.io/templates", "gateway"),
        ("sidecar.istio.io/rewriteAppHTTPProbers", "false"),
    ] {
        let mut pod = probed(probe.clone());
        pod["metadata"]["annotations"] = json!({name: value});
        assert_eq!(readiness(&injected(&pod).pod), &probe, "{name}");
    }
    let off = inject(&probed(probe.clone()), None, &values("rewriteAppHTTPProbe: false"), CA).unwrap().pod;
    assert_eq!(readiness(&off), &probe);
}

#[test]
fn probes_of_init_containers_ask_a_native_proxy_alone() {
    let probe = json!({"tcpSocket": {"port": 5432}});
    let mut pod = pod();
    pod["spec"]["initContainers"][0]["startupProbe"] = probe.clone();
    let page = json!({"httpGet": {"path": "/app-health/5432", "port": 15021, "scheme": "HTTP"}});
    assert_eq!(container(&injected(&pod).pod, "migrate")["startupProbe"], page);
    pod["metadata"]["annotations"] = json!({"sidecar.istio.io/nativeSidecar": "false"});
    assert_eq!(container(&injected(&pod).pod, "migrate")["startupProbe"], probe, "it runs before there is a proxy");
}

#[test]
fn the_probes_of_a_container_that_another_webhook_adds_are_rewritten_and_its_changes_of_the_proxy_stay() {
    let original = probed(json!({"tcpSocket": {"port": 8080}}));
    let mut pod = injected(&original).pod;
    let agent = json!({"name": "agent", "image": "agent", "livenessProbe": {"tcpSocket": {"port": 7}}});
    pod["spec"]["containers"].as_array_mut().unwrap().push(agent.clone());
    pod["spec"]["initContainers"][1]["env"] = json!([{"name": "AGENT", "value": "on"}]);
    let again = injected(&pod);
    assert_eq!(flag(&again.pod, "--tcp-probes").as_deref(), Some("7,8080"));
    assert_eq!(
        container(&again.pod, "agent")["livenessProbe"],
        json!({"httpGet": {"path": "/app-health/7", "port": 15021, "scheme": "HTTP"}})
    );
    assert_eq!(container(&again.pod, "istio-proxy")["env"], json!([{"name": "AGENT", "value": "on"}]));
    assert_eq!(injected(&again.pod).patch.0, []);
    let mut expected = original;
    expected["spec"]["containers"].as_array_mut().unwrap().push(agent);
    assert_eq!(weir_mesh::inject::uninject(&again.pod), Some(expected));
}

/// As the API server does between two calls of the webhook.
#[test]
fn a_rewritten_probe_is_known_again_whatever_defaults_were_added() {
    let original = probed(json!({"tcpSocket": {"port": 8080}}));
    for scheme in [json!("HTTP"), Value::Null] {
        let mut pod = injected(&original).pod;
        let probe = &mut pod["spec"]["containers"][0]["readinessProbe"];
        if scheme.is_null() {
            probe["httpGet"].as_object_mut().unwrap().remove("scheme");
        }
        probe["timeoutSeconds"] = json!(1);
        let again = injected(&pod).pod;
        assert_eq!(flag(&again, "--tcp-probes").as_deref(), Some("8080"));
        assert_eq!(readiness(&again)["httpGet"]["path"], "/app-health/8080");
        assert_eq!(readiness(&weir_mesh::inject::uninject(&again).unwrap())["tcpSocket"], json!({"port": 8080}));
    }
}

#[test]
fn a_rewritten_probe_that_somebody_changed_stays_changed() {
    let mut pod = injected(&probed(json!({"tcpSocket": {"port": 8080}}))).pod;
    let changed = json!({"httpGet": {"path": "/mine", "port": 8080}});
    pod["spec"]["containers"][0]["readinessProbe"] = changed.clone();
    assert_eq!(readiness(&weir_mesh::inject::uninject(&pod).unwrap()), &changed);
}

#[test]
fn the_bootstrap_answers_the_rewritten_probes() {
    let health = json!({"name": "health", "filter_chains": [{"filters": [{"typed_config": {"http_filters": [{"name": "router"}]}}]}]});
    let mut bootstrap = json!({"static_resources": {"clusters": [{"name": "weir"}], "listeners": [health]}});
    probes::serve(&mut bootstrap, IpAddr::from([10, 0, 0, 7]), &[5432]);
    let filters = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"];
    let names: Vec<_> = filters.as_array().unwrap().iter().map(|filter| filter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["envoy.filters.http.health_check", "router"]);
    let config = &filters[0]["typed_config"];
    assert_eq!(config["headers"], json!([{"name": ":path", "string_match": {"exact": "/app-health/5432"}}]));
    assert_eq!(config["cluster_min_healthy_percentages"], json!({"app-health-5432": {"value": 100}}));
    let cluster = &bootstrap["static_resources"]["clusters"][1];
    let address = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
    assert_eq!(
        (&cluster["name"], address),
        (&json!("app-health-5432"), &json!({"socket_address": {"address": "10.0.0.7", "port_value": 5432}}))
    );
    let mut other = json!({"static_resources": {}});
    probes::serve(&mut other, IpAddr::from([10, 0, 0, 7]), &[5432]);
    assert_eq!(other, json!({"static_resources": {}}));
}
