//! The tables of dumps that Envoy 1.40 gave in `weir up deploy/demos/bookinfo deploy/demos/canary`, without the parts that no table reads.

use super::*;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn sidecar() -> Value {
    read(include_str!("fixtures/sidecar.json"))
}

fn gateway() -> Value {
    read(include_str!("fixtures/gateway.json"))
}

fn shown(rows: Vec<Vec<String>>) -> String {
    output::table(&rows)
}

#[test]
fn listeners_tell_what_each_filter_chain_takes_and_where_it_leads() {
    let expected = "\
ADDRESS   PORT    MATCH                        DESTINATION
0.0.0.0   15021   ALL                          Inline Route: admin
0.0.0.0   9080    App: http/1.0,http/1.1,h2c   Route: 9080
0.0.0.0   9080    ALL                          Cluster: PassthroughCluster
0.0.0.0   15006   Addr: *:15006                Cluster: BlackHoleCluster
0.0.0.0   15006   Addr: *:9080                 Inline Route: inbound|9080||
0.0.0.0   15006   ALL                          Cluster: InboundPassthroughCluster
";
    assert_eq!(shown(listeners::table(&listeners::select(&sidecar(), None))), expected);
}

#[test]
fn routes_stand_once_also_where_get_is_repeated_and_name_their_virtual_service() {
    let expected = "\
NAME   DOMAINS                                       MATCH   DESTINATION                                           WEIGHT   VIRTUAL SERVICE
9080   details.bookinfo.svc.cluster.local + 4 more   /*      outbound|9080||details.bookinfo.svc.cluster.local
9080   reviews.bookinfo.svc.cluster.local + 4 more   /*      outbound|9080|v3|reviews.bookinfo.svc.cluster.local   50%      reviews.bookinfo
9080   reviews.bookinfo.svc.cluster.local + 4 more   /*      outbound|9080|v2|reviews.bookinfo.svc.cluster.local   50%      reviews.bookinfo
9080   *                                             /*      PassthroughCluster
";
    assert_eq!(shown(routes::table(&routes::select(&sidecar(), Some("9080")), false)), expected);
}

#[test]
fn a_gateways_routes_show_the_overrides_of_a_canary_before_its_shares() {
    let expected = "\
NAME      DOMAINS            MATCH                     DESTINATION                                          WEIGHT   VIRTUAL SERVICE
http.80   canary.localhost   /* x-weir-subset=stable   outbound|80|stable|colour.canary.svc.cluster.local            colour.canary
http.80   canary.localhost   /* x-weir-subset=canary   outbound|80|canary|colour.canary.svc.cluster.local            colour.canary
http.80   canary.localhost   /*                        outbound|80|stable|colour.canary.svc.cluster.local   100%     colour.canary
";
    assert_eq!(shown(routes::table(&routes::select(&gateway(), Some("http.80")), true)), expected);
}

#[test]
fn clusters_are_told_by_the_parts_of_their_names_and_the_rule_that_holds() {
    let expected = "\
SERVICE FQDN                         PORT   SUBSET   DIRECTION   TYPE           DESTINATION RULE
-                                    9080   -        inbound     ORIGINAL_DST   -
BlackHoleCluster                     -      -        -           STATIC         -
admin                                -      -        -           STATIC         -
details.bookinfo.svc.cluster.local   9080   -        outbound    EDS            -
reviews.bookinfo.svc.cluster.local   9080   v3       outbound    EDS            reviews.bookinfo
";
    assert_eq!(shown(clusters::table(&clusters::select(&sidecar(), None, None))), expected);
    let one = clusters::select(&sidecar(), Some("details.bookinfo.svc.cluster.local"), Some(9080));
    assert_eq!(
        one.iter().map(|cluster| dump::text(cluster, "/name")).collect::<Vec<_>>(),
        ["outbound|9080||details.bookinfo.svc.cluster.local"]
    );
}

#[test]
fn endpoints_tell_health_and_place() {
    let mut clusters = read(include_str!("fixtures/endpoints.json"));
    clusters["cluster_statuses"][1]["host_statuses"][0]["health_status"]["failed_outlier_check"] = true.into();
    let expected = "\
ENDPOINT           STATUS    OUTLIER   LOCALITY   PRIORITY   WEIGHT   CLUSTER
127.0.0.1:15000    HEALTHY   OK                   0          1        admin
198.18.1.7:8080    HEALTHY   FAILED    local/a    0          1        outbound|80||colour.canary.svc.cluster.local
198.18.1.9:8080    HEALTHY   OK        local/a    0          1        outbound|80||colour.canary.svc.cluster.local
198.18.1.8:8080    HEALTHY   OK        local/b    0          1        outbound|80||colour.canary.svc.cluster.local
198.18.1.10:8080   HEALTHY   OK        local/b    0          1        outbound|80||colour.canary.svc.cluster.local
";
    assert_eq!(shown(endpoints::table(&endpoints::select(&clusters, None, None))), expected);
    let named = endpoints::select(&clusters, Some("admin"), Some(15000));
    assert_eq!(endpoints::table(&named).len(), 2);
    assert_eq!(endpoints::select(&clusters, None, Some(1)), [] as [Value; 0]);
}

#[test]
fn filters_tell_order_module_and_policy() {
    let expected = "\
LISTENER     CHAIN   FILTER                            RUNS       MODULE         POLICY
0.0.0.0:80   http    istio-system.weir-canary-colour   by route   093a789b5da9   {\"version\":1,\"routed\":true,\"canaries\":[{\"hosts\":[\"colour.canary.svc.cluster.loca…
0.0.0.0:80   http    envoy.filters.http.fault          always
0.0.0.0:80   http    envoy.filters.http.router         always
";
    assert_eq!(shown(filters::table(&filters::select(&gateway(), Some(80)), false)), expected);
    let chain = filters::select(&gateway(), Some(80)).remove(0);
    assert_eq!(chain.filters[0].module.len(), 64);
    assert_eq!(chain.filters[0].policy["canaries"][0]["stable"], "stable");
}

#[test]
fn a_plugin_that_envoy_has_no_module_for_is_missing() {
    let mut dump = gateway();
    dump["configs"].as_array_mut().unwrap().retain(|part| part["ecds_filters"].is_null());
    assert_eq!(filters::select(&dump, None)[1].filters[0].state, filters::State::Missing);
}

#[test]
fn matches_redirects_and_answers_are_written_short() {
    let config = read(
        r#"{"name": "r", "virtual_hosts": [{"domains": ["a", "b", "c"], "routes": [
            {"match": {"path": "/x", "headers": [{"name": "h", "string_match": {"prefix": "v"}}, {"name": "i", "present_match": true, "invert_match": true}]},
             "redirect": {"host_redirect": "b.example", "path_redirect": "/y"}},
            {"match": {"path_separated_prefix": "/api", "query_parameters": [{"name": "q", "string_match": {"exact": "1"}}]}, "direct_response": {"status": 404}},
            {"match": {"safe_regex": {"regex": "/u/.*"}}, "route": {"weighted_clusters": {"clusters": [
                {"name": "a", "weight": 1}, {"name": "b", "weight": 1}, {"name": "a", "weight": 1}]}}}]}]}"#,
    );
    let expected = "\
NAME   DOMAINS      MATCH         DESTINATION            WEIGHT   VIRTUAL SERVICE
r      a + 2 more   /x h^=v !i    redirect b.example/y
r      a + 2 more   /api/* ?q=1   answer 404
r      a + 2 more   ~/u/.*        a                      66.66%
r      a + 2 more   ~/u/.*        b                      33.33%
";
    assert_eq!(shown(routes::table(&[config], false)), expected);
}

#[test]
fn what_envoy_rejected_is_told_by_its_name() {
    let dump = read(r#"{"configs": [{"dynamic_listeners": [{"name": "l", "error_state": {"details": "no"}}, {"name": "m"}]}]}"#);
    assert_eq!(dump::errors(&dump), ["Envoy rejected an update of l: no"]);
}
