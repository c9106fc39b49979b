//! Routes of sidecars: matches, actions, weights, retries, headers.

use crate::support::{self, *};
use envoy_types::pb::envoy::config::route::v3::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::route;
use envoy_types::pb::envoy::config::route::v3::route_action::HostRewriteSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{HttpFault, fault_abort};
use prost::Message;

const REVIEWS: &str = "reviews.shop.svc.cluster.local:80";
const HTTP: &str = "[{name: http, port: 80}]";

/// The services that the tests' routes lead to, with subsets v1 to v3 of reviews.
fn services() -> String {
    let rule = rule("shop/reviews", "host: reviews\nsubsets: [{name: v1, labels: {v: '1'}}, {name: v2, labels: {v: '2'}}, {name: v3}]");
    [service("shop/reviews", "10.0.0.5", HTTP), service("shop/ratings", "10.0.0.6", HTTP), service("prod/reviews", "10.0.0.7", HTTP), rule]
        .concat()
}

/// What `shop/caller` is told with a VirtualService for reviews whose `http` is given in flow style.
fn told(http: &str) -> Told {
    caller(&[services(), virtual_service("shop/reviews", &format!("hosts: [reviews]\nhttp: {http}"))])
}

fn routes(http: &str) -> Vec<String> {
    lines(&told(http).routes("80", REVIEWS))
}

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

// 10
#[test]
fn a_match_is_exact_or_a_raw_prefix_or_a_regular_expression() {
    let to = "route: [{destination: {host: reviews}}]";
    for (matched, expected) in [
        ("uri: {exact: /a}", "/a -> 80||reviews.shop"),
        ("uri: {prefix: /foo}", "/foo* -> 80||reviews.shop"),
        ("uri: {regex: '/v[0-9]+'}", "~/v[0-9]+ -> 80||reviews.shop"),
        ("headers: {x-a: {exact: '1'}}", "/* x-a=1 -> 80||reviews.shop"),
        ("headers: {x-a: {prefix: '1'}}", "/* x-a^1 -> 80||reviews.shop"),
        ("headers: {x-a: {regex: '1.*'}}", "/* x-a~1.* -> 80||reviews.shop"),
        ("method: {exact: POST}", "/* :method=POST -> 80||reviews.shop"),
        ("authority: {prefix: a.}", "/* :authority^a. -> 80||reviews.shop"),
        ("scheme: {exact: https}", "/* :scheme=https -> 80||reviews.shop"),
        ("queryParams: {q: {exact: '1'}}", "/* ?q -> 80||reviews.shop"),
    ] {
        assert_eq!(routes(&format!("[{{match: [{{{matched}}}], {to}}}]")), [expected], "{matched}");
    }
}

// 10
#[test]
fn an_empty_header_match_and_the_regex_star_mean_presence() {
    for value in ["{}", "{exact: ''}", "{regex: '*'}", "~"] {
        let found = routes(&format!("[{{match: [{{headers: {{x-a: {value}}}}}], route: [{{destination: {{host: reviews}}}}]}}]"));
        // A null field is no field.
        let expected = if value == "~" { "/* -> 80||reviews.shop" } else { "/* x-a? -> 80||reviews.shop" };
        assert_eq!(found, [expected], "{value}");
    }
}

// 10
#[test]
fn without_headers_treats_a_missing_header_as_empty() {
    let found =
        routes("[{match: [{withoutHeaders: {a: {exact: '1'}, b: {}, c: {regex: '.*x'}}}], route: [{destination: {host: reviews}}]}]");
    assert_eq!(found, ["/* !a=1e !b? !c~.*xe -> 80||reviews.shop"]);
}

#[test]
fn case_counts_unless_the_match_says_not() {
    let matched = |fields: &str| route_with(&format!("match: [{{uri: {{exact: /a}}{fields}}}]")).r#match.unwrap().case_sensitive;
    assert_eq!(matched(""), None, "Envoy's default is that it counts");
    assert_eq!(matched(", ignoreUriCase: true").map(|value| value.value), Some(false));
}

// 8
#[test]
fn each_match_is_a_route_of_its_own_in_order_and_nothing_follows_a_catch_all() {
    let found = routes(
        "[{name: first, match: [{name: a, uri: {exact: /a}}, {uri: {prefix: /b}}], route: [{destination: {host: ratings}}]},
          {name: all, match: [{uri: {prefix: /}}], route: [{destination: {host: reviews}}]},
          {name: never, route: [{destination: {host: ratings}}]}]",
    );
    assert_eq!(found, ["first.a /a -> 80||ratings.shop", "first /b* -> 80||ratings.shop", "all /* -> 80||reviews.shop"]);
}

#[test]
fn a_match_with_a_method_is_no_catch_all() {
    let found = routes(
        "[{match: [{uri: {prefix: /}, method: {exact: GET}}], route: [{destination: {host: ratings}}]}, {route: [{destination: {host: reviews}}]}]",
    );
    assert_eq!(found, ["/* :method=GET -> 80||ratings.shop", "/* -> 80||reviews.shop"]);
}

