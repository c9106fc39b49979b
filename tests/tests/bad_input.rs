//! What users read when their input is wrong, and that the rest goes on.

use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use weir_tests::scenario::analyze::{self, DEMOS, MISSPELT, demo_with, line_of};
use weir_tests::scenario::canary;
use weir_tests::tools::{free_port, modules, project, texts, type_weir, wait_for, weir};
use weir_tests::{Mesh, Up, able};

const SOON: Duration = Duration::from_secs(5);

#[test]
fn analyze_has_nothing_to_say_about_the_demos() {
    for demos in [&DEMOS[..], &DEMOS[..1], &DEMOS[1..2], &DEMOS[2..], &["tests/manifests/protocols.yaml"]] {
        let output = type_weir(&project(""), &[&["analyze"], demos].concat()).unwrap();
        let (findings, summary) = texts(&output);
        assert_eq!((output.status.code(), findings.as_str()), (Some(0), ""), "{summary}");
        assert!(summary.starts_with("0 errors, 0 warnings in "), "{summary}");
    }
}

#[test]
fn analyze_finds_a_misspelt_host_subset_and_gateway_at_their_lines() {
    analyze::finds_what_is_misspelt().unwrap().check();
    let copy = analyze::misspelt().unwrap();
    let expected = [
        (line_of(copy.path(), MISSPELT[0].2).unwrap(), "spec.gateways[0]", "no Gateway canary/canari"),
        (
            line_of(copy.path(), MISSPELT[1].2).unwrap(),
            "spec.http[0].route[0].destination.host",
            "no service color.canary.svc.cluster.local",
        ),
        (line_of(copy.path(), MISSPELT[2].2).unwrap(), "spec.http[0].route[1].destination.subset", "\"kanary\""),
    ];
    let output = type_weir(copy.path(), &["analyze", "."]).unwrap();
    let (text, summary) = texts(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(0), 4), "{text}{summary}");
    // What follows from it: the policy's testers are sent to a subset that is gone.
    assert!(lines[3].contains("weir.yaml:34:") && lines[3].contains("override[0].subset: no route has a destination canary"), "{text}");
    for (line, (number, field, message)) in lines.iter().zip(&expected) {
        let parts = [&format!("traffic.yaml:{number}:"), "warning [IST0101] VirtualService canary/colour ", field, message];
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
    }

    let output = type_weir(copy.path(), &["analyze", ".", "--output", "json"]).unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = &findings.as_array().unwrap()[..expected.len()];
    let places = findings.iter().map(|finding| (finding["line"].as_u64().unwrap() as usize, finding["field"].as_str().unwrap()));
    assert_eq!(places.collect::<Vec<_>>(), expected.map(|(line, field, _)| (line, field)));
    for finding in findings {
        assert_eq!(
            (&finding["severity"], &finding["code"], &finding["object"]),
            (&"warning".into(), &"IST0101".into(), &"VirtualService canary/colour".into())
        );
    }
}

#[test]
fn analyze_shows_the_line_that_is_not_yaml() {
    let copy = demo_with([("  host: colour\n", "  host: colour: x\n")]).unwrap();
    let output = type_weir(copy.path(), &["analyze", "."]).unwrap();
    let (text, summary) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{summary}");
    assert!(text.starts_with("./traffic.yaml:") || text.starts_with("traffic.yaml:"), "{text}");
    assert!(
        text.contains("error [IST0106]") && text.contains("not YAML") && text.contains("host: colour: x") && text.contains('^'),
        "{text}"
    );
    let place: Vec<_> = text.split(':').skip(1).take(2).map(|number| number.parse::<usize>().unwrap()).collect();
    assert_eq!(place, [line_of(copy.path(), "host: colour: x").unwrap(), "  host: colour:".len()], "{text}");

    let missing = type_weir(copy.path(), &["analyze", "no-such-folder"]).unwrap();
    assert_eq!((missing.status.code(), texts(&missing).1.contains("no-such-folder: ")), (Some(1), true), "{missing:?}");
}

#[test]
fn analyze_names_object_path_and_expectation_of_a_bad_policy() {
    for (from, to, path, expected) in [
        ("stable: stable", "stabel: stable", "spec.pluginConfig.canaries[0].stabel", "unknown field"),
        ("- cookie: user", "- cookie: 7", "spec.pluginConfig.canaries[0].key[0]", "string"),
        ("version: 1", "version: 2", "spec.pluginConfig.version", "1"),
    ] {
        let copy = demo_with([]).unwrap();
        let file = copy.path().join("weir.yaml");
        let policy = std::fs::read_to_string(&file).unwrap();
        assert!(policy.contains(from));
        std::fs::write(&file, policy.replacen(from, to, 1)).unwrap();
        let output = type_weir(copy.path(), &["analyze", "."]).unwrap();
        let (text, _) = texts(&output);
        let parts = ["weir.yaml:", "error", "WasmPlugin istio-system/weir-canary-colour", path, expected];
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
    }
}

#[test]
fn up_says_who_has_the_port_that_is_taken() {
    let port = free_port().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let output = type_weir(&project(""), &["up", "deploy/demos/canary", "--gateway-port", &port.to_string()]).unwrap();
    let (_, errors) = texts(&output);
    let by = format!("(process {})", std::process::id());
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!([&format!("port {port} is taken by "), &by, "--gateway-port"].iter().all(|part| errors.contains(*part)), "{errors}");
    drop(taken);
}

