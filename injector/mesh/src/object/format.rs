//! Values of headers as Envoy takes them: texts in which `%COMMAND%` stands for something of the request. A text that Envoy
//! refuses would make it refuse all routes of a port. What each command takes was asked of Envoy 1.40.

/// The longest name and value of a header that Envoy adds, in bytes.
pub(super) const LONGEST: usize = 16_384;

struct Command {
    names: &'static str,
    /// Whether this may stand in parentheses; empty: no parentheses.
    takes: fn(&str) -> bool,
    /// Whether `:N` may follow, the longest text.
    is_cut: bool,
}

const fn command(names: &'static str, takes: fn(&str) -> bool, is_cut: bool) -> Command {
    Command { names, takes, is_cut }
}

const COMMANDS: [Command; 14] = [
    command("REQ RESP TRAILER REQUEST_HEADER RESPONSE_HEADER RESPONSE_TRAILER STREAM_INFO_REQ", headers, true),
    command("DYNAMIC_METADATA ENVIRONMENT QUERY_PARAM", |text| !text.is_empty(), true),
    command("CLUSTER_METADATA UPSTREAM_METADATA", |text| !text.is_empty(), false),
    command("METADATA", metadata, true),
    command("FILTER_STATE UPSTREAM_FILTER_STATE", state, true),
    command("PER_REQUEST_STATE", state, false),
    command("PATH", path, true),
    command("QUERY_PARAMS", |text| ["", "ORIG", "DECODED"].contains(&text), true),
    command("CEL", attribute, true),
    command("COMMON_DURATION", span, false),
    command("GRPC_STATUS", |text| ["", "CAMEL_STRING", "SNAKE_STRING", "NUMBER"].contains(&text), false),
    command(TIMES, time, false),
    command(WITH_OPTIONS, |_| true, false),
    command(PLAIN, str::is_empty, false),
];

const TIMES: &str = "START_TIME START_TIME_LOCAL EMIT_TIME EMIT_TIME_LOCAL
    DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START UPSTREAM_PEER_CERT_V_END";
const WITH_OPTIONS: &str =
    "RESPONSE_CODE_DETAILS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
    DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT
    UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT";
const PLAIN: &str = "
    ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS
    DOWNSTREAM_CX_RTT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
    DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID
    DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION
    DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
    DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN
    DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT
    DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS
    DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256
    DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL
    DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN
    DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID
    DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DURATION
    FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME LISTENER_NAME LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL
    REQUESTED_SERVER_NAME REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_CODE RESPONSE_DURATION
    RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION
    ROUTE_NAME ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID
    UNIQUE_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED
    UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
    UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED
    UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAME UPSTREAM_HOST_NAMES_ATTEMPTED
    UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_CLOSE_REASON
    UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT
    UPSTREAM_PEER_DNS_SAN UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
    UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT
    UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION
    UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME";

/// What is wrong with a text, if anything is.
pub(super) fn fault(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(escaped) = after.strip_prefix('%') {
            rest = escaped;
            continue;
        }
        let end = after.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_').unwrap_or(after.len());
        let (name, tail) = after.split_at_checked(end).unwrap_or_default();
        let Some(command) = COMMANDS.iter().find(|command| command.names.split_whitespace().any(|known| known == name)) else {
            return Some(format!("%{name} is no command of Envoy's that Weir takes: write %% for a percent sign"));
        };
        match tail.strip_prefix('(').map_or_else(|| Some(("", behind(tail, command.is_cut)?)), |inside| argument(inside, command.is_cut)) {
            Some((argument, behind)) if (command.takes)(argument) => rest = behind,
            Some(_) => return Some(format!("Envoy's command {name} takes no such argument")),
            None => return Some(format!("%{name} does not end as a command of Envoy's: write %{name}...%, and %% for a percent sign")),
        }
    }
    None
}

