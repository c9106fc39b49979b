use super::*;
use crate::files::state::State;
use serde_json::json;
use tempfile::TempDir;

/// The layer over one file of the user, and what the control plane reads.
struct Run {
    folder: TempDir,
    applied: Applied,
    control_plane: Objects,
}

fn file(name: &str, text: &str) -> Vec<SourceFile> {
    vec![SourceFile { path: name.into(), text: text.into() }]
}

fn service(name: &str, port: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: n}}\nspec: {{ports: [{{port: {port}}}]}}\n")
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| line.to_string()).collect()
}

fn done(expected: &[&str]) -> Answer {
    Answer { done: lines(expected), failed: vec![] }
}

fn failed(expected: &[&str]) -> Answer {
    Answer { done: vec![], failed: lines(expected) }
}

impl Run {
    fn new(text: &str) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir(folder.path().into());
        std::fs::create_dir(dir.applied()).unwrap();
        let sources = Sources(vec![folder.path().join("mine.yaml")]);
        let options = Options { marked: true, ..Default::default() };
        let mut run = Run { applied: Applied::new(&dir, sources, options), folder, control_plane: Objects::default() };
        assert_eq!(run.edit(text), [""; 0]);
        run
    }

    fn edit(&mut self, text: &str) -> Vec<String> {
        self.write(text);
        self.follow()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.path().join("mine.yaml"), text).unwrap();
    }

    /// What the runner says when it sees a change; the control plane sees it too.
    fn follow(&mut self) -> Vec<String> {
        self.tell_control_plane();
        let said = self.applied.follow().unwrap().1;
        self.tell_control_plane();
        let here = format!("{}/", self.folder.path().display());
        said.into_iter().map(|line| line.replace(&here, "")).collect()
    }

    /// It may have started again since.
    fn tell_control_plane(&mut self) {
        let mut sources = self.applied.sources.clone();
        sources.0.push(self.applied.path.clone());
        let state = State::within(&self.folder.path().join("state")).unwrap();
        state.save(&self.control_plane).unwrap();
        self.control_plane = state.load().0.update(sources.read().read());
    }

    fn apply(&mut self, text: &str) -> Answer {
        let answer = self.applied.apply(&file("steps/1.yaml", text)).unwrap();
        assert_eq!(self.follow(), [""; 0], "of what is asked for the answer says enough");
        answer
    }

    fn delete(&mut self, text: &str) -> Answer {
        let answer = self.applied.delete(&file("steps/1.yaml", text)).unwrap();
        assert_eq!(self.follow(), [""; 0], "of what is asked for the answer says enough");
        answer
    }

    /// Names and ports, for the runner and for the control plane alike.
    fn objects(&self) -> Vec<String> {
        let shown = |objects: &Objects| {
            let port = |object: &Object| object.value.pointer("/spec/ports/0/port").cloned().unwrap_or_default();
            objects.iter().map(|object| format!("{} {}", object.key.name, port(object))).collect::<Vec<_>>()
        };
        let control_plane = shown(&self.control_plane);
        assert_eq!(shown(&self.applied.in_force()), control_plane);
        control_plane
    }
}

#[test]
fn applied_objects_lie_over_the_files_and_go_one_by_one() {
    let mut run = Run::new(&(service("a", "1") + &service("b", "1")));
    assert_eq!(run.apply(&(service("a", "2") + &service("c", "2"))), done(&["Service n/a applied", "Service n/c applied"]));
    assert_eq!(run.apply(&service("a", "3")), done(&["Service n/a applied"]));
    assert_eq!(run.objects(), ["a 3", "b 1", "c 2"]);
    assert_eq!(run.delete(&(service("b", "9") + &service("c", "9"))), done(&["Service n/b deleted", "Service n/c deleted"]));
    assert_eq!(run.objects(), ["a 3"]);
    assert_eq!(run.apply(&service("b", "1")), done(&["Service n/b applied"]));
    assert_eq!(run.objects(), ["a 3", "b 1"]);
}

