//! The containers and volumes that an injection adds.

use super::lifecycle;
use super::names::{INIT, OVERRIDE_VOLUME, PROXY, PROXY_UID, PROXY_VOLUME, TOKEN_VOLUME};
use super::settings::{Redirect, Role, Settings};
use super::values::{PullPolicy, Values};
use crate::bootstrap::{HEALTH_PORT, STATS_PORT};
use serde_json::{Map, Value, json};

/// Where the init container leaves the proxy's files.
const PROXY_FOLDER: &str = "/etc/weir/proxy";
/// Where the token is.
const TOKEN_FOLDER: &str = "/var/run/secrets/weir";
/// Where the bootstrap's override is, and its key, which is Istio's.
const OVERRIDE_FOLDER: &str = "/etc/weir/bootstrap-override";
const OVERRIDE_FILE: &str = "custom_bootstrap.json";

/// The container that writes the proxy's files and redirects the traffic, before anything else runs. `tcp_probes` are the ports whose
/// probes the proxy answers, `uid` who the proxy runs as.
pub(super) fn init(settings: &Settings, values: &Values, ca: &str, tcp_probes: &[u16], uid: u64) -> Value {
    let role = match settings.role {
        Role::Sidecar => "sidecar",
        Role::Router => "router",
    };
    let control_plane = format!("weir.{}.svc:15012", values.namespace);
    let mut args: Vec<String> = ["proxy-init", "--role", role, "--control-plane", &control_plane, "--domain", &values.proxy.cluster_domain]
        .map(String::from)
        .into();
    if let Some(redirect) = &settings.redirect {
        args.extend(redirect_flags(redirect, uid));
    }
    if !tcp_probes.is_empty() {
        let ports: Vec<_> = tcp_probes.iter().map(u16::to_string).collect();
        args.extend(["--tcp-probes".into(), ports.join(",")]);
    }
    let mut mounts = vec![json!({"name": PROXY_VOLUME, "mountPath": PROXY_FOLDER})];
    if settings.bootstrap_override.is_some() {
        args.extend(["--bootstrap-override".into(), format!("{OVERRIDE_FOLDER}/{OVERRIDE_FILE}")]);
        mounts.push(json!({"name": OVERRIDE_VOLUME, "mountPath": OVERRIDE_FOLDER, "readOnly": true}));
    }
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut container = container(INIT, &values.image, values);
    let further = [
        ("args", json!(args)),
        (
            "env",
            json!([
                field("POD_NAME", "metadata.name"),
                field("POD_NAMESPACE", "metadata.namespace"),
                field("INSTANCE_IP", "status.podIP"),
                {"name": "WEIR_CA", "value": ca},
            ]),
        ),
        ("resources", json!(settings.resources)),
        ("securityContext", if settings.redirect.is_some() { privileged() } else { unprivileged() }),
        ("volumeMounts", json!(mounts)),
    ];
    container.extend(further.map(|(name, value)| (name.to_string(), value)));
    Value::Object(container)
}

