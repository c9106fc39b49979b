//! Where passports are made, checked and taken away.

use super::config;
use super::decide::{Carried, Seen, Verdict};
use super::group::Tester;
use super::passport::{Key, Passport, Subset, TEXT};
use super::request::{Input, Request};
use super::user::{By, User, Users, digest};
use crate::{Error, baggage, check};

/// What a proxy does with passports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Border {
    /// Whether what comes is of the outside: it makes passports then, and believes none.
    edge: bool,
    users: Users,
    overrides: Box<[Tester]>,
    secrets: Box<[Key]>,
}

impl Border {
    pub fn compile(passport: &config::Passport) -> Result<Self, Error> {
        let overrides = check::each(&passport.overrides, |entry| {
            let tester = Tester::compile(entry)?;
            let fits = Subset::new(tester.subset.as_bytes()).is_some();
            if fits { Ok(tester) } else { Err(Error::new("subset", "expected at most 63 characters")) }
        });
        let secrets = check::each(&passport.secrets, |text| Key::parse(text));
        Ok(Self {
            edge: passport.edge,
            users: Users::compile(&passport.key)?,
            overrides: overrides.map_err(|error| error.inside("override"))?,
            secrets: secrets.map_err(|error| error.inside("secrets"))?,
        })
    }

    /// Checks the passport of a request, or makes it one.
    pub fn pass<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        random: impl FnMut() -> Option<u128>,
        verdict: &mut Verdict<'p>,
    ) -> Carried<'p> {
        if self.edge { self.mint(request, random, verdict) } else { self.check(request, verdict) }
    }

    fn check<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        verdict: &mut Verdict<'p>,
    ) -> Carried<'p> {
        let open = |text: &[u8]| self.secrets.iter().find_map(|secret| secret.open(text));
        let Some(first) = request.baggage() else { return Carried::default() };
        let mut passport = baggage::find(first.as_ref()).and_then(open);
        if passport.is_none() {
            let all = request.all_baggage();
            let all = all.as_ref().map(AsRef::as_ref).unwrap_or_default();
            let Some(text) = baggage::find(all) else { return Carried::default() };
            passport = open(text);
            if passport.is_none() {
                verdict.baggage = Some(baggage::with(all, None));
            }
        }
        verdict.passport = Some(if passport.is_some() { Seen::Valid } else { Seen::False });
        let user = |passport: Passport| User { digest: passport.user, by: By::Passport, since: None };
        Carried { user: passport.map(user), subset: passport.and_then(|passport| passport.subset) }
    }

    fn mint<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        random: impl FnMut() -> Option<u128>,
        verdict: &mut Verdict<'p>,
    ) -> Carried<'p> {
        let baggage = request.baggage().and_then(|_| request.all_baggage());
        let baggage = baggage.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let carried = self.carry(request, random, &mut verdict.cookie);
        let mut buffer = [0; TEXT];
        let made = carried.user.zip(self.secrets.first()).map(|(user, secret)| {
            let passport = Passport { user: user.digest, subset: carried.subset };
            secret.seal(&passport, &mut buffer)
        });
        verdict.passport = made.and(Some(Seen::Made));
        if made.or(baggage::find(baggage)).is_some() {
            verdict.baggage = Some(baggage::with(baggage, made));
        }
        carried
    }

    /// What is to be carried for a request from outside.
    fn carry<'p, V: AsRef<[u8]>, R: FnMut(Input<'_>) -> Option<V>>(
        &'p self,
        request: &mut Request<'p, V, R>,
        mut random: impl FnMut() -> Option<u128>,
        cookie: &mut Option<String>,
    ) -> Carried<'p> {
        // Without a secret no later hop would know what was carried: each finds the user by its own key then, and so does this one.
        if self.secrets.is_empty() {
            return Carried::default();
        }
        let tester = self.overrides.iter().find(|tester| tester.condition.holds(request));
        let drawn = |random: u128| User { digest: digest(&random.to_le_bytes()), by: By::Drawn, since: None };
        let user = self.users.find(request, &mut random, cookie).or_else(|| random().map(drawn));
        Carried { user, subset: tester.and_then(|tester| Subset::new(tester.subset.as_bytes())) }
    }
}