// 9
#[test]
fn a_match_for_a_gateway_ignores_the_source() {
    let found = routes(
        "[{match: [{gateways: [mesh], sourceLabels: {app: other}, sourceNamespace: other, uri: {exact: /mesh}},
                   {gateways: [outside], uri: {exact: /outside}}, {sourceLabels: {app: other}, uri: {exact: /label}},
                   {sourceLabels: {app: caller}, sourceNamespace: shop, uri: {exact: /own}}, {sourceNamespace: other, uri: {exact: /namespace}},
                   {port: 81, uri: {exact: /port}}],
           route: [{destination: {host: reviews}}]}]",
    );
    assert_eq!(found, ["/mesh -> 80||reviews.shop", "/own -> 80||reviews.shop"]);
}

#[test]
fn a_virtual_service_without_a_route_for_the_caller_leaves_the_service_as_it_is() {
    for http in ["[{match: [{port: 81}], route: [{destination: {host: ratings}}]}]", "[]"] {
        assert_eq!(routes(http), ["default /* -> 80||reviews.shop"], "{http}");
    }
}

// 1
#[test]
fn a_name_without_a_dot_belongs_to_the_namespace_of_the_object_that_names_it() {
    let found = routes(
        "[{match: [{uri: {exact: /a}}], route: [{destination: {host: reviews.prod}}]}, {route: [{destination: {host: reviews.prod.svc.cluster.local}}]}]",
    );
    assert_eq!(found, ["/a -> 80||reviews.prod", "/* -> 80||reviews.prod"]);
    assert_eq!(
        clusters(&told("[{route: [{destination: {host: reviews.prod}}]}]").routes("80", REVIEWS)[0])[0].0,
        "outbound|80||reviews.prod"
    );
}

// 6
#[test]
fn a_destinations_port_is_the_one_named_else_the_only_one_else_the_listeners() {
    let two = service("shop/two", "10.0.0.2", "[{name: http, port: 80}, {name: http-b, port: 81}]");
    let one = service("shop/one", "10.0.0.3", "[{name: http, port: 9080}]");
    let to = |destination: &str| {
        let spec = format!("hosts: [reviews]\nhttp: [{{route: [{{destination: {{{destination}}}}}]}}]");
        let told = caller(&[services(), two.clone(), one.clone(), virtual_service("shop/reviews", &spec)]);
        clusters(&told.routes("80", REVIEWS)[0])[0].0.clone()
    };
    assert_eq!(to("host: two, port: {number: 81}"), "outbound|81||two.shop.svc.cluster.local");
    assert_eq!(to("host: one"), "outbound|9080||one.shop.svc.cluster.local");
    assert_eq!(to("host: two"), "outbound|80||two.shop.svc.cluster.local");
}

// 11
#[test]
fn weights_are_brought_to_ten_thousand() {
    let split = |choices: &[(&str, &str)]| {
        let choices: String =
            choices.iter().map(|(subset, weight)| format!("{{destination: {{host: reviews, subset: {subset}}}{weight}}},")).collect();
        let found = routes(&format!("[{{route: [{choices}]}}]"));
        found[0].split(" -> ").nth(1).unwrap().replace("80|", "").replace("|reviews.shop", "")
    };
    assert_eq!(split(&[("v1", ", weight: 90"), ("v2", ", weight: 10")]), "v2=1000 v1=9000");
    assert_eq!(split(&[("v1", ", weight: 5.0"), ("v2", ", weight: 2.5")]), "v2=3333 v1=6667", "fractions count");
    assert_eq!(split(&[("v1", ", weight: 100"), ("v2", ", weight: 0")]), "v1=10000", "weight 0 is none");
    assert_eq!(split(&[("v1", ", weight: 1"), ("v2", "")]), "v1=10000", "no weight is none");
    assert_eq!(split(&[("v1", ", weight: 0")]), "v1", "a single destination ignores its weight");
    assert_eq!(split(&[("v1", ", weight: 300"), ("v2", ", weight: 100")]), "v2=2500 v1=7500", "the sum is free");
}

