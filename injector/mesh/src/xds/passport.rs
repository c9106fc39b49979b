//! Where a request leaves the mesh, its passport stays behind: by Envoy's own means, so also where no filter of ours runs.

use super::http::zone_to_metadata;
use super::{View, any};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::config::route::v3::Route;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::Config;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::config::{KeyValuePair, Rule, ValueType};
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};

const BAGGAGE: &str = "baggage";
const NAMESPACE: &str = "weir";
/// Our members of a `baggage`, each with one of its commas.
const OURS: &str = r"^([ \t]*weir[ \t]*=[^,]*(,|$))+|,[ \t]*weir[ \t]*=[^,]*";

/// Takes the passport from the requests of a route that leads out of the mesh. The other members of `baggage` go on: through metadata,
/// since only there a part of a header can be replaced.
pub(crate) fn leave_behind(view: &View, route: &mut Route) {
    if !view.mesh.has_passports() {
        return;
    }
    let others = KeyValuePair {
        metadata_namespace: NAMESPACE.into(),
        key: BAGGAGE.into(),
        r#type: ValueType::String.into(),
        regex_value_rewrite: Some(RegexMatchAndSubstitute {
            pattern: Some(RegexMatcher { regex: OURS.into(), ..Default::default() }),
            substitution: String::new(),
        }),
        ..Default::default()
    };
    let rule = Rule { header: BAGGAGE.into(), on_header_present: Some(others), ..Default::default() };
    // What the route says stands in for what holds elsewhere.
    let zone = if view.policies.has_any_locality() { zone_to_metadata().request_rules } else { Vec::new() };
    let config = Config { request_rules: [vec![rule], zone].concat(), ..Default::default() };
    route.typed_per_filter_config.extend(any(config).map(|config| ("envoy.filters.http.header_to_metadata".into(), config)));
    route.request_headers_to_remove.push(BAGGAGE.into());
    // Without a value Envoy adds no header.
    let value = format!("%DYNAMIC_METADATA({NAMESPACE}:{BAGGAGE})%");
    route.request_headers_to_add.push(HeaderValueOption {
        header: Some(HeaderValue { key: BAGGAGE.into(), value, ..Default::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    });
}
