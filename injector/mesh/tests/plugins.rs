//! What is said of WasmPlugins with policies: what is refused, at its line, and what leads nowhere.

use crate::support::*;
use weir_mesh::object::Objects;

fn canary(at: &str, fields: &str, policy: &str) -> String {
    istio("WasmPlugin", at, &format!("url: file:///weir-canary.wasm\n{fields}pluginConfig: {{version: 1, {policy}}}"))
}

fn locality(at: &str, hosts: &str) -> String {
    istio("WasmPlugin", at, &format!("url: file:///weir-locality.wasm\npluginConfig: {{version: 1, services: [{{hosts: [{hosts}]}}]}}"))
}

/// What is found, without the file.
fn said(objects: &[String]) -> Vec<String> {
    findings(&[&objects.concat()]).iter().map(|finding| finding.split_once(": ").unwrap().1.to_string()).collect()
}

/// The service reviews with versions, and a route that splits requests to it.
fn reviews() -> String {
    let split = "[{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]";
    [
        http_service("shop/reviews"),
        rule("shop/reviews", "host: reviews\nsubsets: [{name: v1}, {name: v2}]"),
        virtual_service("shop/reviews", &format!("hosts: [reviews]\nhttp: [{{route: {split}}}]")),
    ]
    .concat()
}

const AT: &str = "warning WasmPlugin shop/c spec.pluginConfig";
const NO: &str = "warning [IST0101] WasmPlugin shop/c spec.pluginConfig";

#[test]
fn a_good_policy_is_left_in_peace() {
    let tester = "override: [{header: {name: x-tester, exact: 'yes'}, subset: v2}]";
    let policy = format!(
        "passport: {{{tester}}}, canaries: [{{hosts: [reviews], stable: v1, {tester}, key: [{{mint: {{name: u}}}}]}}, {{hosts: ['*']}}]"
    );
    assert_eq!(said(&[reviews(), canary("shop/c", "", &policy), locality("shop/l", "reviews, '*'")]), Vec::<String>::new());
}

#[test]
fn a_policy_without_entries_is_told_that_it_does_nothing() {
    let message = "the list is empty, so the plugin does nothing";
    assert_eq!(said(&[canary("shop/c", "", "canaries: []")]), [format!("{AT}.canaries: {message}")]);
    assert_eq!(said(&[locality("shop/c", "").replace("{hosts: []}", "")]), [format!("{AT}.services: {message}")]);
}

#[test]
fn subsets_that_no_route_has_are_found() {
    let tester = |subset: &str| format!("override: [{{header: {{name: a, exact: b}}, subset: {subset}}}]");
    for (policy, expected) in [
        (
            "canaries: [{hosts: [reviews], stable: v11}]".to_string(),
            format!(
                "{NO}.canaries[0].stable: a route to these hosts has no destination v11, but v1, v2 (is v1 meant?): of that one the first, v1, is the stable"
            ),
        ),
        (
            "canaries: [{hosts: ['*'], stable: old}]".into(),
            format!(
                "{NO}.canaries[0].stable: a route to these hosts has no destination old, but v1, v2: of that one the first, v1, is the stable"
            ),
        ),
        (
            format!("canaries: [{{hosts: [reviews], {}}}]", tester("v22")),
            format!(
                "{NO}.canaries[0].override[0].subset: no route has a destination v22, so the override has no effect (is v2 meant?): there are v1, v2"
            ),
        ),
        (
            format!("canaries: [{{hosts: [reviews], {}}}]", tester("v3")),
            format!("{NO}.canaries[0].override[0].subset: no route has a destination v3, so the override has no effect: there are v1, v2"),
        ),
        (
            format!("passport: {{{}}}, canaries: []", tester("blue")),
            format!("{NO}.passport.override[0].subset: no route has a destination blue, so the override has no effect: there are v1, v2"),
        ),
    ] {
        assert_eq!(said(&[reviews(), canary("shop/c", "", &policy)]), [expected], "{policy}");
    }
    // Of many services some may lack it; of a service without routes nothing is known.
    let other = virtual_service(
        "shop/other",
        "hosts: [other]\nhttp: [{route: [{destination: {host: other}, weight: 1}, {destination: {host: reviews}, weight: 1}]}]",
    );
    let many = canary("shop/c", "", "canaries: [{hosts: ['*'], stable: v1}]");
    assert_eq!(said(&[reviews(), http_service("shop/other"), other, many]), Vec::<String>::new());
    let alone = canary("shop/c", "", &format!("canaries: [{{hosts: [a], stable: x, {}}}]", tester("y")));
    assert_eq!(said(&[http_service("shop/a"), alone]), Vec::<String>::new());
}

