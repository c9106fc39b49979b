//! Canary policies and what they make of a route; and policies that are not valid.

use crate::support::*;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::google::protobuf::StringValue;
use prost::Message;
use std::path::Path;
use weir_mesh::mesh;
use weir_mesh::object::{Objects, Rejected};
use weir_policy::canary;

const REVIEWS: &str = "reviews.shop.svc.cluster.local:80";

fn policy(canary: &str) -> String {
    istio(
        "WasmPlugin",
        "shop/c",
        &format!(
            "url: file:///weir-canary.wasm\npluginConfig: {{version: 1, canaries: [{{hosts: [reviews], key: [{{cookie: user}}], {canary}}}]}}"
        ),
    )
}

fn told(http: &str, canary: &str) -> Told {
    caller(&[http_service("shop/reviews"), virtual_service("shop/reviews", &format!("hosts: [reviews]\nhttp: {http}")), policy(canary)])
}

fn routes(http: &str, canary: &str) -> Vec<String> {
    lines(&told(http, canary).routes("80", REVIEWS))
}

const SPLIT: &str =
    "[{name: r, route: [{destination: {host: reviews, subset: v1}, weight: 100}, {destination: {host: reviews, subset: v2}, weight: 0}]}]";
const OVERRIDE: &str = "override: [{header: {name: x-tester, exact: 'yes'}, subset: v2}]";

#[test]
fn an_override_has_a_route_for_every_destination_in_front_also_for_weight_0() {
    assert_eq!(
        routes(SPLIT, OVERRIDE),
        ["r /* x-weir-subset=v1 -> 80|v1|reviews.shop", "r /* x-weir-subset=v2 -> 80|v2|reviews.shop", "r /* -> 80|v1|reviews.shop=10000"]
    );
}

#[test]
fn without_an_override_there_are_no_routes_for_one() {
    assert_eq!(routes(SPLIT, "stable: v1"), ["r /* -> 80|v1|reviews.shop=10000"]);
}

#[test]
fn a_destination_without_a_subset_is_named_by_its_hosts_first_label() {
    let http =
        "[{route: [{destination: {host: reviews}, weight: 1}, {destination: {host: reviews-v2.shop.svc.cluster.local}, weight: 0}]}]";
    let found = routes(http, OVERRIDE);
    assert_eq!(found[0], "/* x-weir-subset=reviews -> 80||reviews.shop");
    assert_eq!(found[1], "/* x-weir-subset=reviews-v2 -> 80||reviews-v2.shop");
}

#[test]
fn an_overrides_route_does_all_that_the_weighted_route_does() {
    let fields = "match: [{uri: {prefix: /a}}], timeout: 3s, rewrite: {uri: /b}, mirror: {host: reviews, subset: v3}, retries: {attempts: 7, retryOn: 5xx},
                  headers: {request: {set: {x: '1'}}}, fault: {abort: {httpStatus: 400, percentage: {value: 1}}}";
    let found = told(&SPLIT.replace("name: r,", &format!("name: r, {fields},")), OVERRIDE).routes("80", REVIEWS);
    assert_eq!(found.len(), 3);
    let weighted = &found[2];
    for overriding in &found[..2] {
        let (mut own, mut other) = (action(overriding), action(weighted));
        (own.cluster_specifier, other.cluster_specifier) = (None, None);
        assert_eq!(own.timeout.unwrap().seconds, 3);
        // A destination that does not exist has no retries; here both subsets are missing, so both have none.
        assert_eq!(own, other);
        assert_eq!(overriding.request_headers_to_add, weighted.request_headers_to_add);
        assert_eq!(overriding.typed_per_filter_config, weighted.typed_per_filter_config);
        assert_eq!(overriding.r#match.as_ref().unwrap().path_specifier, weighted.r#match.as_ref().unwrap().path_specifier);
    }
}

#[test]
fn one_canary_grows_from_bucket_0_and_the_stable_is_the_named_one() {
    let http =
        "[{route: [{destination: {host: reviews, subset: v2}, weight: 20}, {destination: {host: reviews, subset: v1}, weight: 80}]}]";
    assert_eq!(routes(http, "stable: v1"), ["/* -> 80|v2|reviews.shop=2000 80|v1|reviews.shop=8000"]);
    assert_eq!(routes(http, "train: t"), ["/* -> 80|v1|reviews.shop=8000 80|v2|reviews.shop=2000"], "else the one listed first");
}

#[test]
fn the_bucket_header_chooses_among_the_weights() {
    use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
    use envoy_types::pb::envoy::config::route::v3::weighted_cluster::RandomValueSpecifier;
    let route = told(SPLIT, "stable: v1").routes("80", REVIEWS).remove(0);
    let Some(ClusterSpecifier::WeightedClusters(weighted)) = action(&route).cluster_specifier else { panic!() };
    assert_eq!(weighted.random_value_specifier, Some(RandomValueSpecifier::HeaderName("x-weir-bucket".into())));
}

#[test]
fn several_canaries_keep_their_users_while_another_grows() {
    let of = |c: u32| {
        let http = format!(
            "[{{route: [{{destination: {{host: reviews, subset: s}}, weight: {}}}, {{destination: {{host: reviews, subset: b}}, weight: 10}}, {{destination: {{host: reviews, subset: c}}, weight: {c}}}]}}]",
            90 - c
        );
        let route = told(&http, "stable: s").routes("80", REVIEWS).pop().unwrap();
        clusters(&route).into_iter().flat_map(|(name, buckets)| std::iter::repeat_n(name, buckets as usize)).collect::<Vec<_>>()
    };
    let (before, after) = (of(5), of(25));
    assert_eq!((before.len(), after.len()), (10_000, 10_000));
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || before.contains("|s|")), "only the stable gives");
}

