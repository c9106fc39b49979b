//! What Istio's own validation refuses, and what would make Envoy refuse more than the object itself, for what one object can
//! tell alone.

mod destination_rule;
mod gateway;
mod http;
mod kubernetes;
mod virtual_service;

pub(super) use kubernetes::key;

use super::read::Problems;
use super::virtual_service::{Percent, StringMatch};
use super::wasm_plugin::WasmPlugin;
use super::{Kind, Span, format, regex};
use crate::finding::Severity;
use crate::mesh::plugin;

pub(super) fn validate(kind: &Kind, problems: &mut Problems) {
    match kind {
        Kind::VirtualService(spec) => virtual_service::validate(spec, problems),
        Kind::DestinationRule(spec) => destination_rule::validate(spec, problems),
        Kind::Gateway(spec) => gateway::validate(spec, problems),
        Kind::WasmPlugin(spec) => wasm_plugin(spec, problems),
        Kind::Service(service) => kubernetes::service(service, problems),
        Kind::Pod(pod) => kubernetes::pod("spec", pod.spec.as_ref(), problems),
        Kind::Deployment(deployment) => {
            let template = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
            kubernetes::pod("spec.template.spec", template, problems);
        }
        Kind::Namespace(_) | Kind::Node(_) | Kind::IpAddress(_) | Kind::EndpointSlice(_) => {}
    }
}

fn wasm_plugin(spec: &WasmPlugin, problems: &mut Problems) {
    if spec.url.is_empty() {
        problems.error("spec.url", "a WasmPlugin needs the url of its module");
    }
    let own = plugin::own_policy(spec);
    if let Some(Err(error)) = &own {
        let field = if error.path == "." { "spec.pluginConfig".into() } else { format!("spec.pluginConfig.{}", error.path) };
        let message = match (plugin::module_name(&spec.url), error.path.as_str()) {
            (plugin::CANARY, "services") => {
                format!("a policy with services is the locality filter's: is the url {} meant?", plugin::LOCALITY)
            }
            (plugin::LOCALITY, "canaries") => {
                format!("a policy with canaries is the canary filter's: is the url {} meant?", plugin::CANARY)
            }
            _ => error.expected.clone(),
        };
        problems.error(&field, &message);
    }
    let unchecked = if own.is_some() { plugin::is_image(&spec.url) } else { spec.url.starts_with("file://") };
    if !spec.sha256.is_empty() && unchecked {
        let message = "Weir checks the digest of what it pulls, and of its own modules; of a file of yours, and of an image of its own modules, it has no effect";
        problems.add(Severity::Warning, "spec.sha256", message.into());
    }
    if !spec.image_pull_secret.is_empty() {
        let message = "Weir may not read Secrets, so the image is pulled without credentials; the field has no effect";
        problems.add(Severity::Warning, "spec.imagePullSecret", message.into());
    }
}

impl Problems<'_> {
    fn error(&mut self, field: &str, message: &str) {
        self.add(Severity::Error, field, message.into());
    }

    /// A host as VirtualServices, DestinationRules and Gateways name it: a name, an address, `*` or `*.suffix`.
    fn host(&mut self, at: &str, host: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let rest = host.strip_prefix("*.").unwrap_or(if host == "*" { "any" } else { host });
        if rest.is_empty() || !rest.chars().all(allowed) {
            self.error(at, &format!("{host:?} is no host: expected a name, an address, '*' or '*.SUFFIX'"));
        }
    }

    /// The name of a subset, which stands in the names of clusters.
    fn subset(&mut self, at: &str, name: &str) {
        let is_label = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !name.starts_with('-') && !name.ends_with('-');
        if name.is_empty() || name.len() > 63 || !is_label {
            self.error(at, &format!("{name:?} is no name of a subset: expected letters, digits and - between them, at most 63"));
        }
    }

    /// The name of a header.
    fn header_name(&mut self, at: &str, name: &str) {
        let rest = name.strip_prefix(':').unwrap_or(name);
        if rest.is_empty() || !rest.chars().all(format::is_of_header_name) {
            self.error(at, &format!("{name:?} is no name of a header"));
        }
    }

    /// A value that is put into a header, a path or a host.
    fn header_value(&mut self, at: &str, value: &str) {
        if value.contains(['\0', '\r', '\n']) {
            self.error(at, "a value for a header cannot hold a line break");
        }
    }

    /// A value that a header is given.
    fn header_format(&mut self, at: &str, value: &str) {
        self.header_value(at, value);
        self.added(at, value);
        if let Some(fault) = format::fault(value) {
            self.error(at, &fault);
        }
    }

    /// A name or a value of a header that Envoy adds.
    fn added(&mut self, at: &str, text: &str) {
        if text.len() > format::LONGEST {
            self.error(at, &format!("Envoy takes at most {} bytes here", format::LONGEST));
        }
    }

    fn regex(&mut self, at: &str, pattern: &str) {
        if let Some(fault) = regex::fault(pattern) {
            self.error(at, &format!("Envoy does not take the regular expression {pattern:?}: {fault}"));
        }
    }

    /// One of exact, prefix and regex. Where `presence` counts, the regex `*` means that there is a value.
    fn string_match(&mut self, at: &str, text: &StringMatch, presence: bool) {
        if [&text.exact, &text.prefix, &text.regex].iter().filter(|kind| kind.is_some()).count() > 1 {
            self.error(at, "a match is one of exact, prefix and regex");
        }
        if text.prefix.as_ref().is_some_and(String::is_empty) {
            self.error(&format!("{at}.prefix"), "a prefix cannot be empty");
        }
        if let Some(pattern) = &text.regex
            && !(presence && (pattern == "*" || pattern.is_empty()))
        {
            self.regex(&format!("{at}.regex"), pattern);
        }
    }

    fn percent(&mut self, at: &str, percent: Option<Percent>) {
        if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent.value)) {
            self.error(&format!("{at}.value"), "a percentage is a number from 0 to 100");
        }
    }

    /// A duration for which Envoy has no meaning of zero.
    fn positive(&mut self, at: &str, span: Option<Span>) {
        if span.is_some_and(|span| span.0.is_zero()) {
            self.error(at, "the duration must be longer than 0");
        }
    }
}