#[test]
fn of_two_policies_for_a_host_the_later_one_is_told_that_it_has_no_effect() {
    let of = |at: &str, fields: &str, hosts: &str| canary(at, fields, &format!("canaries: [{{hosts: [{hosts}]}}]"));
    let first = "this has no effect for reviews.shop.svc.cluster.local: WasmPlugin shop/b has a policy for it, which comes first where both run; leave out one of them";
    let frontend = "selector: {matchLabels: {app: frontend}}\n";
    let backend = "selector: {matchLabels: {app: backend}}\n";
    for (objects, expected) in [
        (
            vec![of("shop/b", "", "reviews"), of("shop/c", "", "reviews.shop.svc.cluster.local")],
            vec![format!("{AT}.canaries[0].hosts[0]: {first}")],
        ),
        (vec![of("shop/b", "", "'*'"), of("shop/c", frontend, "reviews")], vec![format!("{AT}.canaries[0].hosts[0]: {first}")]),
        (vec![of("shop/b", "", "reviews"), of("shop/c", "", "'*'"), http_service("shop/a")], vec![]),
        (vec![of("shop/b", frontend, "reviews"), of("shop/c", backend, "reviews")], vec![]),
        (vec![of("shop/b", frontend, "reviews"), of("shop/c", "", "reviews")], vec![]),
        (
            vec![of("shop/b", frontend, "reviews"), of("shop/c", "", "reviews"), pod("shop/f", "10.1.0.1", "app: frontend")],
            vec![format!("{AT}.canaries[0].hosts[0]: {first}")],
        ),
        (
            vec![canary("shop/c", "", "canaries: [{hosts: [reviews]}, {hosts: [REVIEWS.shop.svc.cluster.local]}]")],
            vec![format!(
                "{AT}.canaries[1].hosts[0]: this has no effect for reviews.shop.svc.cluster.local: canaries[0] has it already; leave out one of them"
            )],
        ),
        (vec![locality("shop/b", "reviews"), locality("shop/c", "reviews")], vec![format!("{AT}.services[0].hosts[0]: {first}")]),
        (vec![locality("shop/b", "reviews"), of("shop/c", "", "reviews")], vec![]),
        (
            vec![canary("shop/b", "", "passport: {}, canaries: []"), canary("shop/c", "", "passport: {}, canaries: []")],
            vec![format!(
                "{AT}.passport: WasmPlugin shop/b has passports, and where both run only the first counts: leave out one of them"
            )],
        ),
    ] {
        let objects = [vec![http_service("shop/reviews")], objects].concat();
        assert_eq!(said(&objects), expected, "{}", objects.concat());
    }
}

#[test]
fn what_needs_a_gateway_or_another_namespace_is_told_so() {
    let gateway = [
        istio("Gateway", "shop/g", "selector: {istio: gateway}\nservers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}]"),
        pod("edge/gateway", "10.1.0.9", "istio: gateway"),
        http_service("shop/a"),
    ];
    let mint = "canaries: [{hosts: [a], key: [{cookie: x}, {mint: {name: user}}]}]";
    let select = "select gateway too, such as by a plugin in istio-system without a selector";
    let not_minted = format!("{AT}.canaries[0].key[1].mint: no gateway runs this, so nobody is given the cookie user: {select}");
    let no_passport = format!("{AT}.passport: no gateway runs this, so nobody gets a passport: {select}");
    for (objects, expected) in [
        (vec![canary("shop/c", "", mint)], vec![not_minted]),
        (vec![canary("shop/c", "", mint), canary("edge/e", "", "passport: {key: [{mint: {name: user}}]}, canaries: []")], vec![]),
        (vec![canary("istio-system/c", "", &mint.replace("[a]", "[a.shop.svc.cluster.local]"))], vec![]),
        (vec![canary("shop/c", "", "passport: {}, canaries: []")], vec![no_passport]),
        (vec![canary("shop/c", "", "passport: {}, canaries: []"), canary("edge/e", "", "passport: {}, canaries: []")], vec![]),
    ] {
        assert_eq!(said(&[gateway.to_vec(), objects.clone()].concat()), expected, "{}", objects.concat());
    }
    assert_eq!(said(&[http_service("shop/a"), canary("shop/c", "", mint)]), Vec::<String>::new(), "no gateway is known");
    let rules = "canaries: [{hosts: [a], allow: [{source: {namespace: shop}}], deny: [{source: {namespace: other}}]}]";
    let alone =
        "the plugin runs in the namespace shop alone, so no request is of other: leave out the rule, or put the plugin into istio-system";
    assert_eq!(
        said(&[http_service("shop/a"), canary("shop/c", "", rules)]),
        [format!("{AT}.canaries[0].deny[0].source.namespace: {alone}")]
    );
}

