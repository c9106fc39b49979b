//! Whether a service's zones are looked at closely: each request, with some sent elsewhere to compare.
//!
//! It costs reads of every request and a little traffic across zones. So it begins with a reason, and ends when it leads to nothing.

/// How long slowness is looked into.
const SLOW_MS: u64 = 10_000;
/// After so many answers of the own zone, or so long, all requests may go elsewhere, and before a part of them.
const ALL_AFTER_ANSWERS: f32 = 64.0;
const ALL_AFTER_MS: f32 = 8_000.0;
/// It goes on while other zones have got at least this part of the requests over about so long.
const WORTH: f32 = 0.05;
const WORTH_MS: f32 = 5_000.0;
/// After it led to nothing a lasting rise is no reason for so long at first, and at most, doubled each time.
const CONTENT_MS: u64 = 30_000;
const MOST_CONTENT_MS: u64 = 480_000;

/// Whether a service's zones are looked at closely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Watch {
    since: u64,
    /// Answers of the own zone since then.
    answers: f32,
    until: u64,
    content_until: u64,
    content_for: u64,
    /// What part of the requests goes to other zones, on average, and as of when.
    elsewhere: f32,
    at: u64,
}

impl Watch {
    pub const OFF: Self = Self { since: 0, answers: 0.0, until: 0, content_until: 0, content_for: CONTENT_MS, elsewhere: 0.0, at: 0 };

    pub fn until(&self) -> u64 {
        self.until
    }

    pub fn is_on(&self) -> bool {
        self.until > 0
    }

    /// The own zone is slow: suddenly, or, which may be usual, for some time.
    pub fn slow(&mut self, suddenly: bool, now: u64) {
        if suddenly || now >= self.content_until {
            if !self.is_on() {
                (self.since, self.answers) = (now, 0.0);
            }
            self.until = self.until.max(now + SLOW_MS);
        }
    }

    /// The own zone has answered.
    pub fn answered(&mut self) {
        self.answers += 1.0;
    }

    /// What part of the requests may go elsewhere: more the more is known of the own zone since some did, else too many go at once.
    pub fn most(&self, now: u64) -> f32 {
        (self.answers / ALL_AFTER_ANSWERS).max(now.saturating_sub(self.since) as f32 / ALL_AFTER_MS)
    }

    /// The case for another zone is open.
    pub fn goes_on(&mut self, now: u64) {
        self.until = self.until.max(now + SLOW_MS);
    }

    /// This part of the requests is to go to another zone.
    pub fn sends(&mut self, part: f32, now: u64) {
        let since = now.saturating_sub(self.at) as f32;
        self.at = now;
        self.elsewhere += (part - self.elsewhere) * since / (since + WORTH_MS);
        if self.elsewhere > WORTH {
            self.content_for = CONTENT_MS;
            self.goes_on(now);
        }
    }

    /// Ends it when it is time. Whether it does.
    pub fn ends(&mut self, now: u64) -> bool {
        let ends = self.is_on() && now >= self.until;
        if ends {
            let content_for = (self.content_for * 2).min(MOST_CONTENT_MS);
            *self = Self { content_until: now + self.content_for, content_for, ..Self::OFF };
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_when_nothing_goes_elsewhere_and_does_not_come_back_soon_for_the_same_reason() {
        let mut watch = Watch::OFF;
        watch.slow(false, 1_000);
        for now in 1_000..11_000 {
            assert!(watch.is_on() && !watch.ends(now));
            watch.sends(0.01, now);
        }
        assert!(watch.ends(11_000) && !watch.is_on());
        watch.slow(false, 40_999);
        assert!(!watch.is_on());
        watch.slow(true, 40_999);
        assert!(watch.is_on(), "what is sudden is another reason");
        watch = Watch { until: 0, ..watch };
        watch.slow(false, 41_000);
        assert!(watch.is_on());
    }

    #[test]
    fn not_all_may_go_elsewhere_at_once() {
        let mut watch = Watch::OFF;
        watch.slow(true, 1_000);
        assert_eq!(watch.most(1_000), 0.0);
        (0..32).for_each(|_| watch.answered());
        watch.slow(true, 2_000);
        assert_eq!((watch.most(2_000), watch.most(9_000)), (0.5, 1.0), "a zone that does not answer is left too");
        (0..32).for_each(|_| watch.answered());
        assert_eq!(watch.most(2_000), 1.0);
        assert!(watch.ends(60_000));
        watch.slow(true, 60_000);
        assert_eq!(watch.most(60_000), 0.0, "anew each time");
    }

    #[test]
    fn goes_on_while_requests_go_elsewhere() {
        let mut watch = Watch::OFF;
        watch.slow(true, 0);
        for now in 0..60_000 {
            watch.sends(0.2, now);
        }
        assert!(!watch.ends(60_000));
        let over = (60_000..200_000).find(|now| {
            watch.sends(0.0, *now);
            watch.ends(*now)
        });
        assert!(over.is_some_and(|over| (75_000..85_000).contains(&over)), "{over:?}");
    }
}
