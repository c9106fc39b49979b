//! One behaviour of the protocol each.

use super::super::status::State;
use super::*;
use Type::{Cluster, ClusterLoadAssignment as Endpoints, ExtensionConfig as Filter, Listener, RouteConfiguration as Route};

/// Resources as `(type, "name=version ...")`.
fn snapshot(resources: &[(Type, &str)]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (kind, names) in resources {
        let parse = |text: &str| {
            let (name, version) = text.split_once('=').unwrap();
            let objects = vec![format!("Object of {name}")];
            let resource = Resource {
                name: name.into(),
                version: version.into(),
                body: Default::default(),
                objects,
                fetches: name.starts_with("fetched"),
                stands_in: version.starts_with("stand-in"),
            };
            (name.to_string(), Arc::new(resource))
        };
        snapshot.resources.insert(*kind, names.split_whitespace().map(parse).collect());
    }
    Arc::new(snapshot)
}

fn ask(kind: Type, subscribe: &[&str]) -> Request {
    let subscribe = subscribe.iter().map(|name| name.to_string()).collect();
    Request { kind, subscribe, unsubscribe: vec![], known: BTreeMap::new(), nonce: None, error: None }
}

fn resume(kind: Type, subscribe: &[&str], known: &[(&str, &str)]) -> Request {
    Request { known: known.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect(), ..ask(kind, subscribe) }
}

fn unsubscribe(kind: Type, name: &str) -> Request {
    Request { unsubscribe: vec![name.to_string()], ..ask(kind, &[]) }
}

fn ack(push: &Push) -> Request {
    Request { nonce: Some(push.nonce), ..ask(push.kind, &[]) }
}

fn nack(push: &Push, reason: &str) -> Request {
    Request { error: Some(reason.to_string()), ..ack(push) }
}

/// Pushes as `CDS +a=1 -b`.
fn shown(pushes: &[Push]) -> Vec<String> {
    let one = |push: &Push| {
        let add = push.add.iter().map(|resource| format!(" +{}={}", resource.name, resource.version));
        let remove = push.remove.iter().map(|name| format!(" -{name}"));
        add.chain(remove).fold(super::super::status::short(push.kind).to_string(), |line, part| line + &part)
    };
    pushes.iter().map(one).collect()
}

/// A stream that asked for these and has acknowledged all answers.
fn settled(snapshot: &Arc<Snapshot>, requests: &[Request]) -> Stream {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot.clone());
    for request in requests {
        let mut pushes = stream.request(request.clone()).pushes;
        while !pushes.is_empty() {
            pushes = pushes.iter().flat_map(|push| stream.request(ack(push)).pushes).collect();
        }
    }
    assert!(!stream.holds());
    stream
}

#[test]
fn a_node_that_is_not_known_is_told_nothing_until_it_is() {
    let mut stream = Stream::new(Protocol::Delta);
    assert_eq!(stream.request(ask(Cluster, &[])), Outcome::default());
    assert_eq!(shown(&stream.update(snapshot(&[(Cluster, "a=1")]))), ["CDS +a=1"]);
}

#[test]
fn a_first_wildcard_request_is_answered_though_there_is_nothing() {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot(&[(Cluster, "a=1")]));
    assert_eq!(shown(&stream.request(ask(Listener, &[])).pushes), ["LDS"]);
    assert_eq!(shown(&stream.request(ask(Route, &[])).pushes), [] as [&str; 0], "no names is no wildcard for routes");
    assert_eq!(shown(&stream.update(snapshot(&[]))), [] as [&str; 0]);
}

#[test]
fn only_what_changed_is_sent() {
    let mut stream = settled(&snapshot(&[(Listener, "a=1 b=1 c=1")]), &[ask(Listener, &[])]);
    assert_eq!(shown(&stream.update(snapshot(&[(Listener, "a=1 b=1 c=1")]))), [] as [&str; 0]);
    assert_eq!(shown(&stream.update(snapshot(&[(Listener, "a=1 b=2 c=1 d=1")]))), ["LDS +b=2 +d=1"]);
}

#[test]
fn names_are_told_when_subscribed_and_no_more_when_unsubscribed() {
    let first = snapshot(&[(Endpoints, "a=1 b=1 c=1")]);
    let mut stream = settled(&first, &[ask(Endpoints, &["a", "b"]), unsubscribe(Endpoints, "a")]);
    assert_eq!(shown(&stream.update(snapshot(&[(Endpoints, "a=2 b=2 c=2")]))), ["EDS +b=2"]);
    assert_eq!(shown(&stream.request(ask(Endpoints, &["a"])).pushes), ["EDS +a=2"]);
    assert_eq!(shown(&stream.request(ask(Endpoints, &["a"])).pushes), ["EDS +a=2"], "who asks again hears it again");
}