/// The argument whose `)` ends the command, and what follows the command.
fn argument(inside: &str, is_cut: bool) -> Option<(&str, &str)> {
    inside.match_indices(')').find_map(|(at, _)| {
        let (argument, tail) = inside.split_at_checked(at)?;
        Some((argument, behind(tail.strip_prefix(')')?, is_cut)?))
    })
}

/// What follows `:N%` or `%`.
fn behind(tail: &str, is_cut: bool) -> Option<&str> {
    if let Some(behind) = tail.strip_prefix('%') {
        return Some(behind);
    }
    let (length, behind) = tail.strip_prefix(':')?.split_once('%')?;
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u64>().is_ok();
    (is_cut && is_number).then_some(behind)
}

/// `NAME?ALTERNATIVE`.
fn headers(text: &str) -> bool {
    let mut names = text.splitn(2, '?').map(|name| name.strip_prefix(':').filter(|rest| !rest.is_empty()).unwrap_or(name));
    !text.is_empty() && names.all(|name| name.chars().all(is_of_header_name))
}

/// What the name of a header is made of.
pub(super) fn is_of_header_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// `TYPE:NAMESPACE:KEY...`.
fn metadata(text: &str) -> bool {
    const TYPES: [&str; 7] = ["CLUSTER", "DYNAMIC", "LISTENER", "LISTENER_FILTER_CHAIN", "ROUTE", "UPSTREAM_HOST", "VIRTUAL_HOST"];
    TYPES.contains(&text.split(':').next().unwrap_or_default())
}

/// `NAME`, `NAME:PLAIN`, `NAME:TYPED` or `NAME:FIELD:FIELD`.
fn state(text: &str) -> bool {
    let (name, kind) = text.split_once(':').unwrap_or((text, ""));
    !name.is_empty() && (["", "PLAIN", "TYPED"].contains(&kind) || kind.strip_prefix("FIELD:").is_some_and(|field| !field.is_empty()))
}

/// With the query or not, of which header.
fn path(text: &str) -> bool {
    let (query, header) = text.split_once(':').unwrap_or((text, ""));
    ["", "WQ", "NQ"].contains(&query) && ["", "ORIG", "PATH", "ORIG_OR_PATH"].contains(&header)
}

/// `START:END:UNIT`.
fn span(text: &str) -> bool {
    let (mut points, mut count) = (text.split(':'), 0);
    let unit = points.by_ref().inspect(|_| count += 1).nth(2).unwrap_or("ms");
    count > 1 && points.next().is_none() && ["ms", "us", "ns"].contains(&unit)
}

/// A format of `strftime`'s, in which `%n` would break the line.
fn time(text: &str) -> bool {
    let is_flag = |c: char| c.is_ascii_digit() || "-_^#EO".contains(c);
    !text.split('%').skip(1).any(|part| part.trim_start_matches(is_flag).starts_with('n'))
}

/// An attribute such as `request.headers['x-a']`. Other expressions are Envoy's to read, and a wrong one would cost all routes.
fn attribute(text: &str) -> bool {
    const ROOTS: [&str; 9] = ["connection", "destination", "filter_state", "metadata", "request", "response", "source", "upstream", "xds"];
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let (path, key) = text.split_once("['").unwrap_or((text, "']"));
    let is_key = key.strip_suffix("']").is_some_and(|key| !key.contains(['\'', '\\']));
    is_key
        && path.split('.').all(|word| is_word(word) && !["false", "in", "null", "true"].contains(&word))
        && path.split('.').next().is_some_and(|root| ROOTS.contains(&root))
}

#[cfg(test)]
mod tests {
    use super::fault;