/// Envoy.
pub(super) fn proxy(settings: &Settings, values: &Values) -> Value {
    let mut command: Vec<String> =
        ["envoy", "-c", "/etc/weir/proxy/envoy.json", "--log-level", &settings.log_level.to_string()].map(String::from).into();
    if !settings.component_log_level.0.is_empty() {
        command.extend(["--component-log-level".into(), settings.component_log_level.0.clone()]);
    }
    if settings.concurrency > 0 {
        command.extend(["--concurrency".into(), settings.concurrency.to_string()]);
    }
    let drain = settings.drain.as_secs().max(1).to_string();
    command.extend(["--drain-time-s", &drain, "--drain-strategy", "immediate", "--disable-hot-restart"].map(String::from));
    let mut mounts = vec![
        json!({"name": PROXY_VOLUME, "mountPath": PROXY_FOLDER, "readOnly": true}),
        json!({"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true}),
    ];
    mounts.extend(settings.mounts.iter().filter_map(|(name, mount)| named(name, mount)));
    let mut container = container(PROXY, &settings.image, values);
    let mut add = |name: &str, value: Value| container.insert(name.into(), value);
    if settings.native {
        add("restartPolicy", "Always".into());
    }
    add("command", json!(command));
    add("ports", json!([{"name": "http-envoy-prom", "containerPort": STATS_PORT, "protocol": "TCP"}]));
    add("resources", json!(settings.resources));
    if let Some(readiness) = settings.readiness {
        let probe = |initial_delay: u32, period: u32, failures: u32| {
            json!({
                "httpGet": {"path": "/healthz/ready", "port": HEALTH_PORT},
                "initialDelaySeconds": initial_delay,
                "periodSeconds": period,
                "timeoutSeconds": 3,
                "failureThreshold": failures,
            })
        };
        // What starts after a native sidecar waits for this.
        add("startupProbe", probe(0, 1, 600));
        add("readinessProbe", probe(readiness.initial_delay, readiness.period, readiness.failures));
    }
    if let Some(lifecycle) = lifecycle::of(settings) {
        add("lifecycle", lifecycle);
    }
    add("securityContext", unprivileged());
    add("volumeMounts", json!(mounts));
    Value::Object(container)
}

/// The volumes.
pub(super) fn volumes(settings: &Settings) -> Vec<Value> {
    let token = json!({"serviceAccountToken": {"path": "token", "audience": "weir", "expirationSeconds": 3600}});
    let mut volumes = vec![
        // In memory: the cluster autoscaler takes any other emptyDir for data that keeps a node from being removed.
        json!({"name": PROXY_VOLUME, "emptyDir": {"medium": "Memory"}}),
        json!({"name": TOKEN_VOLUME, "projected": {"sources": [token]}}),
    ];
    if let Some(name) = &settings.bootstrap_override {
        volumes.push(json!({"name": OVERRIDE_VOLUME, "configMap": {"name": name}}));
    }
    volumes.extend(settings.volumes.iter().filter_map(|(name, source)| named(name, source)));
    volumes
}

fn container(name: &str, image: &str, values: &Values) -> Map<String, Value> {
    let mut container = Map::from_iter([("name".to_string(), name.into()), ("image".to_string(), image.into())]);
    let policy = match values.image_pull_policy {
        PullPolicy::ByTag => return container,
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    };
    container.insert("imagePullPolicy".into(), policy.into());
    container
}

fn named(name: &str, fields: &Value) -> Option<Value> {
    let mut item = Map::from_iter([("name".to_string(), name.into())]);
    item.extend(fields.as_object()?.iter().filter(|(field, _)| *field != "name").map(|(field, value)| (field.clone(), value.clone())));
    Some(Value::Object(item))
}

/// The flags of `weir redirect`. What is none by default is named when there is some.
fn redirect_flags(redirect: &Redirect, uid: u64) -> Vec<String> {
    let mut flags: Vec<String> = ["--redirect", "--proxy-uid", &uid.to_string()].map(String::from).into();
    flags.extend(["--inbound-ports".into(), redirect.inbound_ports.to_string()]);
    let mut some = |flag: &str, is_none: bool, text: String| {
        if !is_none {
            flags.extend([flag.to_string(), text]);
        }
    };
    some("--exclude-inbound-ports", redirect.exclude_inbound_ports.is_none(), redirect.exclude_inbound_ports.to_string());
    some("--outbound-ports", redirect.outbound_ports.is_none(), redirect.outbound_ports.to_string());
    some("--exclude-outbound-ports", redirect.exclude_outbound_ports.is_none(), redirect.exclude_outbound_ports.to_string());
    some("--outbound-ranges", false, redirect.outbound_ranges.to_string());
    some("--exclude-outbound-ranges", redirect.exclude_outbound_ranges.is_none(), redirect.exclude_outbound_ranges.to_string());
    flags
}

/// As the restricted Pod Security standard asks.
fn unprivileged() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsGroup": PROXY_UID,
        "runAsNonRoot": true,
        "runAsUser": PROXY_UID,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// The only privilege that injection needs: to write the redirection of the pod's own network.
fn privileged() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsGroup": 0,
        "runAsNonRoot": false,
        "runAsUser": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}