#[test]
fn an_explicit_wildcard_goes_with_names_and_can_be_taken_back() {
    let first = snapshot(&[(Route, "a=1 b=1")]);
    let mut stream = settled(&first, &[ask(Route, &["*", "a", "x"]), unsubscribe(Route, "*")]);
    assert_eq!(shown(&stream.update(snapshot(&[(Route, "a=2 b=2")]))), ["RDS +a=2"]);
}

#[test]
fn a_name_that_does_not_exist_is_said_to_be_absent_once_and_sent_when_it_appears() {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot(&[(Endpoints, "a=1")]));
    assert_eq!(shown(&stream.request(ask(Endpoints, &["x"])).pushes), ["EDS -x"]);
    assert_eq!(shown(&stream.update(snapshot(&[(Endpoints, "a=2")]))), [] as [&str; 0]);
    assert_eq!(shown(&stream.update(snapshot(&[(Endpoints, "x=1")]))), ["EDS +x=1"]);
}

#[test]
fn a_route_or_filter_that_does_not_exist_is_not_answered_so_that_the_node_goes_on_after_its_timeout() {
    for kind in [Route, Filter] {
        let mut stream = Stream::new(Protocol::Delta);
        stream.update(snapshot(&[]));
        assert_eq!(stream.request(ask(kind, &["x"])), Outcome::default());
        let status = &stream.status()[&kind];
        assert_eq!((status.state, status.missing.as_slice()), (super::super::status::State::Synced, &["x".to_string()][..]));
        assert_eq!(stream.update(snapshot(&[(kind, "x=1")])).len(), 1);
    }
}

#[test]
fn routes_wait_until_the_clusters_they_may_name_are_taken_with_their_endpoints() {
    let mut stream = settled(&snapshot(&[(Route, "r=1")]), &[ask(Cluster, &[]), ask(Route, &["r"])]);
    let clusters = stream.update(snapshot(&[(Cluster, "a=1"), (Endpoints, "a=1"), (Route, "r=2")]));
    assert_eq!(shown(&clusters), ["CDS +a=1"]);
    assert_eq!(shown(&stream.request(ack(&clusters[0])).pushes), [] as [&str; 0], "the cluster still warms");
    let endpoints = stream.request(ask(Endpoints, &["a"])).pushes;
    assert_eq!(shown(&endpoints), ["EDS +a=1"]);
    assert!(stream.holds());
    assert_eq!(shown(&stream.request(ack(&endpoints[0])).pushes), ["RDS +r=2"]);
    assert!(!stream.holds());
}

#[test]
fn a_node_that_does_not_answer_gets_the_routes_on_release() {
    let mut stream = settled(&snapshot(&[(Route, "r=1")]), &[ask(Cluster, &[]), ask(Route, &["r"])]);
    stream.update(snapshot(&[(Cluster, "a=1"), (Endpoints, "a=1"), (Route, "r=2")]));
    assert_eq!(shown(&stream.release()), ["RDS +r=2"]);
    assert!(!stream.holds());
}

#[test]
fn a_changed_cluster_is_followed_by_its_endpoints_though_they_are_the_same() {
    let first = snapshot(&[(Cluster, "a=1 b=1"), (Endpoints, "a=1 b=1")]);
    let mut stream = settled(&first, &[ask(Cluster, &[]), ask(Endpoints, &["a", "b"])]);
    let pushes = stream.update(snapshot(&[(Cluster, "a=1 b=2"), (Endpoints, "a=1 b=1")]));
    assert_eq!(shown(&pushes), ["CDS +b=2", "EDS +b=1"]);
}

#[test]
fn what_is_no_more_goes_last_in_the_opposite_order_and_after_all_else_was_taken() {
    let first = snapshot(&[(Cluster, "a=1 b=1"), (Endpoints, "a=1 b=1"), (Listener, "l=1 m=1"), (Route, "l=1 m=1")]);
    let all = [ask(Cluster, &[]), ask(Endpoints, &["a", "b"]), ask(Listener, &[]), ask(Route, &["l", "m"])];
    let mut stream = settled(&first, &all);
    let changes = stream.update(snapshot(&[(Cluster, "b=1"), (Endpoints, "b=1"), (Listener, "m=1"), (Route, "m=2")]));
    assert_eq!(shown(&changes), ["RDS +m=2"]);
    assert!(stream.holds());
    assert_eq!(shown(&stream.request(ack(&changes[0])).pushes), ["RDS -l", "LDS -l", "EDS -a", "CDS -a"]);
}

