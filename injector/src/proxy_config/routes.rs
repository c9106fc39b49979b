//! Routes: which request goes where, with the VirtualService that says so.

use super::dump::{at, list, listed, made_from, text};
use crate::commands::output::row;
use serde_json::Value;

/// The route configurations of a name, or all.
pub fn select(dump: &Value, name: Option<&str>) -> Vec<Value> {
    let configured = listed(dump, &["static_route_configs", "dynamic_route_configs"]).map(|entry| &entry["route_config"]);
    configured.filter(|config| name.is_none_or(|name| text(config, "/name") == name)).cloned().collect()
}

/// A line for each destination of each route, in the order in which Envoy tries them.
pub fn table(configs: &[Value], wide: bool) -> Vec<Vec<String>> {
    let mut lines = vec![row(&["NAME", "DOMAINS", "MATCH", "DESTINATION", "WEIGHT", "VIRTUAL SERVICE"])];
    for config in configs {
        for host in list(config, "/virtual_hosts") {
            let domains = domains(host, wide);
            let mut routes = list(host, "/routes").iter().peekable();
            while let Some(route) = routes.next() {
                // A route that may be repeated stands twice, for GET and HEAD first.
                let same = routes
                    .peek()
                    .is_some_and(|next| is_for_reading(route) && matched(next) == without_method(route) && target(next) == target(route));
                if same {
                    continue;
                }
                for (destination, share) in target(route) {
                    let fixed = [text(config, "/name").to_string(), domains.clone(), matched(route)];
                    lines.push([&fixed[..], &[destination, share, made_from(route)]].concat());
                }
            }
        }
    }
    lines
}

fn domains(host: &Value, wide: bool) -> String {
    let domains: Vec<_> = list(host, "/domains").iter().filter_map(Value::as_str).collect();
    match domains.as_slice() {
        [first, .., _] if !wide => format!("{first} + {} more", domains.len().saturating_sub(1)),
        all => all.join(","),
    }
}

/// What a route takes.
fn matched(route: &Value) -> String {
    written(&route["match"], |_| true)
}

fn without_method(route: &Value) -> String {
    written(&route["match"], |header| header["name"] != ":method")
}

fn is_for_reading(route: &Value) -> bool {
    let is_it = |header: &Value| header["name"] == ":method" && text(header, "/string_match/safe_regex/regex") == "GET|HEAD";
    list(route, "/match/headers").iter().any(is_it)
}

fn written(criteria: &Value, is_wanted: impl Fn(&Value) -> bool) -> String {
    let prefixes = [("prefix", ""), ("path_separated_prefix", "/")];
    let path = match prefixes.iter().find_map(|(name, slash)| Some((criteria[*name].as_str()?, slash))) {
        Some((prefix, slash)) => format!("{prefix}{slash}*"),
        None if criteria["path"].is_string() => text(criteria, "/path").into(),
        None => format!("~{}", text(criteria, "/safe_regex/regex")),
    };
    let headers = list(criteria, "/headers").iter().filter(|header| is_wanted(header)).map(condition);
    let queries = list(criteria, "/query_parameters").iter().map(|query| format!("?{}", condition(query)));
    [path].into_iter().chain(headers).chain(queries).collect::<Vec<_>>().join(" ")
}

/// `name=value`, `name^=start`, `name$=end`, `name*=part`, `name~regex`, or `name` alone for one that is there; `!` turns it round.
fn condition(criterion: &Value) -> String {
    let (name, matcher) = (text(criterion, "/name"), &criterion["string_match"]);
    let not = if criterion["invert_match"] == true { "!" } else { "" };
    let forms = [("exact", "="), ("prefix", "^="), ("suffix", "$="), ("contains", "*=")];
    let plain = forms.iter().find_map(|(form, sign)| Some(format!("{sign}{}", matcher[*form].as_str()?)));
    let regex = || Some(format!("~{}", at(matcher, "/safe_regex/regex").as_str()?));
    format!("{not}{name}{}", plain.or_else(regex).unwrap_or_default())
}

fn target(route: &Value) -> Vec<(String, String)> {
    let redirect = &route["redirect"];
    if redirect.is_object() {
        let parts = [
            text(redirect, "/scheme_redirect"),
            text(redirect, "/host_redirect"),
            text(redirect, "/path_redirect"),
            text(redirect, "/prefix_rewrite"),
        ];
        let https = if redirect["https_redirect"] == true { "https" } else { "" };
        return vec![(format!("redirect {https}{}", parts.concat()).trim().into(), String::new())];
    }
    if let Some(status) = at(route, "/direct_response/status").as_u64() {
        return vec![(format!("answer {status}"), String::new())];
    }
    destinations(&route["route"])
}

/// The clusters of a route or of a TCP proxy, each once, with its share if there are several.
pub fn destinations(action: &Value) -> Vec<(String, String)> {
    if let Some(cluster) = action["cluster"].as_str() {
        return vec![(cluster.into(), String::new())];
    }
    let mut shares: Vec<(&str, u64)> = Vec::new();
    for cluster in list(action, "/weighted_clusters/clusters") {
        let (name, weight) = (text(cluster, "/name"), cluster["weight"].as_u64().unwrap_or_default());
        match shares.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += weight,
            None => shares.push((name, weight)),
        }
    }
    let total: u64 = shares.iter().map(|(_, weight)| weight).sum();
    let percent = |weight: u64| format!("{}%", (weight * 10_000).checked_div(total).unwrap_or_default() as f64 / 100.0);
    shares.into_iter().map(|(name, weight)| (name.to_string(), percent(weight))).collect()
}
