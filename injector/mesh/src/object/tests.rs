use super::*;

const GOOD: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: h}\n";

fn of(files: &[(&str, &str)]) -> Read {
    read(&files.iter().map(|(path, text)| SourceFile { path: path.into(), text: text.to_string() }).collect::<Vec<_>>())
}

fn messages(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn only_what_was_there_before_is_said_to_stay() {
    let before = Objects::default().update(of(&[("f/a.yaml", GOOD)]));
    let bad = GOOD.replace("host: h", "host: []");
    for (text, stays) in [("a: [", "what the file said before stays in force"), (&bad, "what the object said before stays in force")] {
        for (before, expected) in [(&before, true), (&Objects::default(), false)] {
            let mut read = of(&[("f/a.yaml", text)]);
            let mut findings = std::mem::take(&mut read.findings);
            before.update(read).note_kept(before, &mut findings);
            let said = messages(&findings);
            assert_eq!((said.len(), said[0].contains(stays), said[0].contains("in force")), (1, expected, expected), "{said:?}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_read_keeps_its_objects() {
    let before = Objects::default().update(of(&[("f/a.yaml", GOOD), ("g/a.yaml", &GOOD.replace("name: d", "name: e"))]));
    let after = before.update(Read { rejected: vec![Rejected::File("f".into())], ..Read::default() });
    assert_eq!(after.iter().map(|object| object.key.name.as_str()).collect::<Vec<_>>(), ["d"]);
}

#[test]
fn an_earlier_broken_object_is_no_error_when_a_later_good_one_takes_its_place() {
    let bad = GOOD.replace("host: h", "host: ''");
    let read = of(&[("a/f.yaml", &bad), ("b/f.yaml", GOOD)]);
    assert_eq!((messages(&read.findings), read.rejected, read.objects.len()), (vec![], vec![], 1));
    let read = of(&[("a/f.yaml", GOOD), ("b/f.yaml", &bad)]);
    assert_eq!((read.findings.len(), read.rejected.len()), (1, 1));
}

#[test]
fn objects_take_the_place_of_others_or_remove_them() {
    let objects = Objects::default().update(of(&[("a.yaml", GOOD)]));
    let other = Objects::default().update(of(&[("b.yaml", &GOOD.replace("name: d", "name: e"))]));
    let key = |name: &str| Key { kind: "DestinationRule", namespace: "default".into(), name: name.into() };
    let both = objects.with([(&key("e"), other.get(&key("e")))]);
    assert_eq!(both.iter().map(|object| object.key.name.as_str()).collect::<Vec<_>>(), ["d", "e"]);
    assert_eq!(both.with([(&key("d"), None)]).iter().map(|object| object.key.name.as_str()).collect::<Vec<_>>(), ["e"]);
}
