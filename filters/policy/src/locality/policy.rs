//! Compiles a locality configuration into what a decision reads.

use super::config::{Config, Service};
use super::observed::Choice;
use crate::{Error, host, json};

/// A validated locality policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// This proxy's own zone, `REGION/ZONE`, if it is known.
    pub(super) own: Option<Box<str>>,
    hosts: host::Index,
    services: Box<[Compiled]>,
}

/// One service, ready to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Its place in the policy.
    pub(super) place: usize,
    /// Whether responses tell who served them.
    pub served_by: bool,
    /// The other zones, `REGION/ZONE`, the preferred one first; none if this proxy's own zone is not known.
    pub zones: Box<[Box<str>]>,
}

impl Policy {
    /// Parses and validates the filter's JSON.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        Self::try_from(&json::read::<Config>(json)?)
    }

    /// Reads the filter's JSON and validates it, without compiling it: for the control plane.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn read(json: &[u8]) -> Result<Config, Error> {
        let config = json::read(json)?;
        Self::try_from(&config).map(|_| config)
    }

    /// The service of a host, if the policy has it.
    pub fn for_host(&self, host: &[u8]) -> Option<&Compiled> {
        self.services.get(self.hosts.find(host)?)
    }

    /// Whether any service's responses tell who served them.
    pub fn tells(&self) -> bool {
        self.services.iter().any(|service| service.served_by)
    }

    /// Whether any service may be sent to another zone.
    pub fn observes(&self) -> bool {
        self.services.iter().any(|service| !service.zones.is_empty())
    }

    pub(super) fn services(&self) -> &[Compiled] {
        &self.services
    }
}

impl Compiled {
    /// The zone that a choice names, for [`crate::ZONE_HEADER`].
    pub fn named(&self, choice: Choice) -> Option<&str> {
        match choice {
            Choice::Near | Choice::Probe => None,
            Choice::Deviate(zone) => self.zones.get(usize::from(zone)).map(AsRef::as_ref),
        }
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
        Ok(Self { own, hosts, services })
    }
}

fn compile(place: usize, service: &Service, own: Option<&str>) -> Result<Compiled, Error> {
    for (entry, name) in service.zones.iter().enumerate() {
        let error = |expected| Error::new(format!("services[{place}].zones[{entry}]"), expected);
        zone(name).map_err(error)?;
        if own == Some(name) {
            return Err(error(format!("expected a zone other than this proxy's own, found {name:?}")));
        }
        if service.zones.iter().take(entry).any(|earlier| earlier == name) {
            return Err(error(format!("expected each zone once, found {name:?} again")));
        }
    }
    let zones = if own.is_some() { service.zones.iter().map(|name| name.as_str().into()).collect() } else { Box::default() };
    Ok(Compiled { place, served_by: service.served_by, zones })
}

/// A zone with its region. Regions may be empty, and a zone is a label's value, so it holds no slash.
fn zone(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name.split_once('/') {
        Some((region, zone)) if region.bytes().all(allowed) && !zone.is_empty() && zone.bytes().all(allowed) => Ok(()),
        _ => Err(format!("expected REGION/ZONE in letters, digits and -_., found {name:?}")),
    }
}