#[test]
fn a_refused_policy_is_shown_at_its_line_and_the_rest_of_the_file_counts() {
    let text = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: c, namespace: shop}
spec:
  url: file:///weir-canary.wasm
  pluginConfig:
    version: 1
    canaries:
    - hosts: [reviews]
      stabel: v1
";
    for (from, to, expected) in [
        (
            "",
            "",
            "0/f.yaml:10:15: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].stabel: unknown field `stabel` (is `stable` meant?), expected one of `hosts`, `stable`, `key`, `train`, `allow`, `deny`, `override`, `governor`",
        ),
        (
            "stabel: v1",
            "allow: [{header: {name: a, exact: 1}}]",
            "0/f.yaml:10:41: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].allow[0].header.exact: expected a string, found a number: write it in quotes",
        ),
        (
            "stabel: v1",
            "stable: true",
            "0/f.yaml:10:15: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].stable: expected a string, found a boolean: write it in quotes",
        ),
        (
            "stabel: v1",
            "allow: [{source: {workload: a}, percent: .nan}]",
            "0/f.yaml:10:48: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].allow[0].percent: expected a value, found null: write one, or leave the field out",
        ),
        (
            "stabel: v1",
            "allow: [{source: {workload: a}, percent: -.inf}]",
            "0/f.yaml:10:48: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].allow[0].percent: expected a value, found null: write one, or leave the field out",
        ),
        (
            "stabel: v1",
            "train:",
            "0/f.yaml:10:12: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries[0].train: expected a value, found null: write one, or leave the field out",
        ),
        ("stabel: v1", "hosts: [a]", "0/f.yaml:10:7: error [IST0106]: this is not YAML: a key stands twice\n        hosts: [a]\n        ^"),
        (
            "    version: 1\n    canaries:\n    - hosts: [reviews]\n      stabel: v1\n",
            "    - a\n",
            "0/f.yaml:7:5: error [IST0106] WasmPlugin shop/c spec.pluginConfig: expected an object, found an array",
        ),
        (
            "  pluginConfig:\n    version: 1\n    canaries:\n    - hosts: [reviews]\n      stabel: v1\n",
            "",
            "0/f.yaml:5:3: error [IST0106] WasmPlugin shop/c spec.pluginConfig: expected an object, found null",
        ),
        (
            "weir-canary",
            "weir-locality",
            "0/f.yaml:9:7: error [IST0106] WasmPlugin shop/c spec.pluginConfig.canaries: a policy with canaries is the canary filter's: is the url weir-canary meant?",
        ),
        (
            "canaries:\n    - hosts: [reviews]\n      stabel: v1",
            "services: []",
            "0/f.yaml:8:15: error [IST0106] WasmPlugin shop/c spec.pluginConfig.services: a policy with services is the locality filter's: is the url weir-locality meant?",
        ),
    ] {
        let changed = if from.is_empty() { text.to_string() } else { text.replacen(from, to, 1) };
        let read = read(&[&format!("{changed}{}", http_service("shop/a"))]);
        let found: Vec<_> = read.findings.iter().map(ToString::to_string).collect();
        assert_eq!(found, [expected], "{changed}");
        assert_eq!(Objects::default().update(read).iter().count(), 1, "{changed}");
    }
}

