//! What becomes of a request that a route took: retries, timeout, mirrors, rewrite, redirect, fault, headers.

use crate::routes::{REVIEWS, services, told};
use crate::support::{self, *};
use envoy_types::pb::envoy::config::route::v3::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::route;
use envoy_types::pb::envoy::config::route::v3::route_action::HostRewriteSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{HttpFault, fault_abort};
use prost::Message;

/// The first route of one HTTPRoute that leads to reviews, with more fields.
fn with(fields: &str) -> route::Action {
    route_with(fields).action.unwrap()
}

fn route_with(fields: &str) -> envoy_types::pb::envoy::config::route::v3::Route {
    told(&format!("[{{route: [{{destination: {{host: reviews}}}}], {fields}}}]")).routes("80", REVIEWS).pop().unwrap()
}

fn sent_on(fields: &str) -> envoy_types::pb::envoy::config::route::v3::RouteAction {
    match with(fields) {
        route::Action::Route(action) => action,
        other => panic!("{other:?}"),
    }
}

// 12
#[test]
fn retries_are_istios_by_default() {
    let both = told("[{route: [{destination: {host: reviews}}]}]").routes("80", REVIEWS);
    assert_eq!(both.len(), 2, "one for GET and HEAD, one for the rest");
    let policies = both.iter().map(|route| action(route).retry_policy.unwrap()).collect::<Vec<_>>();
    let conditions = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,retriable-headers";
    assert!(is_repeatable(&both[0]) && !is_repeatable(&both[1]));
    assert_eq!(policies[0].retry_on, format!("{conditions},reset"));
    assert_eq!(policies[1].retry_on, conditions);
    for policy in policies {
        assert_eq!(policy.num_retries.unwrap().value, 2);
        assert_eq!(policy.host_selection_retry_max_attempts, 30);
        assert_eq!(policy.retry_host_predicate[0].name, "envoy.retry_host_predicates.previous_hosts");
        assert_eq!((policy.retry_priority, policy.per_try_timeout), (None, None));
    }
}

// 12
#[test]
fn no_attempts_mean_no_retries() {
    assert_eq!(sent_on("retries: {attempts: 0}").retry_policy, None);
    assert_eq!(sent_on("retries: {}").retry_policy, None);
}

// 12
#[test]
fn integers_among_the_retry_conditions_are_status_codes() {
    let policy = |retries: &str| sent_on(&format!("retries: {{attempts: 3, {retries}}}")).retry_policy.unwrap();
    let found = policy("retryOn: 'gateway-error, 503,429', perTryTimeout: 2s, backoff: 25ms");
    assert_eq!(found.retry_on, "gateway-error,retriable-status-codes,retriable-headers");
    assert_eq!(found.retriable_status_codes, [503, 429]);
    assert_eq!(found.per_try_timeout.unwrap().seconds, 2);
    assert_eq!(found.retry_back_off.unwrap().base_interval.unwrap().nanos, 25_000_000);
    assert_eq!(policy("retryOn: '503'").retry_on, "retriable-status-codes,retriable-headers");
    assert_eq!(policy("retryOn: 'retriable-status-codes,503'").retry_on, "retriable-status-codes,retriable-headers");
}

#[test]
fn retries_leave_a_zone_where_clusters_have_priorities_unless_the_route_forbids_it() {
    let outlier = rule("shop/reviews", "host: reviews\ntrafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}");
    let priority = |retries: &str| {
        let spec = format!("hosts: [reviews]\nhttp: [{{route: [{{destination: {{host: reviews}}}}]{retries}}}]");
        let told = caller(&[http_service("shop/reviews"), outlier.clone(), virtual_service("shop/v", &spec)]);
        action(&told.routes("80", REVIEWS)[0]).retry_policy.unwrap().retry_priority.map(|priority| priority.name)
    };
    assert_eq!(priority("").as_deref(), Some("envoy.retry_priorities.previous_priorities"));
    assert_eq!(priority(", retries: {attempts: 2, retryRemoteLocalities: false}"), None);
}

// 12
#[test]
fn consistent_hashing_drops_the_host_predicate_and_gives_the_route_a_hash() {
    let hashed = |hash: &str| {
        let rule = rule("shop/reviews", &format!("host: reviews\ntrafficPolicy: {{loadBalancer: {{consistentHash: {{{hash}}}}}}}"));
        action(&caller(&[http_service("shop/reviews"), rule]).routes("80", REVIEWS)[0])
    };
    let action = hashed("httpHeaderName: x-user");
    assert!(action.retry_policy.unwrap().retry_host_predicate.is_empty());
    assert!(format!("{:?}", action.hash_policy).contains("x-user"), "{:?}", action.hash_policy);
    assert!(format!("{:?}", hashed("httpCookie: {name: user, ttl: 0s}").hash_policy).contains("user"));
    assert!(format!("{:?}", hashed("httpQueryParameterName: q").hash_policy).contains('q'));
    assert_eq!(hashed("useSourceIp: true").hash_policy.len(), 1);
    assert_eq!(hashed("useSourceIp: false").hash_policy.len(), 0);
}

