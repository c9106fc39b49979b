//! Objects written down between two readings, each with where its user wrote it: so that a last good state outlives its reader,
//! and what is found about an object names the user's own file and line.

use super::parse::api_version;
use super::{Key, Object, Positions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How such a text begins, and no manifest.
const BEGIN: &str = "{\"kept\":[";

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The file that it was read from: of two with one key the later one's counts.
    pub source: PathBuf,
    /// The file that its user knows.
    pub file: PathBuf,
    /// Path, line and column of each field.
    pub positions: Vec<(String, usize, usize)>,
    /// All that it says.
    pub object: Value,
}

#[derive(Serialize, Deserialize)]
struct Text {
    kept: Vec<Kept>,
}

impl From<&Object> for Kept {
    fn from(object: &Object) -> Kept {
        let positions = object.positions.iter().map(|(path, (line, column))| (path.to_string(), line, column));
        Kept {
            source: object.source.clone(),
            file: object.place.file.clone(),
            positions: positions.collect(),
            object: object.value.clone(),
        }
    }
}

impl Kept {
    /// What removes the object of a key from the files before `source`.
    pub fn removal(key: &Key, source: &Path) -> Kept {
        let Key { kind, namespace, name } = key;
        // Any time will do: the file's place says since when.
        let metadata = json!({"name": name, "namespace": namespace, "deletionTimestamp": "2000-01-01T00:00:00Z"});
        let object = json!({"apiVersion": api_version(kind), "kind": kind, "metadata": metadata});
        Kept { source: source.into(), file: source.into(), positions: Vec::new(), object }
    }

    pub(super) fn positions(&self) -> Positions {
        self.positions.iter().map(|(path, line, column)| (path.clone(), (*line, *column))).collect()
    }
}

/// The text from which [`read`](super::read) makes these objects.
pub fn keep(objects: impl IntoIterator<Item = Kept>) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Text { kept: objects.into_iter().collect() })
}

/// What a text keeps; none if it is another text.
pub(super) fn kept(text: &str) -> Option<Vec<Kept>> {
    if !text.starts_with(BEGIN) {
        return None;
    }
    serde_json::from_str::<Text>(text).ok().map(|text| text.kept)
}

#[cfg(test)]
mod tests {
    use super::super::{Objects, SourceFile, read};
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    fn restored(objects: &Objects) -> Objects {
        let text = keep(objects.iter().map(|object| Kept::from(&**object))).unwrap();
        Objects::default().update(read(&[file("state", &text)]))
    }

    fn all(objects: &Objects) -> Vec<Kept> {
        objects.iter().map(|object| Kept::from(&**object)).collect()
    }

    const RULE: &str =
        "# first\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: h, hots: 'é\\x85'}\n";

    #[test]
    fn objects_come_back_as_they_were_with_their_places() {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n";
        let objects = Objects::default().update(read(&[file("a.yaml", RULE), file("b.yaml", pod)]));
        let again = restored(&objects);
        assert_eq!((all(&again).len(), all(&again)), (2, all(&objects)));
        let text = keep(all(&objects)).unwrap();
        let shown: Vec<_> = read(&[file("state", &text)]).findings.iter().map(ToString::to_string).collect();
        let expected = "a.yaml:5:23: warning [IST0106] DestinationRule default/d spec.hots: ";
        assert!(shown.len() == 1 && shown[0].starts_with(expected), "{shown:?}");
    }

    #[test]
    fn a_removal_removes_the_object_of_any_kind() {
        for (version, kind) in [
            ("v1", "Namespace"),
            ("v1", "Node"),
            ("v1", "Service"),
            ("v1", "Pod"),
            ("apps/v1", "Deployment"),
            ("networking.k8s.io/v1", "IPAddress"),
            ("networking.istio.io/v1beta1", "Gateway"),
            ("networking.istio.io/v1alpha3", "VirtualService"),
            ("networking.istio.io/v1", "DestinationRule"),
            ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        ] {
            // Without what its kind needs: a removal removes that too.
            let object = file(
                "a.yaml",
                &format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x, deletionTimestamp: '2026-01-01T00:00:00Z'}}\n"),
            );
            let deleted = read(&[object]).deleted;
            let removals = keep(deleted.iter().map(|key| Kept::removal(key, "b".as_ref()))).unwrap();
            let again = read(&[file("b", &removals)]);
            assert_eq!((again.findings, again.deleted.len(), again.deleted), (vec![], 1, deleted), "{kind}");
        }
    }

    #[test]
    fn a_last_good_state_outlives_its_reader() {
        let objects = restored(&Objects::default().update(read(&[file("a.yaml", RULE)])));
        for broken in ["a: [", &RULE.replace("host: h", "host: ''")] {
            assert_eq!(all(&objects.update(read(&[file("a.yaml", broken)]))), all(&objects), "{broken}");
        }
        assert!(all(&objects.update(read(&[file("a.yaml", "")]))).is_empty());
    }
}