#[test]
fn the_newest_write_counts() {
    let mut run = Run::new(&(service("a", "1") + &service("b", "1") + &service("c", "1")));
    run.apply(&(service("a", "2") + &service("d", "2")));
    run.delete(&service("b", "1"));
    assert_eq!(run.edit(&(service("c", "3") + &service("b", "1") + &service("a", "1"))), [""; 0], "only c is said anew");
    assert_eq!(run.objects(), ["a 2", "c 3", "d 2"]);
    assert_eq!(run.edit("a: ["), [""; 0], "a broken file says nothing");
    assert_eq!(
        run.edit(&(service("a", "3") + &service("b", "3") + &service("c", "3"))),
        [
            "Service n/a: mine.yaml:2:1 was edited and counts again, no longer `weir apply`",
            "Service n/b: mine.yaml:7:1 was edited and counts again, no longer `weir delete`"
        ]
    );
    assert_eq!(run.objects(), ["a 3", "b 3", "c 3", "d 2"]);

    run.write(&service("a", "4"));
    assert_eq!(run.apply(&service("a", "5")), done(&["Service n/a applied"]), "an edit that nobody has read yet is older");
    assert_eq!(run.objects(), ["a 5", "d 2"]);
}

#[test]
fn what_is_deleted_goes_also_where_its_file_holds_no_good_state_of_it() {
    let mut run = Run::new(&service("a", "x"));
    assert_eq!(run.apply(&service("a", "2")), done(&["Service n/a applied"]));
    assert_eq!(run.objects(), ["a 2"]);
    assert_eq!(run.delete(&service("a", "2")), done(&["Service n/a deleted"]));
    assert_eq!(run.objects(), [""; 0]);
}

#[test]
fn what_is_applied_counts_also_where_it_is_the_last_good_state_of_a_broken_file() {
    for broken in ["a: [", &service("a", "x")] {
        let mut run = Run::new(&service("a", "1"));
        run.apply(&service("a", "2"));
        assert_eq!(run.edit(broken), [""; 0]);
        assert_eq!(run.apply(&service("a", "1")), done(&["Service n/a applied"]));
        assert_eq!(run.objects(), ["a 1"], "{broken}");
        assert_eq!(run.edit(&service("a", "1")), [""; 0], "nothing to say of what is the same");
        assert_eq!(run.edit(&service("a", "3")), [""; 0], "it is the file's again");
        assert_eq!(run.objects(), ["a 3"], "{broken}");
    }
}

#[test]
fn what_is_removed_from_its_file_goes() {
    let all = service("a", "1") + &service("b", "1") + &service("c", "1");
    let mut run = Run::new(&all);
    run.apply(&service("a", "2"));
    run.delete(&service("b", "1"));
    run.write(&service("c", "1"));
    run.applied.apply(&file("steps/1.yaml", &service("d", "1"))).unwrap();
    assert_eq!(run.edit(&all), [""; 0], "a file that was being written a moment ago");
    assert_eq!(run.objects(), ["a 2", "c 1", "d 1"]);

    assert_eq!(run.edit(&service("c", "1")), ["Service n/a was removed from mine.yaml, and with it what `weir apply` made of it"]);
    assert_eq!(run.objects(), ["c 1", "d 1"]);
    assert_eq!(run.edit(&all), [""; 0]);
    assert_eq!(run.objects(), ["a 1", "b 1", "c 1", "d 1"]);

    run.apply(&service("a", "2"));
    run.write(&service("c", "1"));
    assert_eq!(run.apply(&service("a", "3")), done(&["Service n/a applied"]), "a removal that nobody has read yet is older");
    assert_eq!(run.objects(), ["a 3", "c 1", "d 1"]);
}

#[test]
fn a_source_that_goes_is_named_once() {
    let mut run = Run::new(&service("a", "1"));
    for _ in 0..2 {
        std::fs::remove_file(run.folder.path().join("mine.yaml")).unwrap();
        assert_eq!(run.follow(), ["mine.yaml: there is no such file or folder any more"]);
        assert_eq!(run.follow(), [""; 0]);
        assert_eq!(run.objects(), [""; 0]);
        assert_eq!(run.edit(&service("a", "1")), [""; 0]);
        assert_eq!(run.objects(), ["a 1"]);
    }
}

