//! Requests of any bytes and any size: never a panic, never a wrong version, at worst what Envoy draws.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use support::model::{self, Carried, Request};
use weir_policy::canary::{Caller, Canary, Config, KeySource, Match, Override, Passport, Policy, Rule, Seen, SourceAddress, Verdict};

/// What values, cookies, queries and baggage are made of, and what breaks readers of them.
const PIECES: [&[u8]; 33] = [
    b"user",
    b"tester",
    b"weir",
    b"ann",
    b"bob",
    b"yes",
    b"=",
    b";",
    b",",
    b"&",
    b"?",
    b"#",
    b"\"",
    b" ",
    b"\t",
    b":",
    b"/",
    b"%20",
    b"\0",
    b"\r\n",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\x7f",
    b"user=ann",
    b"; user=bob",
    b"?user=ann",
    b"weir=",
    b",weir=@",
    b"@",
    b"user=\"ann\"",
    b"user=\"",
    b";",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(prop::sample::select(PIECES.to_vec()), 0..12).prop_map(|pieces| pieces.concat());
    let long = (pieces.clone(), prop::sample::select(vec![70_000_usize, 1 << 20]), any::<u8>(), pieces.clone())
        .prop_map(|(before, length, byte, after)| [before, vec![byte; length], after].concat());
    let many = (0..70_usize, 0..8_300_usize).prop_map(|(members, length)| [b"a=1,".repeat(members), vec![b'b'; length]].concat());
    prop_oneof![30 => pieces, 4 => many, 10 => vec(any::<u8>(), 0..40), 1 => long, 3 => Just(b"ann".to_vec()), 3 => Just(b"yes".to_vec())]
}

fn request() -> impl Strategy<Value = Request> {
    let name = prop::sample::select(vec!["cookie", "x-user", "x-group", "baggage", ":path", "x-user"]);
    let headers = vec((name.prop_map(String::from), value()), 0..8);
    (headers, option::of(value()), option::of(value()), any::<Option<u128>>()).prop_map(|(headers, claim, address, random)| Request {
        headers,
        claim,
        address,
        random,
    })
}

fn key() -> impl Strategy<Value = Vec<KeySource>> {
    let all = vec![
        KeySource::Cookie("user".into()),
        KeySource::Header("X-User".into()),
        KeySource::Query("user".into()),
        KeySource::JwtClaim("sub".into()),
        KeySource::SourceAddress(SourceAddress {}),
    ];
    let mint = KeySource::Mint(weir_policy::canary::Mint { name: "tester".into(), ..Default::default() });
    (prop::sample::subsequence(all, 0..4).prop_shuffle(), any::<bool>())
        .prop_map(move |(keys, mints)| keys.into_iter().chain(mints.then(|| mint.clone())).collect())
}

fn wanted(name: &'static str) -> impl Strategy<Value = Match> {
    let values = vec(prop::sample::select(vec!["ann", "bob", "yes", "", "é"]).prop_map(String::from), 1..3);
    let one_of = |one_of| Match { name: name.into(), exact: None, one_of: Some(one_of) };
    prop_oneof![Just(Match { name: name.into(), exact: Some("ann".into()), one_of: None }), values.prop_map(one_of),]
}

fn tester() -> impl Strategy<Value = Override> {
    let of = |header, cookie, jwt_claim| Override { header, cookie, jwt_claim, subset: "v3".into() };
    prop_oneof![
        wanted("X-Group").prop_map(move |wanted| of(Some(wanted), None, None)),
        wanted("tester").prop_map(move |wanted| of(None, Some(wanted), None)),
        wanted("sub").prop_map(move |wanted| of(None, None, Some(wanted))),
    ]
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let name = || prop::sample::select(vec!["shop".to_string(), "other".into()]);
    let source = (name(), option::of(name())).prop_map(|(namespace, workload)| Caller { namespace: Some(namespace), workload });
    let conditions = (option::of(wanted("x-user")), option::of(wanted("user")), option::of(wanted("sub")));
    let rule = (conditions, option::weighted(0.3, source.clone()), source, option::of(0..=100_u32));
    let rule = rule.prop_map(|((header, cookie, jwt_claim), source, other, percent)| {
        let has_any = header.is_some() || cookie.is_some() || jwt_claim.is_some();
        Rule { header, cookie, jwt_claim, source: source.or((!has_any).then_some(other)), percent }
    });
    option::of(vec(rule, 1..3))
}