#[test]
fn a_policy_that_is_not_valid_names_its_json_path_and_the_last_good_one_stays() {
    let good = policy("stable: v1");
    let bad = policy("stable: v1, override: [{header: {name: 'no header', exact: a}, subset: v2}]");
    let mut read = read(&[&bad]);
    let finding = read.findings.remove(0).to_string();
    assert!(
        finding.contains("error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].override[0].header.name: expected"),
        "{finding}"
    );
    assert!(matches!(read.rejected.as_slice(), [Rejected::Object(key)] if key.to_string() == "WasmPlugin shop/c"));
    let services = [http_service("shop/reviews"), pod("shop/caller", "10.1.0.1", "app: caller")].concat();
    let with = |plugin: &str, before: &Objects| before.update(crate::support::read(&[&services, plugin]));
    let before = with(&good, &Objects::default());
    let after = with(&bad, &before);
    let told = |objects: &Objects| sidecar(&mesh::build(objects, &options()).0, "shop/caller").0;
    assert_eq!(told(&before), told(&after));
    assert!(
        told(&with(&bad, &Objects::default())).resources.keys().all(|kind| *kind != weir_mesh::snapshot::Type::ExtensionConfig),
        "none before"
    );
}

/// The examples of a page of the reference, as WasmPlugins.
fn examples(filter: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../filters/policy/reference/{filter}.md"));
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let plugin = |fields: &str| {
        let version = if fields.starts_with("version:") { "" } else { "version: 1\n" };
        let config: String = format!("{version}{fields}").lines().map(|line| format!("  {line}\n")).collect();
        istio("WasmPlugin", "shop/example", &format!("url: file:///etc/weir/modules/weir-{filter}.wasm\npluginConfig:\n{config}"))
    };
    blocks.map(|block| if block.starts_with("apiVersion") { block.to_string() } else { plugin(block) }).collect()
}

#[test]
fn every_example_of_the_reference_is_a_policy_as_it_is_written_there() {
    for (filter, at_least) in [("canary", 40), ("locality", 4)] {
        let examples = examples(filter);
        assert!(examples.len() >= at_least, "{filter}: {}", examples.len());
        for example in examples {
            let read = read(&[&example]);
            assert_eq!((read.findings.as_slice(), read.objects.len()), ([].as_slice(), 1), "{example}");
        }
    }
}

/// The JSON that a told proxy's canary filter is sent.
fn sent(told: &Told) -> Vec<u8> {
    let wasm = Wasm::decode(told.extension("shop.c").unwrap().typed_config.unwrap().value.as_slice()).unwrap().config.unwrap();
    StringValue::decode(wasm.configuration.unwrap().value.as_slice()).unwrap().value.into_bytes()
}

#[test]
fn the_filter_takes_what_it_is_sent_whatever_other_objects_have() {
    let canary = |hosts: &str| {
        let config = format!("{{version: 1, canaries: [{{hosts: [{hosts}], governor: {{}}}}]}}");
        istio("WasmPlugin", "shop/c", &format!("url: file:///weir-canary.wasm\npluginConfig: {config}"))
    };
    let hashed = |by: &str| rule("shop/r", &format!("host: reviews\ntrafficPolicy: {{loadBalancer: {{consistentHash: {{{by}}}}}}}"));
    let split = |subset: &str| {
        let other = "{destination: {host: reviews, subset: v2}, weight: 10}";
        let http = format!("[{{route: [{{destination: {{host: reviews, subset: {subset}}}, weight: 90}}, {other}]}}]");
        virtual_service("shop/reviews", &format!("hosts: [reviews]\nhttp: {http}"))
    };
    for (objects, key) in [
        (canary("'*'"), "[]"),
        (canary("'*.cluster.local'"), "[]"),
        (canary(&format!("reviews.{}.svc.cluster.local", "a".repeat(63))), "[]"),
        (canary("'2001:db8::7'"), "[]"),
        (canary("reviews") + &hashed("httpHeaderName: ':authority'"), "[]"),
        (canary("reviews") + &hashed("httpHeaderName: x-user"), "[{\"header\":\"x-user\"}]"),
        (canary("reviews") + &hashed("httpCookie: {name: 'a b', ttl: 0s}"), "[]"),
        (canary("reviews") + &hashed("httpQueryParameterName: 'a b'"), "[]"),
        (canary("reviews") + &split("'a b'"), "[]"),
        (canary("reviews") + &split("'.stable'"), "[]"),
        (canary("reviews") + &split(&"v".repeat(64)), "[]"),
    ] {
        let told = caller(&[http_service("shop/reviews"), objects.clone()]);
        let json = sent(&told);
        let text = String::from_utf8_lossy(&json);
        let read = canary::Policy::parse(&json);
        assert!(read.is_ok(), "{:?}\n{text}\n{objects}", read.err());
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["canaries"][0]["key"].as_array().map_or("[]".into(), |key| serde_json::to_string(key).unwrap()), key, "{objects}");
    }
}
