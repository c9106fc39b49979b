//! The condition `Programmed`, as the Gateway API has it
//! (<https://gateway-api.sigs.k8s.io/geps/gep-1364/>): whether what an object says is in force.

use super::shortened;
use crate::programmed::{Count, generation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_mesh::finding::{Finding, Severity};

/// The condition's type.
const TYPE: &str = "Programmed";

/// What a status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False`, `Unknown`
    status: &'static str,
    /// One word for programs.
    reason: &'static str,
    /// How many proxies; then what is wrong.
    message: String,
    problems: String,
    generation: i64,
}

/// What there is to write.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// The status says it already.
    Already,
    /// All conditions, with this one.
    News(Vec<Value>),
}

/// The condition of an object that says this; `rejected`: it is not valid.
pub fn of(object: &Value, count: Option<&Count>, findings: &[&Finding], rejected: bool) -> Condition {
    let generation = generation(object);
    let problems = problems(findings);
    if rejected {
        return Condition { status: "False", reason: "Invalid", message: "the object is not valid".into(), problems, generation };
    }
    // What was counted may be of another moment than the object.
    let count = count.filter(|count| count.generation == generation).cloned().unwrap_or_default();
    let Count { have, wait, rejected, reason, .. } = count;
    let all = have + wait + rejected;
    let (status, word, message) = match () {
        () if rejected > 0 => ("False", "Rejected", format!("{rejected} of {}: {reason}", rejecting(all))),
        () if wait > 0 => ("False", "Pending", format!("{have} of {} it", having(all))),
        () if all == 0 => ("Unknown", "NoProxy", "no connected proxy needs it".into()),
        () => ("True", "Programmed", format!("{} it", having(all))),
    };
    Condition { status, reason: word, message, problems, generation }
}

fn having(all: usize) -> String {
    format!("{all} {}", if all == 1 { "proxy has" } else { "proxies have" })
}

fn rejecting(all: usize) -> String {
    format!("{all} {} it and kept what it had", if all == 1 { "proxy rejected" } else { "proxies rejected" })
}

fn problems(findings: &[&Finding]) -> String {
    let told = findings.iter().filter(|finding| finding.severity > Severity::Info);
    let one = |finding: &&Finding| match finding.field.as_str() {
        "" => format!("{}: {}", finding.severity, finding.message),
        field => format!("{}: {field}: {}", finding.severity, finding.message),
    };
    told.map(one).collect::<Vec<_>>().join("; ")
}

impl Condition {
    /// Whether nothing but the number of proxies is another.
    pub fn differs_in_count(&self, other: &Condition) -> bool {
        let rest = |it: &Condition| (it.status, it.reason, it.generation, it.problems.clone());
        self.message != other.message && rest(self) == rest(other)
    }

    fn text(&self) -> String {
        match self.problems.as_str() {
            "" => shortened(self.message.clone()),
            problems => shortened(format!("{}; {problems}", self.message)),
        }
    }

    /// This one among those that a status has.
    pub fn among(&self, conditions: Option<&Value>) -> Said {
        let mut conditions = conditions.and_then(Value::as_array).cloned().unwrap_or_default();
        let place = conditions.iter().position(|condition| condition["type"] == TYPE);
        let old = place.and_then(|place| conditions.get(place)).and_then(|old| meta::Condition::deserialize(old).ok());
        let mut new = meta::Condition {
            type_: TYPE.into(),
            status: self.status.into(),
            reason: self.reason.into(),
            message: self.text(),
            observed_generation: Some(self.generation),
            last_transition_time: meta::Time(Timestamp::now()),
        };
        if let Some(old) = old {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            if old == new {
                return Said::Already;
            }
        }
        match (place.and_then(|place| conditions.get_mut(place)), json!(new)) {
            (Some(place), new) => *place = new,
            (None, new) => conditions.push(new),
        }
        Said::News(conditions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use weir_mesh::finding::Place;

    fn object() -> Value {
        json!({"metadata": {"generation": 2}})
    }

    fn count(have: usize, wait: usize, rejected: usize) -> Count {
        Count { generation: 2, have, wait, rejected, reason: if rejected > 0 { "bad regex".into() } else { String::new() } }
    }

    fn finding(severity: Severity) -> Finding {
        Finding {
            severity,
            code: None,
            object: String::new(),
            field: "spec.host".into(),
            place: Place { file: PathBuf::new(), line: 0, column: 0 },
            message: "no such service".into(),
            snippet: String::new(),
        }
    }

    #[test]
    fn it_tells_how_many_proxies_have_it_and_what_is_wrong() {
        let warning = [&finding(Severity::Warning), &finding(Severity::Info)];
        let old = Count { generation: 1, ..count(3, 0, 0) };
        let table: [(Count, &[&Finding], bool, &str); 8] = [
            (count(0, 0, 0), &[], false, "Unknown NoProxy: no connected proxy needs it"),
            (count(1, 0, 0), &[], false, "True Programmed: 1 proxy has it"),
            (count(3, 0, 0), &[], false, "True Programmed: 3 proxies have it"),
            (count(3, 0, 0), &warning, false, "True Programmed: 3 proxies have it; warning: spec.host: no such service"),
            (count(2, 1, 0), &[], false, "False Pending: 2 of 3 proxies have it"),
            (count(2, 1, 1), &[], false, "False Rejected: 1 of 4 proxies rejected it and kept what it had: bad regex"),
            (
                count(3, 0, 0),
                &[&finding(Severity::Error)],
                true,
                "False Invalid: the object is not valid; error: spec.host: no such service",
            ),
            (old, &[], false, "Unknown NoProxy: no connected proxy needs it"),
        ];
        for (count, findings, rejected, expected) in table {
            let condition = of(&object(), Some(&count), findings, rejected);
            assert_eq!(format!("{} {}: {}", condition.status, condition.reason, condition.text()), expected);
            assert_eq!(condition.generation, 2);
        }
    }

    #[test]
    fn other_conditions_stay_and_a_transition_is_one_of_the_status() {
        let two = of(&object(), Some(&count(2, 0, 0)), &[], false);
        let others = json!([{"type": "Reconciled", "status": "True"}]);
        let Said::News(mut conditions) = two.among(Some(&others)) else { panic!("no news") };
        assert_eq!((conditions.len(), &conditions[0]), (2, &others[0]));
        conditions[1]["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
        let there = Value::from(conditions);
        assert_eq!(two.among(Some(&there)), Said::Already);

        let three = of(&object(), Some(&count(3, 0, 0)), &[], false);
        assert!(two.differs_in_count(&three));
        let Said::News(conditions) = three.among(Some(&there)) else { panic!("no news") };
        assert_eq!(conditions[1]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let rejected = of(&object(), Some(&count(3, 0, 1)), &[], false);
        assert!(!two.differs_in_count(&rejected));
        let Said::News(conditions) = rejected.among(Some(&there)) else { panic!("no news") };
        assert_ne!(conditions[1]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    }
}