    /// Envoy 1.40 takes all of these.
    const TAKEN: &str = r#"plain 100%% %START_TIME% %START_TIME(%s)% %START_TIME(%Y-%m-%dT%H:%M:%3f)% a%REQ(x-a?x-b):10%b %REQ(:path)% %REQ(a?)% %REQ(?b)%
        %REQ(X_Y)% %REQ(a):0% %%REQ(a)%% %%%PROTOCOL% a%PROTOCOL%b%PROTOCOL%%% %PROTOCOL()% %DOWNSTREAM_REMOTE_ADDRESS% %UNIQUE_ID% %EMIT_TIME% %PATH%
        %PATH(WQ)% %PATH(NQ:ORIG_OR_PATH):5% %PATH(:ORIG)% %PATH:5% %QUERY_PARAM(x)% %QUERY_PARAMS(ORIG)% %QUERY_PARAMS:5%
        %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(A:B)% %ROUNDTRIP_DURATION% %RESPONSE_FLAGS_LONG% %REQUEST_HEADERS_BYTES%
        %ACCESS_LOG_TYPE% %CEL(request.headers['x'])% %CEL(xds.cluster_name):7% %PER_REQUEST_STATE(x)% %DYNAMIC_METADATA(a:b):10% %UPSTREAM_METADATA(a:b)%
        %METADATA(ROUTE:x):5% %FILTER_STATE(x)% %FILTER_STATE(x:PLAIN):5% %UPSTREAM_FILTER_STATE(x:FIELD:a:b)% %GRPC_STATUS% %GRPC_STATUS(NUMBER)%
        %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(MASK_PREFIX_LEN=16)% %ENVIRONMENT(X)% %RESPONSE_CODE_DETAILS(x)%"#;
    /// Envoy 1.40 takes none of these.
    const REFUSED: &str = r#"100% %NOPE% %START_TIME % %%% %2A% %_% %PROTOCOL%% %req(a)% %REQ% %REQ()% %REQ(a?b?c)% %REQ(a/b)% %REQ(:)% %REQ(a:b)% %REQ(é)%
        %REQ(a) %REQ(a% %REQ(a)b% %REQ(a):x% %REQ(a):% %REQ(a):+5% %REQ(a):99999999999999999999999% %REQ(a)):5%
        %DOWNSTREAM_FOO% %UPSTREAM_NOPE% %DOWNSTREAM_TLS_SAN% %DOWNSTREAM_METADATA% %UPSTREAM_METADATA% %UPSTREAM_METADATA(a):5% %UPSTREAM_FILTER_STATE%
        %PROTOCOL(x)% %HOSTNAME(x)% %RESPONSE_DURATION(x)% %UPSTREAM_REMOTE_ADDRESS(x)% %DOWNSTREAM_PEER_SUBJECT(a)% %START_TIME:10% %START_TIME(%n)%
        %START_TIME(%-n)% %EMIT_TIME(%En)% %ENVIRONMENT()% %DYNAMIC_METADATA()% %METADATA(NOPE:x)% %METADATA% %FILTER_STATE(x:NOPE)% %FILTER_STATE(x:FIELD)%
        %FILTER_STATE(x:PLAIN:y)% %FILTER_STATE(:PLAIN)% %PER_REQUEST_STATE(x:y)% %GRPC_STATUS(NOPE)% %GRPC_STATUS_NUMBER(x)% %PATH(x)% %PATH(WQ:x)%
        %QUERY_PARAMS(x)% %COMMON_DURATION% %COMMON_DURATION(x)% %COMMON_DURATION(A:B:s)% %COMMON_DURATION(A:B:ms:d)% %COMMON_DURATION(A:B):5% %CEL(((% %CEL()% %CEL(request.in)%"#;

    #[test]
    fn takes_texts_and_envoys_commands() {
        let found: Vec<_> = TAKEN.split_whitespace().chain(["", "%QUERY_PARAM(a b)%"]).filter_map(fault).collect();
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn refuses_what_envoy_refuses() {
        let passed: Vec<_> =
            REFUSED.split_whitespace().chain(["% %", "%REQ(a b)%", "%CEL(x y)%"]).filter(|text| fault(text).is_none()).collect();
        assert_eq!(passed, Vec::<&str>::new());
    }
}