#[test]
fn a_node_that_comes_back_gets_what_changed_and_its_endpoints_and_later_what_is_no_more() {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot(&[(Cluster, "a=1 b=2"), (Endpoints, "a=1 b=1"), (Route, "r=1 s=2")]));
    let clusters = stream.request(resume(Cluster, &[], &[("a", "1"), ("b", "1"), ("gone", "1")])).pushes;
    assert_eq!(shown(&clusters), ["CDS +b=2"]);
    let endpoints = stream.request(resume(Endpoints, &["a", "b", "gone"], &[("a", "1"), ("b", "1"), ("gone", "1")])).pushes;
    assert_eq!(shown(&endpoints), ["EDS +a=1 +b=1"], "the clusters may still warm");
    assert_eq!(shown(&stream.request(resume(Route, &["r", "s"], &[("r", "1"), ("s", "1")])).pushes), [] as [&str; 0]);
    stream.request(ack(&clusters[0]));
    let routes = stream.request(ack(&endpoints[0])).pushes;
    assert_eq!(shown(&routes), ["RDS +s=2"]);
    assert_eq!(shown(&stream.request(ack(&routes[0])).pushes), [] as [&str; 0]);
    assert!(stream.holds());
    assert_eq!(shown(&stream.release()), ["EDS -gone", "CDS -gone"]);
}

#[test]
fn a_rejected_batch_goes_again_one_by_one_and_a_rejected_version_not_until_it_changes() {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot(&[(Cluster, "a=1 b=1")]));
    let batch = stream.request(ask(Cluster, &[])).pushes;
    let Outcome { pushes, rejections } = stream.request(nack(&batch[0], "b is bad"));
    assert_eq!((shown(&pushes), rejections), (vec!["CDS +a=1".to_string(), "CDS +b=1".to_string()], vec![]));
    assert_eq!(stream.request(ack(&pushes[0])), Outcome::default());
    let expected = Rejection { name: "b".into(), version: "1".into(), objects: vec!["Object of b".into()], reason: "b is bad".into() };
    assert_eq!(stream.request(nack(&pushes[1], "b is bad")), Outcome { pushes: vec![], rejections: vec![(Cluster, expected.clone())] });
    assert_eq!(stream.status()[&Cluster].rejected, [expected]);
    assert_eq!(shown(&stream.update(snapshot(&[(Cluster, "a=2 b=1")]))), ["CDS +a=2"]);
    let good = stream.update(snapshot(&[(Cluster, "a=2 b=2")]));
    assert_eq!(shown(&good), ["CDS +b=2"]);
    stream.request(ack(&good[0]));
    assert_eq!(stream.status()[&Cluster].rejected, []);
}

#[test]
fn filters_and_routes_go_one_by_one_so_that_a_bad_one_stops_no_other() {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot(&[(Filter, "a=1 b=1")]));
    assert_eq!(shown(&stream.request(ask(Filter, &["a", "b", "x"])).pushes), ["ECDS +a=1", "ECDS +b=1"]);
}

#[test]
fn in_the_state_of_the_world_a_response_about_clusters_lists_them_all_and_drops_one_only_in_the_end() {
    let mut stream = Stream::new(Protocol::Sotw);
    stream.update(snapshot(&[(Cluster, "a=1 b=1"), (Endpoints, "a=1 b=1")]));
    let first = stream.request(ask(Cluster, &[])).pushes;
    assert_eq!(shown(&first), ["CDS +a=1 +b=1"]);
    stream.request(ack(&first[0]));
    let endpoints = stream.request(ask(Endpoints, &["a", "b"])).pushes;
    stream.request(ack(&endpoints[0]));
    let changed = stream.update(snapshot(&[(Cluster, "b=2"), (Endpoints, "b=1")]));
    assert_eq!(shown(&changed), ["CDS +a=1 +b=2", "EDS +b=1"]);
    let last: Vec<_> = changed.iter().flat_map(|push| stream.request(ack(push)).pushes).collect();
    assert_eq!(shown(&last), ["EDS -a", "CDS +b=2 -a"]);
}

#[test]
fn each_type_says_how_it_stands() {
    let states = |stream: &Stream| stream.status().values().map(|status| status.state).collect::<Vec<_>>();
    use super::super::status::State::{NotSent, Stale, Synced};
    let mut stream = Stream::new(Protocol::Delta);
    stream.request(ask(Cluster, &[]));
    assert_eq!(states(&stream), [NotSent; 5]);
    let pushes = stream.update(snapshot(&[(Cluster, "a=1"), (Listener, "l=1")]));
    stream.request(ask(Listener, &[]));
    assert_eq!(states(&stream), [Stale, NotSent, Stale, NotSent, NotSent]);
    let listeners = stream.request(ack(&pushes[0])).pushes;
    assert_eq!(states(&stream), [Synced, NotSent, Stale, NotSent, NotSent]);
    stream.request(ack(&listeners[0]));
    assert_eq!(states(&stream), [Synced, NotSent, Synced, NotSent, NotSent]);
}

