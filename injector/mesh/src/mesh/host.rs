//! Names of hosts: short and full ones, and wildcards.

/// The full name of a host that an object in `namespace` names: a name without a dot is a Service of the namespace
/// (Istio's rule: any dot means that it is a full name already; `*` and addresses stay as they are).
pub fn full_name(host: &str, namespace: &str, domain: &str) -> String {
    // Names of hosts have no case; Envoy compares them in lower case.
    let host = host.to_ascii_lowercase();
    if host.contains(['.', '*', ':']) || host.is_empty() {
        return host;
    }
    format!("{host}.{namespace}.svc.{domain}")
}

/// Whether a pattern (`*`, `*.suffix` or a name) covers a host; a host that is a wildcard itself is covered by a wider one.
pub fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.strip_prefix('*').unwrap_or(host).ends_with(suffix),
        None => pattern == host,
    }
}

/// Of several patterns that cover a host, the one with the highest value is the most specific: a name, then the longest wildcard.
pub fn specificity(pattern: &str) -> (bool, usize) {
    (!pattern.starts_with('*'), pattern.len())
}

/// The first label: `reviews` of `reviews.shop.svc.cluster.local`.
pub fn first_label(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_only_names_without_a_dot() {
        for (host, full) in [
            ("a", "a.n.svc.d"),
            ("a.b", "a.b"),
            ("*", "*"),
            ("*.x", "*.x"),
            ("1.2.3.4", "1.2.3.4"),
            ("fd00::1", "fd00::1"),
            ("A", "a.n.svc.d"),
        ] {
            assert_eq!(full_name(host, "n", "d"), full);
        }
    }

    #[test]
    fn matches_names_and_wildcards() {
        for (pattern, host, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "b", false),
            ("*", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "b", false),
            ("*.b", "*.a.b", true),
            ("*.a.b", "*.b", false),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
        assert!(specificity("a") > specificity("*.long.suffix") && specificity("*.a.b") > specificity("*"));
    }
}
