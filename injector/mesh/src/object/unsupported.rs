//! Fields of Istio's that Weir does not read yet: they are not misspelt, and some of them cannot be left out.

use crate::finding::Severity;

/// Without these the rest of the object is right.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("VirtualService", "tls http.corsPolicy match.statPrefix retries.retryIgnorePreviousHosts body.bytes delay.exponentialDelay abort.http2Error"),
    (
        "DestinationRule",
        "trafficPolicy.tls trafficPolicy.tunnel trafficPolicy.proxyProtocol trafficPolicy.retryBudget portLevelSettings.tls
            loadBalancer.warmup loadBalancer.warmupDurationSecs consistentHash.ringHash consistentHash.maglev httpCookie.attributes
            tcp.tcpKeepalive tcp.idleTimeout tcp.maxConnectionDuration http.h2UpgradePolicy http.useClientProtocol http.maxConcurrentStreams",
    ),
    (
        "Gateway",
        "servers.bind servers.defaultEndpoint tls.serverCertificate tls.privateKey tls.caCertificates tls.caCrl tls.subjectAltNames
            tls.credentialNames tls.caCertCredentialName tls.tlsCertificates tls.verifyCertificateSpki tls.verifyCertificateHash
            tls.minProtocolVersion tls.maxProtocolVersion tls.cipherSuites",
    ),
    ("WasmPlugin", "imagePullPolicy imagePullSecret verificationKey vmConfig type"),
];
/// Without these the object would hold for more than its author wants, or lead elsewhere.
const NARROWING: [(&str, &str); 3] = [
    (
        "VirtualService",
        "http.delegate tcp.match.destinationSubnets tcp.match.sourceSubnet tcp.match.sourceLabels tcp.match.sourceNamespace",
    ),
    ("DestinationRule", "workloadSelector"),
    ("WasmPlugin", "targetRef targetRefs"),
];

/// What to say of a field that a kind's type has not; `path` as in a finding, such as `spec.http[0].delegate`.
pub(super) fn verdict(kind: &str, path: &str) -> (Severity, &'static str) {
    let names: Vec<&str> = path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect();
    let path = names.join(".");
    let holds = |(of, fields): &(&str, &str)| *of == kind && fields.split_whitespace().any(|field| ends_with(&path, field));
    if NARROWING.iter().any(holds) {
        let message = "Weir does not do this yet, and without it the object would mean something else";
        (Severity::Error, message)
    } else if WITHOUT_EFFECT.iter().any(holds) {
        (Severity::Warning, "Weir does not do this yet; it has no effect")
    } else if selects(kind, &path) {
        (
            Severity::Error,
            "Weir does not know this field, and without it the object would hold for more than its author wants: check its spelling",
        )
    } else {
        (Severity::Warning, "Weir does not know this field; it has no effect: check its spelling")
    }
}

/// Whether a field stands where only what narrows stands: in a match, a subset, a selector.
fn selects(kind: &str, path: &str) -> bool {
    let is_below = |parents: &[&str]| parents.iter().any(|parent| path.starts_with(parent));
    match kind {
        "VirtualService" => is_below(&["spec.http.match.", "spec.tcp.match.", "spec.tls.match."]),
        // Not its policy.
        "DestinationRule" => path.strip_prefix("spec.subsets.").is_some_and(|field| !field.contains('.')),
        "WasmPlugin" => is_below(&["spec.selector.", "spec.match."]),
        _ => false,
    }
}

/// Fields of the specification itself stand alone, others with their parents.
fn ends_with(path: &str, field: &str) -> bool {
    let rest = path.strip_suffix(field);
    if field.contains('.') { rest.is_some_and(|rest| rest.ends_with('.')) } else { rest == Some("spec.") }
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use crate::finding::Severity::{Error, Warning};

    #[test]
    fn tells_what_is_not_done_yet_from_what_is_misspelt() {
        for (kind, path, severity, is_misspelt) in [
            ("DestinationRule", "spec.workloadSelector", Error, false),
            ("VirtualService", "spec.http[12].delegate", Error, false),
            ("VirtualService", "spec.tcp[0].match[1].sourceLabels", Error, false),
            ("WasmPlugin", "spec.targetRefs", Error, false),
            ("VirtualService", "spec.tls", Warning, false),
            ("DestinationRule", "spec.subsets[0].trafficPolicy.portLevelSettings[1].tls", Warning, false),
            ("Gateway", "spec.servers[0].tls.minProtocolVersion", Warning, false),
            ("VirtualService", "spec.http[0].match[0].statPrefix", Warning, false),
            ("VirtualService", "spec.http[0].match[0].uris", Error, true),
            ("VirtualService", "spec.http[0].match[0].headers.user.exakt", Error, true),
            ("VirtualService", "spec.tcp[0].match[1].ports", Error, true),
            ("DestinationRule", "spec.subsets[0].lables", Error, true),
            ("DestinationRule", "spec.subsets[0].trafficPolicy.loadBalanser", Warning, true),
            ("WasmPlugin", "spec.selector.matchLables", Error, true),
            ("WasmPlugin", "spec.match[0].modes", Error, true),
            ("WasmPlugin", "spec.priorities", Warning, true),
            ("Gateway", "spec.workloadSelector", Warning, true),
            ("VirtualService", "spec.http[0].tls", Warning, true),
            ("VirtualService", "spec.http[0].corsPolicies", Warning, true),
        ] {
            let (found, message) = verdict(kind, path);
            assert_eq!((found, message.contains("spelling")), (severity, is_misspelt), "{kind} {path}");
        }
    }
}