// 13
#[test]
fn there_is_no_timeout_unless_the_route_asks_for_one() {
    assert_eq!(sent_on("name: a").timeout.map(|timeout| (timeout.seconds, timeout.nanos)), Some((0, 0)));
    assert_eq!(sent_on("timeout: 1.5s").timeout.map(|timeout| (timeout.seconds, timeout.nanos)), Some((1, 500_000_000)));
}

// 13
#[test]
fn a_mirror_without_a_percentage_gets_all_and_with_zero_none() {
    let mirrors = |fields: &str| {
        let policies = sent_on(fields).request_mirror_policies;
        policies
            .into_iter()
            .map(|policy| {
                (policy.cluster.replace(".svc.cluster.local", ""), policy.runtime_fraction.unwrap().default_value.unwrap().numerator)
            })
            .collect::<Vec<_>>()
    };
    let ratings = || "outbound|80||ratings.shop".to_string();
    assert_eq!(mirrors("mirror: {host: ratings}"), [(ratings(), 1_000_000)]);
    assert_eq!(mirrors("mirror: {host: ratings}, mirrorPercentage: {value: 0.5}"), [(ratings(), 5_000)]);
    assert_eq!(mirrors("mirror: {host: ratings}, mirrorPercentage: {value: 0}"), []);
    assert_eq!(mirrors("mirror: {host: ratings}, mirrorPercent: 10"), [(ratings(), 100_000)], "the deprecated field");
    assert_eq!(
        mirrors("mirrors: [{destination: {host: ratings}, percentage: {value: 10}}, {destination: {host: reviews, subset: v2}}]"),
        [(ratings(), 100_000), ("outbound|80|v2|reviews.shop".into(), 1_000_000)]
    );
}

#[test]
fn the_routes_own_host_comes_before_its_destinations() {
    let of = |route: &str, choice: &str| {
        let spec = format!(
            "hosts: [reviews]\nhttp: [{{headers: {{request: {route}}}, route: [{{destination: {{host: reviews}}, headers: {{request: {choice}}}}}]}}]"
        );
        action(&caller(&[services(), virtual_service("shop/v", &spec)]).routes("80", REVIEWS)[0]).host_rewrite_specifier
    };
    let literal = |host: &str| Some(HostRewriteSpecifier::HostRewriteLiteral(host.into()));
    assert_eq!(of("{set: {Host: route.example}}", "{set: {Host: choice.example}}"), literal("route.example"));
    assert_eq!(of("{}", "{add: {host: choice.example}}"), literal("choice.example"));
}

#[test]
fn a_rewrite_replaces_what_matched_or_what_its_regular_expression_finds_and_the_authority() {
    for uri in ["{exact: /old}", "{prefix: /old}", "{regex: '/o.*'}"] {
        let found = sent_on(&format!("match: [{{uri: {uri}}}], rewrite: {{uri: /new, authority: other.example}}"));
        assert_eq!(found.prefix_rewrite, "/new", "{uri}: Envoy replaces what the path match took");
        assert_eq!(found.host_rewrite_specifier, Some(HostRewriteSpecifier::HostRewriteLiteral("other.example".into())));
    }
    let found = sent_on(r"rewrite: {uri: /ignored, uriRegexRewrite: {match: '/a/(.*)', rewrite: '/b/\1'}}");
    assert_eq!(found.prefix_rewrite, "", "Envoy takes one of the two");
    let regex = found.regex_rewrite.unwrap();
    assert_eq!((regex.pattern.unwrap().regex, regex.substitution), ("/a/(.*)".into(), r"/b/\1".into()));
}

#[test]
fn a_redirect_answers_with_its_code_and_parts() {
    let redirect = |fields: &str| {
        let spec = format!("hosts: [reviews]\nhttp: [{{redirect: {{{fields}}}}}]");
        match caller(&[services(), virtual_service("shop/reviews", &spec)]).routes("80", REVIEWS).remove(0).action.unwrap() {
            route::Action::Redirect(redirect) => redirect,
            other => panic!("{other:?}"),
        }
    };
    let found = redirect("uri: /new, authority: a.example, scheme: https, port: 8443, redirectCode: 308");
    assert_eq!((found.host_redirect.as_str(), found.port_redirect, found.response_code), ("a.example", 8443, 4));
    assert_eq!(found.path_rewrite_specifier, Some(PathRewriteSpecifier::PathRedirect("/new".into())));
    assert_eq!(found.scheme_rewrite_specifier, Some(SchemeRewriteSpecifier::SchemeRedirect("https".into())));
    let found = redirect("authority: a.example");
    assert_eq!((found.response_code, found.port_redirect, found.path_rewrite_specifier), (0, 0, None), "301 by default");
    for (spec, port) in [
        ("authority: a, derivePort: FROM_REQUEST_PORT", 0),
        ("authority: a, port: 80", 0),
        ("scheme: https, port: 443", 0),
        ("scheme: https, derivePort: FROM_REQUEST_PORT", 80),
        ("authority: a, port: 443", 443),
    ] {
        assert_eq!(redirect(spec).port_redirect, port, "{spec}: the scheme's own port is not written out");
    }
}