#[test]
fn with_a_namespace_goes_all_that_is_in_it() {
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n";
    let mut run = Run::new(&(service("a", "1") + &service("b", "1").replace("namespace: n", "namespace: other") + namespace));
    run.apply(&service("c", "1"));
    let gone = ["Namespace n deleted", "Service n/a deleted", "Service n/c deleted"];
    assert_eq!(run.delete(&(service("a", "1") + namespace)), done(&gone));
    assert_eq!(run.objects(), ["b 1"]);
    assert_eq!(run.delete(namespace), failed(&["Namespace n: not found"]));
    run.apply(&service("c", "1"));
    assert_eq!(run.delete(namespace), done(&["Service n/c deleted"]), "no manifest needs to name a namespace");
}

#[test]
fn what_is_rejected_is_refused_and_the_rest_applied() {
    let mut run = Run::new(&service("a", "1"));
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: ''}\n";
    let answer = run.apply(&(service("b", "2") + rule));
    assert_eq!(answer.done, ["Service n/b applied"]);
    assert_eq!(answer.failed.len(), 1, "{answer:?}");
    assert!(answer.failed[0].starts_with("steps/1.yaml:10:14: error [IST0106] DestinationRule default/d spec.host: "), "{answer:?}");
    for text in ["a: [", "a: 1"] {
        assert!(run.apply(text).failed[0].starts_with("steps/1.yaml:1:"));
        assert!(run.delete(text).failed[0].starts_with("steps/1.yaml:1:"));
    }
    let nameless = service("", "1");
    assert_eq!(run.delete(&nameless), failed(&["steps/1.yaml:4:16: error [IST0106] metadata.name: the object needs a name"]));
    assert_eq!(run.apply("# nothing\n"), failed(&["no objects in it"]));
    assert_eq!(run.objects(), ["a 1", "b 2"]);
    assert_eq!(run.delete(rule), failed(&["DestinationRule default/d: not found"]));
    assert_eq!(run.delete(&service("b", "x")), done(&["Service n/b deleted"]), "what goes need not be valid");
    assert_eq!(run.delete(&service("b", "2")), failed(&["Service n/b: not found"]));
}

#[test]
fn kinds_that_weir_does_not_read_are_named() {
    let mut run = Run::new("");
    let set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s, namespace: n}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    let ignored = ["StatefulSet n/s ignored: Weir does not read this kind", "Secret s ignored: Weir does not read this kind"];
    assert_eq!(run.apply(set), done(&ignored));
    assert_eq!(run.delete(set), done(&ignored));
}

#[test]
fn what_is_found_across_objects_names_the_users_file() {
    let mut run = Run::new(&(service("a", "1") + &service("b", "1")));
    let route = |host: &str| {
        let spec = format!("spec: {{hosts: [b], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}");
        format!("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: n}}\n{spec}\n")
    };
    let expected = "steps/1.yaml:4:57: warning [IST0101] VirtualService n/v spec.http[0].route[0].destination.host: ";
    for _ in 0..2 {
        let answer = run.apply(&route("nobody"));
        assert!(answer.done[0].starts_with(expected) && answer.done[1] == "VirtualService n/v applied", "{answer:?}");
    }
    assert_eq!(run.apply(&route("a")), done(&["VirtualService n/v applied"]));
    let answer = run.delete(&service("a", "1"));
    assert!(answer.done[0].starts_with(expected) && answer.done[1] == "Service n/a deleted", "{answer:?}");
}

#[test]
fn lists_and_thousands_of_objects_are_applied() {
    let mut run = Run::new("");
    let many: String = (0..2000).map(|i| service(&format!("s{i}"), "1")).collect();
    assert_eq!(run.apply(&many).done.len(), 2000);
    let item = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 1}]}});
    assert_eq!(run.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [item]}).to_string()), done(&["Service default/x applied"]));
    assert_eq!(run.objects().len(), 2001);
}
