//! Values of headers as Envoy takes them: texts in which `%COMMAND%` stands for something of the request. A text with a stray
//! `%` would make Envoy refuse all routes of a port.

/// Envoy's commands that take no argument, or one that may be missing.
const COMMANDS: [&str; 22] = [
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LOCAL_REPLY_BODY",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "ROUTE_NAME",
    "START_TIME",
    "STREAM_ID",
    "TRACE_ID",
    "VIRTUAL_CLUSTER_NAME",
];
/// Families of commands, too many to list: Envoy knows its own.
const FAMILIES: [&str; 2] = ["DOWNSTREAM_", "UPSTREAM_"];
/// Commands with an argument.
const WITH_ARGUMENT: [&str; 8] =
    ["CLUSTER_METADATA", "DYNAMIC_METADATA", "ENVIRONMENT", "FILTER_STATE", "METADATA", "REQ", "RESP", "TRAILER"];

/// What is wrong with a text, if anything is.
pub(super) fn fault(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(escaped) = after.strip_prefix('%') {
            rest = escaped;
            continue;
        }
        let name = after.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap_or_default();
        let mut tail = after.strip_prefix(name).unwrap_or_default();
        let argument = tail.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        if let Some((_, behind)) = argument {
            tail = behind;
        }
        if let Some(length) = tail.strip_prefix(':') {
            tail = length.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        let known = match argument {
            Some(_) => WITH_ARGUMENT.contains(&name) || COMMANDS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family)),
            None => COMMANDS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family)),
        };
        match tail.strip_prefix('%') {
            Some(behind) if known => rest = behind,
            _ => return Some(format!("%{name} is no command of Envoy's: write %% for a percent sign")),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn takes_texts_and_envoys_commands() {
        for text in ["", "plain", "100%%", "%START_TIME%", "%START_TIME(%s)%", "a%REQ(x-a?x-b):10%b", "%DOWNSTREAM_REMOTE_ADDRESS%"] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_envoy_refuses() {
        for text in ["100%", "%NOPE%", "%REQ%", "%START_TIME", "% %", "%%%"] {
            assert!(fault(text).is_some(), "{text}");
        }
    }
}
