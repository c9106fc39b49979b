//! What to start and what to end, so that what runs becomes what is planned. Pure.

use super::plan::Pod;
use std::collections::BTreeSet;

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct Running<'a> {
    /// Its name.
    pub name: &'a str,
    /// As what it was started.
    pub pod: &'a Pod,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being ended already.
    pub leaving: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start a pod under this name.
    Start(String, Box<Pod>),
    /// End a pod: namespace and name.
    End(String, String),
}

/// The next steps. A changed pod gets a successor beside it, and ends when that one is ready; call again whenever one becomes so.
pub fn steps(planned: &[Pod], running: &[Running<'_>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut names: BTreeSet<(&str, String)> =
        running.iter().map(|running| (running.pod.namespace.as_str(), running.name.to_string())).collect();
    let end = |running: &Running<'_>| Step::End(running.pod.namespace.clone(), running.name.to_string());
    let of = |pod: &Pod, running: &Running<'_>| running.pod.namespace == pod.namespace && running.pod.slot == pod.slot;
    for pod in planned {
        let (current, outdated): (Vec<_>, Vec<_>) =
            running.iter().filter(|running| !running.leaving && of(pod, running)).partition(|running| running.pod == pod);
        if current.is_empty() {
            let name = free_name(pod, &names);
            names.insert((&pod.namespace, name.clone()));
            steps.push(Step::Start(name, Box::new(pod.clone())));
        }
        let replaced = current.iter().any(|running| running.ready);
        // An outdated pod that is not ready serves nobody.
        steps.extend(outdated.into_iter().filter(|running| replaced || !running.ready).map(end));
    }
    steps.extend(running.iter().filter(|running| !running.leaving && !planned.iter().any(|pod| of(pod, running))).map(end));
    steps
}

/// `reviews-v1-0`, and while that name is taken `reviews-v1-0-2`, `-3`, ...
fn free_name(pod: &Pod, names: &BTreeSet<(&str, String)>) -> String {
    let taken = |name: &String| names.contains(&(pod.namespace.as_str(), name.clone()));
    let numbered = (2..).map(|number: u32| format!("{}-{number}", pod.slot));
    [pod.slot.clone()].into_iter().chain(numbered).find(|name| !taken(name)).unwrap_or_else(|| pod.slot.clone())
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Labels, Proxy};
    use super::*;
    use std::slice::from_ref;
    use std::time::Duration;

    fn pod(slot: &str, version: &str) -> Pod {
        Pod {
            namespace: "n".into(),
            slot: slot.into(),
            owner: slot.into(),
            proxy: Proxy::Sidecar,
            proxy_ports: Vec::new(),
            labels: Labels::from([("version".into(), version.into())]),
            annotations: Labels::new(),
            zone: "a".parse().unwrap(),
            service_account: "default".into(),
            containers: vec![],
            grace: Duration::ZERO,
        }
    }

    fn running<'a>(name: &'a str, pod: &'a Pod, ready: bool, leaving: bool) -> Running<'a> {
        Running { name, pod, ready, leaving }
    }

    fn start(name: &str, pod: &Pod) -> Step {
        Step::Start(name.into(), Box::new(pod.clone()))
    }

    fn end(name: &str) -> Step {
        Step::End("n".into(), name.into())
    }

    #[test]
    fn starts_what_is_missing_and_ends_what_is_not_planned() {
        let (a, b) = (pod("a-0", "1"), pod("a-1", "1"));
        assert_eq!(steps(&[a.clone(), b.clone()], &[running("a-0", &a, true, false)]), [start("a-1", &b)]);
        assert_eq!(steps(from_ref(&a), &[running("a-0", &a, true, false), running("a-1", &b, true, false)]), [end("a-1")]);
        assert_eq!(steps(&[], &[running("a-0", &a, true, true)]), []);
    }

    #[test]
    fn a_changed_pod_stays_until_its_successor_is_ready() {
        let (old, new) = (pod("a-0", "1"), pod("a-0", "2"));
        let planned = [new.clone()];
        assert_eq!(steps(&planned, &[running("a-0", &old, true, false)]), [start("a-0-2", &new)]);
        assert_eq!(steps(&planned, &[running("a-0", &old, true, false), running("a-0-2", &new, false, false)]), []);
        assert_eq!(steps(&planned, &[running("a-0", &old, true, false), running("a-0-2", &new, true, false)]), [end("a-0")]);
    }

    #[test]
    fn a_changed_pod_that_is_not_ready_ends_at_once() {
        let (old, new) = (pod("a-0", "1"), pod("a-0", "2"));
        assert_eq!(steps(from_ref(&new), &[running("a-0", &old, false, false)]), [start("a-0-2", &new), end("a-0")]);
    }

    #[test]
    fn a_pod_that_comes_back_while_it_leaves_gets_a_new_name() {
        let pod = pod("a-0", "1");
        assert_eq!(steps(from_ref(&pod), &[running("a-0", &pod, false, true)]), [start("a-0-2", &pod)]);
    }
}