#[test]
fn a_direct_response_has_a_status_and_a_body() {
    let spec = "hosts: [reviews]\nhttp: [{directResponse: {status: 503, body: {string: later}}}]";
    let told = caller(&[services(), virtual_service("shop/reviews", spec)]);
    let Some(route::Action::DirectResponse(found)) = told.routes("80", REVIEWS).remove(0).action else { panic!() };
    assert_eq!(found.status, 503);
    assert!(format!("{:?}", found.body).contains("later"));
}

#[test]
fn a_fault_without_a_percentage_hits_no_request() {
    let fault = |fields: &str| {
        let any = route_with(&format!("fault: {{{fields}}}")).typed_per_filter_config.remove("envoy.filters.http.fault").unwrap();
        HttpFault::decode(any.value.as_slice()).unwrap()
    };
    let found = fault("delay: {fixedDelay: 2s, percentage: {value: 10}}, abort: {httpStatus: 400, percentage: {value: 0.1}}");
    assert_eq!(found.delay.as_ref().unwrap().percentage.unwrap().numerator, 100_000);
    assert_eq!(found.abort.as_ref().unwrap().percentage.unwrap().numerator, 1_000);
    assert_eq!(found.abort.unwrap().error_type, Some(fault_abort::ErrorType::HttpStatus(400)));
    let found = fault("delay: {fixedDelay: 2s}, abort: {httpStatus: 400}");
    assert_eq!(found.delay.unwrap().percentage.unwrap().numerator, 0);
    assert_eq!(found.abort.unwrap().percentage.unwrap().numerator, 0);
    assert_eq!(fault("delay: {fixedDelay: 2s, percent: 50}").delay.unwrap().percentage.unwrap().numerator, 500_000, "the deprecated field");
}

#[test]
fn a_fault_may_be_a_status_of_grpc() {
    for (name, code) in [("OK", 0), ("UNAVAILABLE", 14), ("UNAUTHENTICATED", 16)] {
        let mut route = route_with(&format!("fault: {{abort: {{grpcStatus: {name}, percentage: {{value: 50}}}}}}"));
        let any = route.typed_per_filter_config.remove("envoy.filters.http.fault").unwrap();
        let found = HttpFault::decode(any.value.as_slice()).unwrap().abort.unwrap();
        assert_eq!(found.error_type, Some(fault_abort::ErrorType::GrpcStatus(code)), "{name}");
        assert_eq!(found.percentage.unwrap().numerator, 500_000);
    }
}

#[test]
fn headers_are_set_added_and_removed_and_the_host_is_a_rewrite() {
    let operations = "headers: {request: {set: {a: '1', Host: new.example}, add: {b: '2', ':path': /}, remove: [c, host]},
                                response: {set: {d: '4'}, add: {e: '5'}, remove: [f]}}";
    let found = route_with(operations);
    let added = |options: &[envoy_types::pb::envoy::config::core::v3::HeaderValueOption]| {
        options.iter().map(|option| (option.header.as_ref().unwrap().key.clone(), option.append_action)).collect::<Vec<_>>()
    };
    // 2: overwrite or add, 0: append or add.
    assert_eq!(added(&found.request_headers_to_add), [("a".into(), 2), ("b".into(), 0)]);
    assert_eq!(added(&found.response_headers_to_add), [("d".into(), 2), ("e".into(), 0)]);
    assert_eq!(
        (found.request_headers_to_remove.clone(), found.response_headers_to_remove.clone()),
        (vec!["c".to_string()], vec!["f".to_string()])
    );
    assert_eq!(support::action(&found).host_rewrite_specifier, Some(HostRewriteSpecifier::HostRewriteLiteral("new.example".into())));
}

#[test]
fn a_destinations_headers_are_its_own() {
    let of = |name: &str, weight: u32| {
        format!("{{destination: {{host: {name}}}, weight: {weight}, headers: {{request: {{set: {{host: {name}.example, x: '1'}}}}}}}}")
    };
    let both = told(&format!("[{{route: [{}, {}]}}]", of("reviews", 50), of("ratings", 50))).routes("80", REVIEWS);
    let Some(envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier::WeightedClusters(weighted)) =
        action(&both[0]).cluster_specifier
    else {
        panic!()
    };
    assert_eq!(weighted.clusters.len(), 2);
    assert!(weighted.clusters.iter().all(|cluster| cluster.request_headers_to_add.len() == 1 && cluster.host_rewrite_specifier.is_some()));
    let single = told(&format!("[{{route: [{}]}}]", of("reviews", 50))).routes("80", REVIEWS);
    assert_eq!(single[0].request_headers_to_add.len(), 1);
    assert_eq!(action(&single[0]).host_rewrite_specifier, Some(HostRewriteSpecifier::HostRewriteLiteral("reviews.example".into())));
}
