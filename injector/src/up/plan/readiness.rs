//! Readiness probes, from Kubernetes' form to what is done here.

use crate::up::probe::{Action, Probe};
use k8s_openapi::api::core::v1::{Container, Probe as KubeProbe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;

/// The probe of a container with these ports. One that names no port of the container never succeeds, as in a cluster.
pub fn plan(object: &str, container: &Container, ports: &[(Option<String>, u16)], notes: &mut Vec<String>) -> Option<Probe> {
    let probe = container.readiness_probe.as_ref()?;
    let action = action(probe, ports).unwrap_or_else(|port| {
        let why = format!("container {} has no port {port}", container.name);
        notes.push(format!("{object}: the readiness probe can never succeed: {why}"));
        Some(Action::Impossible(why))
    });
    let default = default(action?);
    // Zero means the default, as in a cluster; less is no number of anything.
    let positive = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0);
    let seconds = |value: Option<i32>, default: Duration| positive(value).map_or(default, |value| Duration::from_secs(value.into()));
    Some(Probe {
        initial_delay: seconds(probe.initial_delay_seconds, default.initial_delay),
        period: seconds(probe.period_seconds, default.period),
        timeout: seconds(probe.timeout_seconds, default.timeout),
        failures: positive(probe.failure_threshold).unwrap_or(default.failures),
        successes: positive(probe.success_threshold).unwrap_or(default.successes),
        ..default
    })
}

/// A probe with the settings that Kubernetes gives one without any.
pub fn default(action: Action) -> Probe {
    let second = Duration::from_secs(1);
    Probe { action, initial_delay: Duration::ZERO, period: 10 * second, timeout: second, failures: 3, successes: 1 }
}

/// What a probe asks; none if it asks nothing, and an error with the port that does not exist.
fn action(probe: &KubeProbe, ports: &[(Option<String>, u16)]) -> Result<Option<Action>, String> {
    let in_range = |port: i32| u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| port.to_string());
    let number = |port: &IntOrString| match port {
        IntOrString::Int(port) => in_range(*port),
        IntOrString::String(name) => {
            let named = ports.iter().find(|(known, _)| known.as_ref() == Some(name));
            named.map(|(_, port)| *port).ok_or_else(|| name.clone())
        }
    };
    Ok(if let Some(http) = &probe.http_get {
        let headers = http.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone())).collect();
        Some(match http.scheme.as_deref() {
            // A probe accepts any certificate, so what it can learn beyond a connection is little.
            Some("HTTPS") => Action::Tcp(number(&http.port)?),
            _ => Action::Http { port: number(&http.port)?, path: http.path.clone().unwrap_or_else(|| "/".into()), headers },
        })
    } else if let Some(tcp) = &probe.tcp_socket {
        Some(Action::Tcp(number(&tcp.port)?))
    } else if let Some(exec) = &probe.exec {
        Some(Action::Exec(exec.command.clone().unwrap_or_default()))
    } else if let Some(grpc) = &probe.grpc {
        Some(Action::Grpc { port: in_range(grpc.port)?, service: grpc.service.clone().unwrap_or_default() })
    } else {
        None
    })
}
