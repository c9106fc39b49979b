//! What a user may not write, though a filter could run it: what says the same twice, contradicts itself, can never hold, or is not the
//! user's to say. For the control plane alone: no module has this.

use super::config::{Caller, Canary, Config, KeySource, Match, Mint, Override, Passport, Rule};
use super::group::{Group, Tester};
use super::source::Source;
use crate::error::quoted;
use crate::{Error, check, host, json};

/// How many rules, overrides or sources a filter looks through for each request.
const MOST_ENTRIES: usize = 1_000;
/// How many values one of them may name.
const MOST_VALUES: usize = 10_000;

/// Refuses what would take long to compile, or to decide by.
pub(super) fn sizes(config: &Config) -> Result<(), Error> {
    host::at_most(config.canaries.iter().map(|canary| canary.hosts.as_slice())).map_err(|error| error.inside("canaries"))?;
    let none = Canary::default();
    for (place, canary) in config.canaries.iter().enumerate() {
        of_lists(&canary.key, &canary.overrides, canary).map_err(|error| error.inside(&format!("canaries[{place}]")))?;
    }
    let passport = config.passport.as_ref().map_or(Ok(()), |passport| of_lists(&passport.key, &passport.overrides, &none));
    passport.map_err(|error| error.inside("passport"))
}

fn of_lists(keys: &[KeySource], overrides: &[Override], canary: &Canary) -> Result<(), Error> {
    check::at_most("key", keys, MOST_ENTRIES)?;
    check::at_most("override", overrides, MOST_ENTRIES)?;
    for (place, entry) in overrides.iter().enumerate() {
        let values = of_values(entry.header.as_ref(), entry.cookie.as_ref(), entry.jwt_claim.as_ref());
        values.map_err(|error| error.inside(&format!("override[{place}]")))?;
    }
    for (field, rules) in [("allow", &canary.allow), ("deny", &canary.deny)] {
        let rules = rules.as_deref().unwrap_or_default();
        check::at_most(field, rules, MOST_ENTRIES)?;
        for (place, rule) in rules.iter().enumerate() {
            let values = of_values(rule.header.as_ref(), rule.cookie.as_ref(), rule.jwt_claim.as_ref());
            values.map_err(|error| error.inside(&format!("{field}[{place}]")))?;
        }
    }
    Ok(())
}

fn of_values(header: Option<&Match>, cookie: Option<&Match>, claim: Option<&Match>) -> Result<(), Error> {
    for (field, wanted) in [("header", header), ("cookie", cookie), ("jwtClaim", claim)] {
        let values = wanted.and_then(|wanted| wanted.one_of.as_deref()).unwrap_or_default();
        check::at_most("oneOf", values, MOST_VALUES).map_err(|error| error.inside(field))?;
    }
    Ok(())
}

pub(super) fn check(config: &Config) -> Result<(), Error> {
    json::not_filled_in("routed", config.routed)?;
    json::not_filled_in("caller", config.caller.is_some())?;
    json::not_filled_in("reportTo", config.report_to.is_some())?;
    if let Some(written) = &config.passport {
        passport(written).map_err(|error| error.inside("passport"))?;
    }
    check::each(&config.canaries, canary).map_err(|error| error.inside("canaries"))?;
    Ok(())
}

fn passport(passport: &Passport) -> Result<(), Error> {
    json::not_filled_in("edge", passport.edge)?;
    json::not_filled_in("secrets", !passport.secrets.is_empty())?;
    keys(&passport.key)?;
    overrides(&passport.overrides)
}

fn canary(canary: &Canary) -> Result<(), Error> {
    if let Some(train) = &canary.train {
        check::name(train).map_err(|error| error.inside("train"))?;
    }
    if let Some(governor) = &canary.governor {
        json::not_filled_in("proxies", governor.proxies.is_some()).map_err(|error| error.inside("governor"))?;
        json::not_filled_in("orders", !governor.orders.is_empty()).map_err(|error| error.inside("governor"))?;
    }
    keys(&canary.key)?;
    overrides(&canary.overrides)?;
    let (allow, deny) = (canary.allow.as_deref().unwrap_or_default(), canary.deny.as_deref().unwrap_or_default());
    let allowed = rules(allow).map_err(|error| error.inside("allow"))?;
    let denied = rules(deny).map_err(|error| error.inside("deny"))?;
    for (place, (source, group)) in allowed.iter().enumerate() {
        let covers = |(denied, other): &(Option<&Caller>, Group)| (denied.is_none() || denied == source) && other.covers(group);
        if let Some(other) = denied.iter().position(covers) {
            let expected = format!("expected some whom no rule denies, found none beside those of deny[{other}]: leave out one of them");
            return Err(Error::new(format!("allow[{place}]"), expected));
        }
    }
    Ok(())
}