// 11
#[test]
fn weights_that_add_up_to_nothing_are_refused() {
    let http = "[{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}}]}]";
    let found = findings(&[&virtual_service("shop/v", &format!("hosts: [a]\nhttp: {http}"))]);
    assert!(found[0].contains("error [IST0106] VirtualService shop/v spec.http[0].route: the weights"), "{found:?}");
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
        assert_eq!(policy.host_selection_retry_max_attempts, 5);
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
    assert_eq!(redirect("authority: a, derivePort: FROM_REQUEST_PORT").port_redirect, 80);
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

// 14
#[test]
fn a_service_answers_to_its_names_as_the_callers_namespace_writes_them() {
    let told = caller(&[services()]);
    assert_eq!(told.domains("80", REVIEWS), ["reviews.shop.svc.cluster.local", "reviews", "reviews.shop", "reviews.shop.svc", "10.0.0.5"]);
    let found = told.domains("80", "reviews.prod.svc.cluster.local:80");
    assert_eq!(found, ["reviews.prod.svc.cluster.local", "reviews.prod", "reviews.prod.svc", "10.0.0.7"]);
    let routes = told.route_configuration("80").unwrap();
    assert!(routes.ignore_port_in_host_matching && !routes.validate_clusters.unwrap().value);
}

// 14, 23
#[test]
fn a_headless_services_pods_have_names_too_and_unknown_hosts_pass() {
    let told = caller(&[service("shop/db", "None", "[{name: http, port: 80}]")]);
    assert!(told.domains("80", "db.shop.svc.cluster.local:80").contains(&"*.db.shop.svc.cluster.local".to_string()));
    assert_eq!(told.domains("80", "allow_any"), ["*"]);
    assert_eq!(clusters(&told.routes("80", "allow_any")[0])[0].0, "PassthroughCluster");
}

// 14
#[test]
fn a_host_that_is_no_service_is_known_on_port_80_alone() {
    let outside = virtual_service("shop/out", "hosts: [api.example]\nhttp: [{route: [{destination: {host: reviews}}]}]");
    let other = service("shop/other", "10.0.0.9", "[{name: http, port: 8080}]");
    let told = caller(&[services(), outside, other]);
    assert_eq!(lines(&told.routes("80", "api.example:80")), ["/* -> 80||reviews.shop"]);
    assert!(told.virtual_hosts("8080").iter().all(|host| !host.name.starts_with("api.example")));
}

// 7
#[test]
fn on_sidecars_the_first_virtual_service_of_a_host_wins_and_a_name_beats_a_wildcard() {
    let to = |second: u32, name: &str, host: &str, to: &str| {
        istio_since(second, "VirtualService", name, &format!("hosts: ['{host}']\nhttp: [{{route: [{{destination: {{host: {to}}}}}]}}]"))
    };
    let second = to(2, "shop/a", "reviews", "reviews");
    let first = to(1, "shop/b", "reviews", "ratings");
    let wildcard = to(0, "shop/c", "*.shop.svc.cluster.local", "reviews.prod.svc.cluster.local");
    let told = caller(&[services(), second, first, wildcard]);
    assert_eq!(lines(&told.routes("80", REVIEWS)), ["/* -> 80||ratings.shop"], "no merge: the oldest");
    assert_eq!(lines(&told.routes("80", "ratings.shop.svc.cluster.local:80")), ["/* -> 80||reviews.prod"], "the wildcard takes the rest");
}

// 5
#[test]
fn a_virtual_service_is_seen_where_it_is_exported_to() {
    let spec = |export: &str| {
        format!(
            "hosts: [reviews.prod.svc.cluster.local]\nexportTo: [{export}]\nhttp: [{{route: [{{destination: {{host: ratings.shop.svc.cluster.local}}}}]}}]"
        )
    };
    let found = |export: &str| {
        lines(&caller(&[services(), virtual_service("prod/v", &spec(export))]).routes("80", "reviews.prod.svc.cluster.local:80"))
    };
    for export in ["", "'*'", "shop", "other, shop"] {
        assert_eq!(found(export), ["/* -> 80||ratings.shop"], "{export}");
    }
    for export in ["'.'", "prod", "'~'"] {
        assert_eq!(found(export), ["default /* -> 80||reviews.prod"], "{export}");
    }
}

#[test]
fn a_virtual_service_for_one_namespace_comes_before_an_older_one_for_all() {
    let to = |second: u32, name: &str, export: &str, to: &str| {
        let spec = format!("hosts: [reviews]\nexportTo: [{export}]\nhttp: [{{route: [{{destination: {{host: {to}}}}}]}}]");
        istio_since(second, "VirtualService", name, &spec)
    };
    let told = caller(&[services(), to(1, "shop/old", "'*'", "reviews"), to(2, "shop/own", "'.'", "ratings")]);
    assert_eq!(lines(&told.routes("80", REVIEWS)), ["/* -> 80||ratings.shop"]);
}

// 6
#[test]
fn a_subset_that_no_rule_lists_still_has_its_route() {
    assert_eq!(routes("[{route: [{destination: {host: reviews, subset: v9}}]}]"), ["/* -> 80|v9|reviews.shop"]);
    assert_eq!(
        told("[{route: [{destination: {host: reviews, subset: v9}}]}]").cluster("outbound|80|v9|reviews.shop.svc.cluster.local"),
        None
    );
}

#[test]
fn a_host_in_capitals_is_the_same_host() {
    let spec = "hosts: [Reviews]\nhttp: [{route: [{destination: {host: RATINGS}}]}]";
    let told = caller(&[services(), virtual_service("shop/v", spec)]);
    assert_eq!(lines(&told.routes("80", REVIEWS)), ["/* -> 80||ratings.shop"]);
}