#[test]
fn no_policy_is_too_strange_to_be_refused() {
    let reads = |policy: &str| -> Vec<String> {
        let text = istio("WasmPlugin", "shop/c", &format!("url: file:///weir-canary.wasm\npluginConfig: {policy}"));
        read(&[&text]).findings.iter().map(ToString::to_string).collect()
    };
    let deep = |levels: usize| format!("{{version: 1, canaries: {}{}}}", "[".repeat(levels), "]".repeat(levels));
    let names: Vec<String> = (0..100_000).map(|n| format!("user-{n}")).collect();
    let laughs: String = (1..30).map(|n| format!("{{a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}]}},", n - 1)).collect();
    for (policy, part) in [
        (deep(40), "spec.pluginConfig: expected at most 32 levels"),
        (deep(200_000), "this is not YAML"),
        (
            format!("{{version: 1, canaries: [{{hosts: [a], deny: [{{cookie: {{name: user, oneOf: [{}]}}}}]}}]}}", names.join(", ")),
            "deny[0].cookie.oneOf: expected at most 10000, found 100000",
        ),
        (format!("{{version: 1, canaries: [{{a0: &a0 [x, x, x, x]}}, {laughs}]}}"), "this is not YAML"),
        ("{version: 1.0, canaries: [{hosts: [a]}]}".into(), "version: expected a whole number, found a number with a fraction"),
        ("{version: 0x1p4, canaries: [{hosts: [a]}]}".into(), "version: expected a whole number, found a string: write it without quotes"),
        (
            "{version: 1, canaries: [{hosts: [1.5]}]}".into(),
            "hosts[0]: expected a string, found a number with a fraction: write it in quotes",
        ),
        ("{version: 1, canaries: [{hosts: [~]}]}".into(), "hosts[0]: expected a string, found null"),
        ("{version: 1, canaries: [{hosts: [\"a\\0b\"]}]}".into(), "hosts[0]: expected a host"),
        ("{version: 1, ? {a: b} : c}".into(), "this is not YAML: a key is a list or a map"),
        ("\"\\uFEFF\"".into(), "spec.pluginConfig: expected an object, found a string"),
    ] {
        let found = reads(&policy);
        let shown: String = policy.chars().take(200).collect();
        assert!(matches!(found.as_slice(), [one] if one.contains(part)), "{shown}: {found:?}");
    }
    // A byte order mark at the beginning of a file is no fault.
    let good = canary("shop/c", "", "canaries: [{hosts: [a]}]");
    assert_eq!(read(&[&format!("\u{feff}{good}")]).objects.len(), 1);
}

#[test]
fn names_of_subsets_and_weights_are_ones_that_can_be_told_to_envoy() {
    let subset = |name: &str| rule("shop/r", &format!("host: a\nsubsets: [{{name: {name}}}]"));
    let route = |destinations: &str| virtual_service("shop/v", &format!("hosts: [a]\nhttp: [{{route: [{destinations}]}}]"));
    let long = "v".repeat(64);
    let expected = "expected letters, digits and - between them, at most 63";
    let name = "error [IST0106] DestinationRule shop/r spec.subsets[0].name";
    let at = "error [IST0106] VirtualService shop/v spec.http[0].route";
    for (object, said_of_it) in [
        (subset("''"), format!("{name}: \"\" is no name of a subset: {expected}")),
        (subset("'a|b'"), format!("{name}: \"a|b\" is no name of a subset: {expected}")),
        (subset(".stable"), format!("{name}: \".stable\" is no name of a subset: {expected}")),
        (subset("'!v1'"), format!("{name}: \"!v1\" is no name of a subset: {expected}")),
        (subset(&long), format!("{name}: \"{long}\" is no name of a subset: {expected}")),
        (
            route("{destination: {host: a, subset: 'a|b'}}"),
            format!("{at}[0].destination.subset: \"a|b\" is no name of a subset: {expected}"),
        ),
        (
            route("{destination: {host: a}, weight: -1}, {destination: {host: a}, weight: 1}"),
            format!("{at}[0].weight: a weight is a number from 0 up"),
        ),
        (route("{destination: {host: a}, weight: 1e300}"), format!("{at}[0].weight: a weight is a number from 0 up")),
        (
            route("{destination: {host: a}, weight: 0}, {destination: {host: a}, weight: 0}"),
            format!("{at}: the weights of the destinations add up to 0: give one of them a weight"),
        ),
    ] {
        assert_eq!(said(&[http_service("shop/a"), object.clone()]), [said_of_it], "{object}");
    }
    let twice = rule("shop/r", "host: a\nsubsets: [{name: v1}, {name: v1}]");
    let message =
        "warning [IST0106] DestinationRule shop/r spec.subsets[1].name: the rule has a subset \"v1\" already; only the first one counts";
    assert_eq!(said(&[http_service("shop/a"), twice]), [message]);
}
