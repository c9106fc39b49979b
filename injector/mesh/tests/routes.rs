//! Routes of sidecars: whose they are, what they match, where they lead.

use crate::support::*;

pub(crate) const REVIEWS: &str = "reviews.shop.svc.cluster.local:80";
const HTTP: &str = "[{name: http, port: 80}]";

/// The services that the tests' routes lead to, with subsets v1 to v3 of reviews.
pub(crate) fn services() -> String {
    let rule = rule("shop/reviews", "host: reviews\nsubsets: [{name: v1, labels: {v: '1'}}, {name: v2, labels: {v: '2'}}, {name: v3}]");
    [service("shop/reviews", "10.0.0.5", HTTP), service("shop/ratings", "10.0.0.6", HTTP), service("prod/reviews", "10.0.0.7", HTTP), rule]
        .concat()
}

/// What `shop/caller` is told with a VirtualService for reviews whose `http` is given in flow style.
pub(crate) fn told(http: &str) -> Told {
    caller(&[services(), virtual_service("shop/reviews", &format!("hosts: [reviews]\nhttp: {http}"))])
}

fn routes(http: &str) -> Vec<String> {
    lines(&told(http).routes("80", REVIEWS))
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
    for value in ["{}", "{regex: '*'}", "~"] {
        let found = routes(&format!("[{{match: [{{headers: {{x-a: {value}}}}}], route: [{{destination: {{host: reviews}}}}]}}]"));
        // A null field is no field.
        let expected = if value == "~" { "/* -> 80||reviews.shop" } else { "/* x-a? -> 80||reviews.shop" };
        assert_eq!(found, [expected], "{value}");
    }
    let empty =
        routes("[{match: [{headers: {x-a: {exact: ''}}, withoutHeaders: {x-b: {exact: ''}}}], route: [{destination: {host: reviews}}]}]");
    assert_eq!(empty, ["/* x-a= !x-b=e -> 80||reviews.shop"], "an empty value is a value");
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
    let matched = |fields: &str| {
        told(&format!("[{{match: [{{uri: {{exact: /a}}{fields}}}], route: [{{destination: {{host: reviews}}}}]}}]"))
            .routes("80", REVIEWS)
            .remove(0)
            .r#match
            .unwrap()
            .case_sensitive
    };
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
fn a_virtual_service_without_a_route_for_the_caller_leaves_the_host_to_the_next() {
    let of = |second: u32, name: &str, host: &str, matched: &str| {
        let spec = format!("hosts: ['{host}']\nhttp: [{{name: {name}, match: [{matched}], route: [{{destination: {{host: reviews}}}}]}}]");
        istio_since(second, "VirtualService", &format!("shop/{name}"), &spec)
    };
    let admins = of(1, "admins", "reviews", "{sourceLabels: {app: admin}}");
    let bytes = istio_since(2, "VirtualService", "shop/tcp", "hosts: [reviews]\ntcp: [{route: [{destination: {host: reviews}}]}]");
    let next = of(3, "next", "reviews", "{uri: {prefix: /}}");
    let wildcard = of(0, "wildcard", "*.shop.svc.cluster.local", "{uri: {prefix: /}}");
    let found = |objects: &[&String]| {
        let objects: Vec<String> = objects.iter().copied().cloned().collect();
        lines(&caller(&[services(), objects.concat()]).routes("80", REVIEWS))
    };
    assert_eq!(found(&[&admins, &bytes, &next, &wildcard]), ["next /* -> 80||reviews.shop"]);
    assert_eq!(found(&[&admins, &bytes, &wildcard]), ["wildcard /* -> 80||reviews.shop"]);
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

// 1, 14
#[test]
fn a_short_name_with_a_dot_is_a_host_of_its_own() {
    let short = virtual_service("shop/v", "hosts: [reviews.shop]\nhttp: [{name: short, route: [{destination: {host: ratings}}]}]");
    let told = caller(&[services(), short]);
    assert_eq!(lines(&told.routes("80", "reviews.shop:80")), ["short /* -> 80||ratings.shop"]);
    assert_eq!(lines(&told.routes("80", REVIEWS)), ["default /* -> 80||reviews.shop"]);
    assert!(!told.domains("80", REVIEWS).contains(&"reviews.shop".to_string()));
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
    let wider = to(0, "shop/d", "*.svc.cluster.local", "ratings");
    let told = caller(&[services(), second, first, wildcard, wider]);
    assert_eq!(lines(&told.routes("80", REVIEWS)), ["/* -> 80||ratings.shop"], "no merge: the oldest");
    assert_eq!(
        lines(&told.routes("80", "ratings.shop.svc.cluster.local:80")),
        ["/* -> 80||reviews.prod"],
        "the narrower wildcard takes the rest"
    );
    assert_eq!(lines(&told.routes("80", "reviews.prod.svc.cluster.local:80")), ["/* -> 80||ratings.shop"], "the wider one what is left");
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

#[test]
fn a_route_names_the_virtual_service_that_it_was_made_from_as_istios_does() {
    let named = |objects: &[String]| {
        let route = caller(objects).routes("80", REVIEWS).remove(0);
        route.metadata.map(|metadata| format!("{:?}", metadata.filter_metadata["istio"].fields["config"].kind))
    };
    let owner = virtual_service("shop/web", "hosts: [reviews]\nhttp: [{route: [{destination: {host: reviews}}]}]");
    let path = "Some(StringValue(\"/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web\"))";
    assert_eq!(named(&[services(), owner]), Some(path.to_string()));
    assert_eq!(named(&[services()]), None);
}