fn keys(keys: &[KeySource]) -> Result<(), Error> {
    let mut known = Vec::new();
    for (place, key) in keys.iter().enumerate() {
        let at = |error: Error| error.inside(&format!("key[{place}]"));
        match key {
            KeySource::Header(name) => header(name).map_err(|error| at(error.inside("header")))?,
            KeySource::Mint(mint) => minted(mint).map_err(|error| at(error.inside("mint")))?,
            _ => {}
        }
        let source = Source::of_key(key).map_err(at)?;
        // What is minted is found by its cookie, where that stands too.
        if known.contains(&source) && !matches!(key, KeySource::Mint(_)) {
            return Err(at(Error::new("", format!("expected each source once, found {source} again: leave it out"))));
        }
        known.push(source);
    }
    Ok(())
}

fn minted(mint: &Mint) -> Result<(), Error> {
    let is_prefixed = ["__Host-", "__Secure-"].iter().any(|prefix| mint.name.starts_with(prefix));
    if is_prefixed && !mint.secure {
        return Err(Error::new("secure", "expected true: browsers take no other cookie whose name begins with __Host- or __Secure-"));
    }
    Ok(())
}

fn overrides(overrides: &[Override]) -> Result<(), Error> {
    let mut known: Vec<Tester> = Vec::new();
    for (place, entry) in overrides.iter().enumerate() {
        let at = |error: Error| error.inside(&format!("override[{place}]"));
        matches(entry.header.as_ref(), entry.cookie.as_ref(), entry.jwt_claim.as_ref()).map_err(at)?;
        let tester = Tester::compile(entry).map_err(at)?;
        if let Some((other, value)) =
            known.iter().enumerate().find_map(|(other, known)| Some((other, known.condition.shares(&tester.condition)?)))
        {
            let (source, value) = (&tester.condition.source, value.escape_ascii());
            let expected =
                format!("expected each value of {source} once, found \"{value}\", which override[{other}] has: the first one counts");
            return Err(at(Error::new("", expected)));
        }
        known.push(tester);
    }
    Ok(())
}

/// The groups of rules, each with the callers that it is for.
fn rules(rules: &[Rule]) -> Result<Vec<(Option<&Caller>, Group)>, Error> {
    let mut groups = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let at = |error: Error| error.inside(&format!("[{place}]"));
        matches(rule.header.as_ref(), rule.cookie.as_ref(), rule.jwt_claim.as_ref()).map_err(at)?;
        if let Some(source) = &rule.source {
            for (field, name) in [("namespace", &source.namespace), ("workload", &source.workload)] {
                let name = name.as_deref().map_or(Ok(()), check::object_name);
                name.map_err(|error| at(error.inside(field).inside("source")))?;
            }
        }
        let group = (rule.source.as_ref(), Group::compile(rule, rule.source.as_ref()).map_err(at)?);
        let is_same = |(source, other): &(Option<&Caller>, Group)| *source == group.0 && other.names_the_same(&group.1);
        if let Some(other) = groups.iter().position(is_same) {
            return Err(at(Error::new("", format!("expected each rule once, found that of [{other}] again: leave out one of them"))));
        }
        groups.push(group);
    }
    Ok(groups)
}

fn matches(header: Option<&Match>, cookie: Option<&Match>, claim: Option<&Match>) -> Result<(), Error> {
    if let Some(wanted) = header {
        self::header(&wanted.name).map_err(|error| error.inside("name").inside("header"))?;
    }
    for (field, wanted) in [("header", header), ("cookie", cookie), ("jwtClaim", claim)] {
        if let Some(wanted) = wanted {
            values(wanted, field == "jwtClaim").map_err(|error| error.inside(field))?;
        }
    }
    Ok(())
}

fn header(name: &str) -> Result<(), Error> {
    if name.to_ascii_lowercase().starts_with("x-weir-") {
        return Err(Error::new(
            "",
            format!("expected another header, found {}: proxies remove those that begin with x-weir- from requests", quoted(name)),
        ));
    }
    Ok(())
}

/// Values that a request can have. Those of claims are any texts.
fn values(wanted: &Match, is_any: bool) -> Result<(), Error> {
    let one_of = wanted.one_of.iter().flatten().enumerate().map(|(place, value)| (format!("oneOf[{place}]"), value));
    for (at, value) in wanted.exact.iter().map(|value| ("exact".to_string(), value)).chain(one_of) {
        if value.is_empty() {
            return Err(Error::new(at, "expected a value that is not empty"));
        }
        if !is_any && (value.trim() != value || value.contains(char::is_control)) {
            let expected = format!(
                "expected a value as requests have it, without white space around it and control characters, found {}",
                quoted(value)
            );
            return Err(Error::new(at, expected));
        }
    }
    let mut sorted: Vec<_> = wanted.one_of.iter().flatten().enumerate().map(|(place, value)| (value, place)).collect();
    sorted.sort();
    match sorted
        .windows(2)
        .find_map(|pair| if let [(one, _), (other, place)] = pair { (one == other).then_some((other, place)) } else { None })
    {
        Some((value, place)) => {
            Err(Error::new(format!("oneOf[{place}]"), format!("expected each value once, found {} again", quoted(value))))
        }
        None => Ok(()),
    }
}
