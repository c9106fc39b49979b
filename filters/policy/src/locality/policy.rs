//! Compiles a locality configuration into what a decision reads.

use super::config::{self, Config, Service};
use super::latency::log2;
use super::observed::Choice;
use crate::error::quoted;
use crate::{Error, host, json};
use std::ops::Range;

/// A validated locality policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// This proxy's own zone, `REGION/ZONE`, if it is known.
    pub(super) own: Option<Box<str>>,
    /// What a gigabyte from zone to zone costs, in millionths of the currency.
    pub price: Option<u64>,
    routed: bool,
    hosts: host::Index,
    services: Box<[Compiled]>,
}

/// One service, ready to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// Its place in the policy.
    pub place: usize,
    /// What the workers of an Envoy call it among themselves: its first host.
    pub name: Box<str>,
    /// The other zones, `REGION/ZONE`, the preferred ones first; none if this proxy's own zone is not known.
    pub zones: Box<[Box<str>]>,
    /// Where each tier of them ends.
    tiers: Box<[usize]>,
    /// When requests leave the own zone though it does not fail, if they do.
    pub(super) spill: Option<Spill>,
}

/// How much longer the own zone takes than another, in octaves, when the first requests leave it and when nearly all do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spill {
    pub from: f32,
    pub to: f32,
}

impl Policy {
    /// Parses and validates the filter's JSON.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::try_from(&json::read::<Config>(json)?)
    }

    /// Reads what a user wrote, without compiling it: for the control plane. It is refused for more than what a filter could not run.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn read(json: &[u8]) -> Result<Config, Error> {
        let config: Config = json::read(json)?;
        host::at_most(config.services.iter().map(|service| service.hosts.as_slice())).map_err(|error| error.inside("services"))?;
        Self::try_from(&config)?;
        written(&config)?;
        Ok(config)
    }

    /// The service of every request that the filter meets, if the routes see to that it is always the same.
    pub fn only(&self) -> Option<&Compiled> {
        self.services.first().filter(|_| self.routed && self.services.len() == 1)
    }

    /// The service of a host, if the policy has it.
    pub fn for_host(&self, host: &[u8]) -> Option<&Compiled> {
        self.services.get(self.hosts.find(host)?)
    }

    /// This proxy's own zone, `REGION/ZONE`, if it is known.
    pub fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// All services.
    pub fn services(&self) -> &[Compiled] {
        &self.services
    }

    /// The service at this place.
    pub fn service(&self, place: usize) -> Option<&Compiled> {
        self.services.get(place)
    }
}

impl Compiled {
    /// The places of each tier's zones.
    pub(super) fn tiers(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.tiers.iter().copied());
        starts.zip(&self.tiers).map(|(start, end)| start..*end)
    }

    /// The zone that a choice names, for [`crate::ZONE_HEADER`].
    pub fn named(&self, choice: Choice) -> Option<&str> {
        self.zones.get(usize::from(choice.place()?)).map(AsRef::as_ref)
    }
}

impl TryFrom<&Config> for Policy {
    type Error = Error;

    fn try_from(config: &Config) -> Result<Self, Error> {
        json::version(config.version)?;
        let own = config.locality.as_ref().map(|own| format!("{}/{}", own.region, own.zone).into_boxed_str());
        if let Some(own) = &own {
            zone(own).map_err(|expected| Error::new("locality", expected))?;
        }
        let hosts = host::Index::new("services", config.services.iter().map(|service| service.hosts.as_slice()))?;
        let services = config.services.iter().enumerate();
        let services = services.map(|(place, service)| compile(place, service, own.as_deref())).collect::<Result<_, _>>()?;
        let price = config.price.as_ref().map(|price| price.per_gb.millionths());
        Ok(Self { own, price, routed: config.routed, hosts, services })
    }
}

/// Refuses what a user may not write, though the filter could run it.
fn written(config: &Config) -> Result<(), Error> {
    json::not_filled_in("routed", config.routed)?;
    json::not_filled_in("locality", config.locality.is_some())?;
    for (place, service) in config.services.iter().enumerate() {
        json::not_filled_in("zones", !service.zones.is_empty()).map_err(|error| error.inside(&format!("services[{place}]")))?;
    }
    Ok(())
}

fn compile(place: usize, service: &Service, own: Option<&str>) -> Result<Compiled, Error> {
    let mut zones: Vec<Box<str>> = Vec::new();
    let mut tiers = Vec::new();
    for (tier, names) in service.zones.iter().enumerate() {
        for (entry, name) in names.iter().enumerate() {
            let error = |expected| Error::new(format!("services[{place}].zones[{tier}][{entry}]"), expected);
            zone(name).map_err(error)?;
            if own == Some(name) {
                return Err(error(format!("expected a zone other than this proxy's own, found {}", quoted(name))));
            }
            if zones.iter().any(|earlier| **earlier == **name) {
                return Err(error(format!("expected each zone once, found {} again", quoted(name))));
            }
            zones.push(name.as_str().into());
        }
        tiers.push(zones.len());
    }
    if own.is_none() {
        zones.clear();
        tiers.clear();
    }
    let spill = service.spill.as_ref().map(Spill::compile).transpose();
    let spill = spill.map_err(|error| error.inside(&format!("services[{place}].spill")))?;
    let name = service.hosts.first().map_or("", String::as_str).into();
    Ok(Compiled { place, name, zones: zones.into(), tiers: tiers.into(), spill })
}

impl Spill {
    /// The endpoints of a zone that is used to the part `u` take `1 / (1 - u)` times as long as they work (M/M/1), so the target sets what
    /// is long. The two factors are those with which the simulator's scenarios come out best.
    fn compile(spill: &config::Spill) -> Result<Self, Error> {
        let target = spill.target_utilization.millionths();
        if !(500_000..=950_000).contains(&target) {
            return Err(Error::new("targetUtilization", format!("expected a number from 0.5 to 0.95, found {}", spill.target_utilization)));
        }
        let octaves = -log2((1_000_000 - target) as f32 / 1e6);
        Ok(Self { from: 0.10 * octaves, to: 0.36 * octaves })
    }
}

/// A zone with its region. Regions may be empty, and a zone is a label's value, so it holds no slash.
fn zone(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name.split_once('/') {
        Some((region, zone)) if region.bytes().all(allowed) && !zone.is_empty() && zone.bytes().all(allowed) => Ok(()),
        _ => Err(format!("expected REGION/ZONE in letters, digits and -_., found {}", quoted(name))),
    }
}
