//! What the proxy does when its pod starts and ends. The official Envoy image has bash, and no curl.
//!
//! - A **native sidecar** needs no hook. What comes after it waits for its startup probe, and the kubelet ends it only when the app's
//!   containers have ended (Kubernetes, "Sidecar containers"): until then it serves, and afterwards nobody is left to be served.
//!   That is also why a Job ends: native sidecars do not count.
//! - An **ordinary container** is told to end together with the app. It first asks its clients to go away (Envoy's graceful drain:
//!   `connection: close`, GOAWAY) and goes on serving for terminationDrainDuration, until endpoints have been removed everywhere. A
//!   gateway does the same. Such a container cannot keep the app waiting by being first in the list: the kubelet starts one container
//!   after the other without waiting, but for a postStart hook. So with holdApplicationUntilProxyStarts it has one that returns when
//!   the proxy is ready, as Istio's agent does. Init containers run before any proxy: they are not redirected yet.

use super::settings::{Role, Settings};
use crate::bootstrap::{ADMIN_PORT, HEALTH_PORT};
use serde_json::{Map, Value, json};

/// The hooks of the proxy's container; none for a native sidecar.
pub(super) fn of(settings: &Settings) -> Option<Value> {
    if settings.native {
        return None;
    }
    let mut hooks = Map::new();
    if settings.hold && settings.role == Role::Sidecar {
        hooks.insert("postStart".into(), bash(&until_ready()));
    }
    hooks.insert("preStop".into(), bash(&drain(settings.termination_drain.as_secs_f64())));
    Some(Value::Object(hooks))
}

fn bash(script: &str) -> Value {
    json!({"exec": {"command": ["bash", "-c", script]}})
}

/// Sends a request to the proxy itself, at the loopback address of either family, and reads the status of the answer into `code`.
fn ask(port: u16, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n");
    format!("exec 3<>/dev/tcp/localhost/{port} && printf '{request}' >&3 && read -r _ code _ <&3")
}

/// Asks clients to go away, and waits, whether the proxy heard it or not.
fn drain(seconds: f64) -> String {
    format!("({}) 2>/dev/null; exec sleep {seconds}", ask(ADMIN_PORT, "POST", "/drain_listeners?graceful&skip_exit"))
}

/// A minute at most, as Istio's agent waits; then the kubelet starts the proxy anew.
fn until_ready() -> String {
    let ask = ask(HEALTH_PORT, "GET", "/healthz/ready");
    format!(
        "for i in {{1..300}}; do ({ask} && [ \"$code\" = 200 ]) 2>/dev/null && exit 0; sleep 0.2; done; \
         echo 'the proxy has no configuration after 60 s' >&2; exit 1"
    )
}
