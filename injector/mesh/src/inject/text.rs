//! The small notations of annotations and values: ports, address ranges, quantities, levels.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What of a kind is meant: all, or those listed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String", bound = "T: FromStr")]
pub enum Listed<T> {
    /// `*`
    All,
    /// The listed ones; maybe none.
    Only(Vec<T>),
}

/// Ports of a pod or of what it calls.
pub type Ports = Listed<Port>;
/// Addresses that a pod calls.
pub type Ranges = Listed<Range>;

/// A port that can be listened on: not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port(pub u16);

/// A range of addresses in the notation of CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    address: IpAddr,
    prefix: u8,
}

/// An amount of a resource in Kubernetes' notation: `100m`, `2`, `0.5`, `128Mi`, `1e3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quantity(String);

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much Envoy logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Every detail.
    Trace,
    /// What a developer needs.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
    /// What ends the process.
    Critical,
    /// Nothing.
    Off,
}

/// How much single components of Envoy log: `upstream:debug,http:trace`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ComponentLogLevel(pub String);

/// A text that is not of its notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl<T> Listed<T> {
    /// No one.
    pub const NONE: Listed<T> = Listed::Only(Vec::new());

    /// Whether no one is meant.
    pub fn is_none(&self) -> bool {
        matches!(self, Listed::Only(listed) if listed.is_empty())
    }
}

impl<T: PartialEq> Listed<T> {
    /// Whether this one is meant.
    pub fn contains(&self, one: &T) -> bool {
        match self {
            Listed::All => true,
            Listed::Only(listed) => listed.contains(one),
        }
    }
}

impl<T: FromStr> FromStr for Listed<T> {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text.trim() {
            "*" => Ok(Listed::All),
            "" => Ok(Listed::NONE),
            text => text.split(',').map(|part| part.trim().parse().map_err(|_| Unreadable)).collect::<Result<_, _>>().map(Listed::Only),
        }
    }
}

impl<T: FromStr> TryFrom<String> for Listed<T> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|Unreadable| format!("{text:?} is neither \"*\" nor a list with commas"))
    }
}

impl<T: fmt::Display> fmt::Display for Listed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listed::All => f.write_str("*"),
            Listed::Only(listed) => f.write_str(&listed.iter().map(T::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl FromStr for Port {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|port| digits && *port != 0).map(Port).ok_or(Unreadable)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Range {
    /// The range of all addresses whose first `prefix` bits are those of `address`; none for a prefix longer than an address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Range> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Range { address, prefix })
    }

    /// An address of it.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits of the address count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl FromStr for Range {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (address, prefix) = text.split_once('/').ok_or(Unreadable)?;
        let prefix = prefix.parse().map_err(|_| Unreadable)?;
        Range::new(address.parse().map_err(|_| Unreadable)?, prefix).ok_or(Unreadable)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Quantity {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(end).ok_or(Unreadable)?;
        let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.bytes().filter(|byte| *byte == b'.').count() <= 1;
        let exponent = suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse::<i8>().ok());
        let known = SUFFIXES.contains(&suffix) || exponent.is_some();
        if is_number && known { Ok(Quantity(text.into())) } else { Err(Unreadable) }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(|Unreadable| serde::de::Error::custom(format!("{text:?} is no quantity such as 100m, 2 or 128Mi")))
    }
}

impl FromStr for LogLevel {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Ok(match text {
            "trace" => LogLevel::Trace,
            "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            // Envoy's shorter name too.
            "warning" | "warn" => LogLevel::Warning,
            "error" => LogLevel::Error,
            "critical" => LogLevel::Critical,
            "off" => LogLevel::Off,
            _ => return Err(Unreadable),
        })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
            LogLevel::Off => "off",
        })
    }
}

impl FromStr for ComponentLogLevel {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_pair = |pair: &str| pair.split_once(':').is_some_and(|(name, level)| is_name(name) && level.parse::<LogLevel>().is_ok());
        let readable = text.is_empty() || text.split(',').all(is_pair);
        if readable { Ok(ComponentLogLevel(text.into())) } else { Err(Unreadable) }
    }
}

impl TryFrom<String> for ComponentLogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|Unreadable| format!("{text:?} is no list such as upstream:debug,http:trace"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T: FromStr + fmt::Display>(text: &str) -> Option<String> {
        text.parse::<T>().ok().map(|value| value.to_string())
    }

    #[test]
    fn reads_ports_and_ranges_as_istio_does() {
        for (text, expected) in [("*", Some("*")), ("", Some("")), ("80", Some("80")), (" 80, 443 ", Some("80,443"))] {
            assert_eq!(shown::<Ports>(text).as_deref(), expected, "{text}");
        }
        for text in ["0", "80,", "65536", "-1", "+80", "http", "80-90", "*,80"] {
            assert_eq!(shown::<Ports>(text), None, "{text}");
        }
        for (text, expected) in [("10.0.0.0/8,fd00::/8", Some("10.0.0.0/8,fd00::/8")), ("*", Some("*")), ("1.2.3.4/32", Some("1.2.3.4/32"))]
        {
            assert_eq!(shown::<Ranges>(text).as_deref(), expected, "{text}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "a/8", "10.0.0.0/8 10.1.0.0/16"] {
            assert_eq!(shown::<Ranges>(text), None, "{text}");
        }
    }

    #[test]
    fn reads_kubernetes_quantities() {
        for text in ["100m", "2", "0.5", ".5", "1.", "128Mi", "1Gi", "1e3", "1E-3", "5E"] {
            assert!(text.parse::<Quantity>().is_ok(), "{text}");
        }
        for text in ["", "m", "-1", "1.2.3", "100 m", "1MiB", "lots", "1e", "."] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_envoys_levels() {
        for (text, readable) in
            [("", true), ("misc:error", true), ("a:off,http2:debug", true), ("a", false), ("a:loud", false), (":info", false)]
        {
            assert_eq!(text.parse::<ComponentLogLevel>().is_ok(), readable, "{text}");
        }
        assert_eq!("warn".parse(), Ok(LogLevel::Warning));
        assert!("WARNING".parse::<LogLevel>().is_err());
    }
}