#[test]
fn answers_to_what_was_never_sent_are_ignored() {
    let mut stream = settled(&snapshot(&[(Cluster, "a=1")]), &[ask(Cluster, &[])]);
    for nonce in [0, 99, u64::MAX] {
        let stray = Request { nonce: Some(nonce), error: Some("no".into()), ..ask(Cluster, &[]) };
        assert_eq!(stream.request(stray), Outcome::default());
    }
}

#[test]
fn a_filter_that_arrived_after_the_node_asked_anew_and_is_no_more_is_taken_back() {
    let mut stream = Stream::new(Protocol::Delta);
    stream.update(snapshot(&[(Filter, "f=1")]));
    let late = stream.request(ask(Filter, &["f"])).pushes;
    stream.update(snapshot(&[]));
    stream.request(unsubscribe(Filter, "f"));
    assert_eq!(stream.request(ask(Filter, &["f"])), Outcome::default());
    assert_eq!(shown(&stream.request(ack(&late[0])).pushes), ["ECDS -f"]);
}

#[test]
fn a_filter_whose_module_is_fetched_is_sent_again_ever_more_seldom_until_it_is_taken() {
    let first = snapshot(&[(Filter, "fetched=1 other=1")]);
    let mut stream = settled(&first, &[ask(Filter, &["fetched", "other"])]);
    assert_eq!(stream.asks_again(), None);
    let mut pushes = stream.update(snapshot(&[(Filter, "fetched=2 other=1")]));
    assert_eq!(shown(&pushes), ["ECDS +fetched=2"]);
    let state = |stream: &Stream| (stream.status()[&Filter].state, stream.status()[&Filter].rejected.len());
    for (seconds, told) in [(0.5, (State::Stale, 0)), (1.0, (State::Nacked, 1)), (2.0, (State::Nacked, 1)), (4.0, (State::Nacked, 1))] {
        assert_eq!(stream.asks_again(), None, "it has not answered yet");
        let outcome = stream.request(nack(&pushes[0], "no code"));
        assert_eq!((outcome.pushes, outcome.rejections.len()), (vec![], told.1), "the first time it begins to fetch");
        assert_eq!((stream.asks_again(), state(&stream)), (Some(Duration::from_secs_f64(seconds)), told));
        pushes = stream.ask_again();
        assert_eq!(shown(&pushes), ["ECDS +fetched=2"]);
    }
    stream.request(ack(&pushes[0]));
    assert_eq!((stream.asks_again(), state(&stream)), (None, (State::Synced, 0)));
}

#[test]
fn what_stands_in_for_a_filter_is_not_sent_to_who_has_the_filter() {
    let filter = snapshot(&[(Filter, "filter=1")]);
    let mut stream = settled(&filter, &[ask(Filter, &["filter"])]);
    let stand_in = snapshot(&[(Filter, "filter=stand-in")]);
    assert_eq!(shown(&stream.update(stand_in.clone())), Vec::<String>::new());
    let mut new = settled(&stand_in, &[ask(Filter, &["filter"])]);
    assert_eq!(shown(&new.update(snapshot(&[(Filter, "filter=2")]))), ["ECDS +filter=2"]);
    assert_eq!(shown(&stream.update(snapshot(&[(Filter, "filter=2")]))), ["ECDS +filter=2"]);
}

#[test]
fn a_filter_that_is_replaced_or_no_longer_wanted_is_not_sent_again() {
    let first = snapshot(&[(Filter, "fetched=1")]);
    let rejected = || {
        let mut stream = settled(&first, &[ask(Filter, &["fetched"])]);
        let pushes = stream.update(snapshot(&[(Filter, "fetched=2")]));
        stream.request(nack(&pushes[0], "no code"));
        assert!(stream.asks_again().is_some());
        stream
    };
    let mut stream = rejected();
    let pushes = stream.update(snapshot(&[(Filter, "fetched=3")]));
    assert_eq!((shown(&pushes), stream.asks_again()), (vec!["ECDS +fetched=3".to_string()], None));
    stream.request(nack(&pushes[0], "no code"));
    assert_eq!(stream.asks_again(), Some(Duration::from_millis(500)), "another one begins anew");
    let mut stream = rejected();
    stream.update(snapshot(&[]));
    assert_eq!(stream.asks_again(), None);
    let mut stream = rejected();
    stream.request(unsubscribe(Filter, "fetched"));
    assert_eq!(stream.asks_again(), None);
}