fn config() -> impl Strategy<Value = Config> {
    let caller = Caller { namespace: Some("shop".into()), workload: Some("shop".into()) };
    let passport = (key(), vec(tester(), 0..2), any::<bool>(), any::<bool>()).prop_map(|(key, overrides, edge, has_secret)| Passport {
        key,
        overrides,
        edge,
        secrets: has_secret.then(|| "0a".repeat(32)).into_iter().collect(),
    });
    let canary = (key(), option::of(Just("autumn".to_string())), rules(), rules(), vec(tester(), 0..2));
    let canary = canary.prop_map(|(key, train, deny, allow, overrides)| Canary {
        hosts: vec![support::HOST.into()],
        key,
        train,
        deny,
        allow,
        overrides,
        ..Canary::default()
    });
    (option::of(passport), option::of(Just(caller)), canary).prop_map(|(passport, caller, canary)| Config {
        version: 1,
        routed: false,
        caller,
        report_to: None,
        passport,
        canaries: vec![canary],
    })
}

fn decide<'p>(policy: &'p Policy, request: &Request) -> Verdict<'p> {
    policy.decide(policy.for_host(support::HOST.as_bytes()), |input| request.read(input), || request.random)
}

/// A gateway's policy that sends ann on with a passport, and that passport.
fn passports() -> Vec<(Vec<u8>, Carried)> {
    let fields = format!(r#""passport":{{"edge":true,"secrets":["{}"],"key":[{{"cookie":"user"}}]}},"#, "0a".repeat(32));
    let baggage = support::verdict(&support::with(&fields, r#""key":[]"#), &[("cookie", "user=ann")], None).baggage.unwrap();
    vec![(baggage.strip_prefix(b"weir=").unwrap().to_vec(), Carried { user: Some(b"ann".to_vec()), subset: None })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn decides_requests_of_any_bytes_as_the_model_does(config in config(), mut request in request()) {
        let known = passports();
        for (_, value) in request.headers.iter_mut().filter(|(name, value)| name == "baggage" && value.contains(&b'@')) {
            *value = value.split(|byte| *byte == b'@').collect::<Vec<_>>().join(known[0].0.as_slice());
        }
        let policy = Policy::try_from(&config).unwrap();
        let verdict = decide(&policy, &request);
        let canary = &config.canaries[0];
        let expected = match &config.passport {
            None => {
                prop_assert_eq!((verdict.passport, &verdict.baggage), (None, &None));
                model::decide(&config, canary, &request, None)
            }
            Some(passport) if passport.edge => {
                let carried = model::passport(passport, &request);
                let makes = carried.as_ref().is_some_and(|carried| carried.user.is_some());
                prop_assert_eq!(verdict.passport, makes.then_some(Seen::Made));
                let without = Request { headers: request.headers.iter().filter(|(name, _)| name != "baggage").cloned().collect(), ..request.clone() };
                let alone = decide(&policy, &without).baggage;
                let made = alone.as_ref().map(|alone| alone.strip_prefix(b"weir=").unwrap());
                prop_assert_eq!(&verdict.baggage, &model::edge(&request, made));
                model::decide(&config, canary, &request, carried.as_ref())
            }
            Some(passport) => {
                let known = if passport.secrets.is_empty() { &[] } else { known.as_slice() };
                let (seen, goes_on, carried) = model::inside(&request, known);
                prop_assert_eq!((verdict.passport, &verdict.baggage), (seen, &goes_on));
                model::decide(&config, canary, &request, carried)
            }
        };
        prop_assert_eq!(model::found(&verdict), expected);
    }
}