#[test]
fn up_says_what_to_run_when_envoy_is_missing() {
    // A copy outside of the project, where no .tools is.
    let dir = TempDir::with_prefix("weir-tests-").unwrap();
    let program = dir.path().join("weir");
    std::fs::copy(weir(), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg("up").arg(project("deploy/demos/canary")).env_remove("ENVOY").env("PATH", dir.path()).current_dir(dir.path());
    let output = command.env("TMPDIR", dir.path()).output().unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("no Envoy") && errors.contains("make envoy") && errors.contains("ENVOY"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_module_a_policy_is_named_and_the_mesh_runs() {
    if !able::to_run_a_mesh() {
        return;
    }
    let empty = TempDir::with_prefix("weir-tests-").unwrap();
    std::fs::copy(modules("modules").join("weir-locality.wasm"), empty.path().join("weir-locality.wasm")).unwrap();
    let mut command = Command::new(weir());
    command.env("WEIR_MODULES", empty.path());
    let mesh = Up::start_with(command, &["deploy/demos/canary"]).unwrap();
    mesh.says(&["weir-canary", "make wasm"]).await.unwrap();
    canary::share_without_user(&mesh).await.unwrap().check();
}

fn route(name: &str, path: &str, destination: &str) -> String {
    format!("  - name: {name}\n    match: [{path}]\n    route: [{{destination: {destination}}}]\n")
}

fn virtual_service(routes: &[String]) -> String {
    let last = route("rest", "{uri: {prefix: /}}", "{host: colour, subset: stable}");
    let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: colour, namespace: canary}\nspec:\n  hosts: [canary.localhost, colour]\n  gateways: [canary, mesh]\n  http:\n";
    format!("{head}{}{last}", routes.concat())
}

/// How a path of the demo's host is answered.
async fn status(mesh: &Up, path: &str) -> Option<String> {
    let url = format!("http://canary.localhost{path}");
    let report = mesh.count(&url, 20, &[]).await.ok()?;
    let mut statuses = report.statuses.into_iter();
    statuses.next().map(|(status, _)| status).filter(|_| statuses.next().is_none())
}

async fn becomes(mesh: &Up, path: &str, wanted: &str) {
    let seen =
        wait_for(&format!("{path}: {wanted}"), SOON, async || (status(mesh, path).await.as_deref() == Some(wanted)).then_some(())).await;
    assert!(seen.is_ok(), "{path} answers {:?}, not {wanted}", status(mesh, path).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_object_is_named_and_the_rest_goes_on() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    becomes(&mesh, "/colour", "200").await;

    // Routes that lead nowhere.
    let nowhere = [
        route("no-host", "{uri: {prefix: /no-host}}", "{host: nobody}"),
        route("no-subset", "{uri: {prefix: /no-subset}}", "{host: colour, subset: nothing}"),
    ];
    mesh.apply_text(&virtual_service(&nowhere)).unwrap();
    mesh.says(&["VirtualService canary/colour", "spec.http[0]", "no service nobody.canary.svc.cluster.local"]).await.unwrap();
    mesh.says(&["VirtualService canary/colour", "spec.http[1]", "\"nothing\""]).await.unwrap();
    for (path, wanted) in [("/no-host", "503"), ("/no-subset", "503"), ("/colour", "200")] {
        becomes(&mesh, path, wanted).await;
    }

    // What only Envoy can tell: a regular expression whose program is larger than its text gives away.
    let large = "(a?){1000}".repeat(20);
    let large = route("large", &format!("{{uri: {{regex: '{large}'}}}}"), "{host: colour, subset: canary}");
    mesh.apply_text(&virtual_service(&[nowhere[0].clone(), large])).unwrap();
    let shown = wait_for("the regex to be refused by name", SOON, async || {
        let shown = mesh.ask(&["proxy-status"]).ok()?;
        let named = shown.contains("rejected RDS http.80 (made from VirtualService canary/colour):\n  regex '(a?)");
        named.then_some(shown)
    });
    println!("{}", shown.await.unwrap_or_else(|error| panic!("{error}: {}", mesh.ask(&["proxy-status"]).unwrap())));
    for (path, wanted) in [("/no-host", "503"), ("/no-subset", "503"), ("/colour", "200")] {
        becomes(&mesh, path, wanted).await;
    }

    // What is mended is in force, and no complaint is left.
    mesh.apply_text(&virtual_service(&[])).unwrap();
    for path in ["/no-host", "/no-subset"] {
        becomes(&mesh, path, "404").await;
    }
    wait_for("no complaint", SOON, async || (!mesh.ask(&["proxy-status"]).ok()?.contains("VirtualService")).then_some(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_whose_module_is_not_there_is_named_and_passed_by() {
    if !able::to_run_a_mesh() {
        return;
    }
    let mesh = Up::start(&["deploy/demos/canary"]).unwrap();
    becomes(&mesh, "/colour", "200").await;
    let plugin = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: foreign, namespace: istio-system}\n\
        spec: {selector: {matchLabels: {istio: ingressgateway}}, url: file:///no/such/module.wasm, failStrategy: FAIL_OPEN}\n";
    mesh.apply_text(plugin).unwrap();
    let shown = wait_for("the plugin to be refused by name", SOON * 2, async || {
        mesh.ask(&["proxy-status"]).ok().filter(|shown| shown.contains("WasmPlugin istio-system/foreign") && shown.contains("module.wasm"))
    });
    shown.await.unwrap_or_else(|error| panic!("{error}: {}", mesh.ask(&["proxy-status"]).unwrap()));
    canary::share_without_user(&mesh).await.unwrap().check();
}
