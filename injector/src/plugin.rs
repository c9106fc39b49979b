//! `kubectl weir`: the same program under the name `kubectl-weir`, which kubectl finds on the PATH. Under the name
//! `kubectl_complete-weir` it completes kubectl's own command line.

use clap::Command;
use std::ffi::OsString;
use std::path::Path;

/// Under which name kubectl runs it.
const NAME: &str = "kubectl-weir";
/// Under which name kubectl asks it for completions.
const COMPLETES: &str = "kubectl_complete-weir";
/// The shell may add files of the folder if nothing fits (cobra's ShellCompDirectiveDefault).
const FILES_TOO: &str = ":0";

/// What the program was started as.
fn name() -> Option<OsString> {
    std::env::args_os().next().and_then(|path| Path::new(&path).file_name().map(Into::into))
}

/// Whether kubectl runs it.
pub fn is_one() -> bool {
    name().is_some_and(|name| name == NAME)
}

/// Whether kubectl asks for completions.
pub fn completes() -> bool {
    name().is_some_and(|name| name == COMPLETES)
}

/// The command line under the name that its user types.
pub fn named(command: Command) -> Command {
    if is_one() { command.bin_name("kubectl weir") } else { command }
}

/// What may stand in the place of the last word, one a line, then what else the shell may offer: as cobra's `__complete` answers.
pub fn completions(command: &mut Command, words: &[String]) -> String {
    command.build();
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut at: &Command = command;
    for word in before {
        at = at.find_subcommand(word).unwrap_or(at);
    }
    let offered: Vec<String> = match before.last().and_then(|option| valued(at, option)) {
        Some(values) => values,
        None if last.starts_with('-') => {
            at.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
        }
        None => {
            let verbs = at.get_subcommands().filter(|verb| !verb.is_hide_set()).map(|verb| verb.get_name().to_string());
            let positional = at.get_positionals().flat_map(values);
            verbs.chain(positional).collect()
        }
    };
    let lines = offered.iter().filter(|word| word.starts_with(last)).map(|word| format!("{word}\n"));
    lines.collect::<String>() + FILES_TOO + "\n"
}

/// The values of an option that takes one; none if the word is no such option.
fn valued(at: &Command, word: &str) -> Option<Vec<String>> {
    let named = |arg: &&clap::Arg| {
        let long = arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        let short = arg.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str()));
        long || short
    };
    at.get_arguments().find(named).filter(|arg| arg.get_action().takes_values()).map(values)
}

fn values(arg: &clap::Arg) -> Vec<String> {
    arg.get_possible_values().iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    #[test]
    fn completes_verbs_options_and_their_values() {
        let output = Arg::new("output").short('o').long("output").value_parser(["json", "yaml"]);
        let all = Arg::new("all").long("all-namespaces").action(ArgAction::SetTrue);
        let shell = Arg::new("what").value_parser(["pods", "services"]);
        let command = Command::new("weir").subcommands([
            Command::new("get").arg(output).arg(all).arg(shell),
            Command::new("graph"),
            Command::new("inside").hide(true),
        ]);
        let complete = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(ToString::to_string).collect();
            completions(&mut command.clone(), &words).lines().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(complete(&["g"]), ["get", "graph", ":0"]);
        assert_eq!(complete(&["i"]), [":0"]);
        assert_eq!(complete(&["get", ""]), ["pods", "services", ":0"]);
        assert_eq!(complete(&["get", "--al"]), ["--all-namespaces", ":0"]);
        for option in ["-o", "--output"] {
            assert_eq!(complete(&["get", option, "j"]), ["json", ":0"]);
        }
        assert_eq!(complete(&["get", "--all-namespaces", "p"]), ["pods", ":0"]);
    }
}
