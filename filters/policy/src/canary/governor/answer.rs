//! Reads from what Envoy knows of an ended request whether it failed.

use super::{Answer, Subset};

/// What Envoy knows of a request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The status code; 0 if there was none.
    pub status: u64,
    /// The response flags (`StreamInfo::CoreResponseFlag`, a bit each).
    pub flags: u64,
    /// The status of gRPC, if it was a request of that.
    pub grpc: Option<u64>,
    /// From the request's going on to its answer's end, in nanoseconds, if there was an answer.
    pub nanos: Option<u64>,
}

const fn bits(flags: &[u32]) -> u64 {
    let mut bits = 0;
    let mut rest = flags;
    while let [flag, others @ ..] = rest {
        bits |= 1 << *flag;
        rest = others;
    }
    bits
}

/// LocalReset, UpstreamRemoteReset, UpstreamConnectionTermination: an answer that broke off.
const BROKEN_OFF: u64 = bits(&[3, 4, 6]);
/// The client left (DownstreamConnectionTermination), or a fault was injected: nobody's failure. RateLimited, UnauthorizedExternalService
/// and RateLimitServiceError: the request never got there.
const NOBODYS: u64 = bits(&[9, 10, 11, 12, 13, 14]);

impl Ended {
    /// What it says of who answered, to a user of this bucket; nothing if it says nothing.
    ///
    /// Failed are statuses of 500 and more, answers that broke off, and of gRPC those statuses that Envoy's outlier detection takes for
    /// failures of the server: Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable and DataLoss.
    pub fn answer(&self, subset: Subset, bucket: Option<u16>) -> Option<Answer> {
        if self.flags & NOBODYS != 0 || self.status == 0 {
            return None;
        }
        let failed = self.status >= 500 || self.flags & BROKEN_OFF != 0 || matches!(self.grpc, Some(2 | 4 | 12..=15));
        let micros = self.nanos.map(|nanos| u32::try_from(nanos / 1_000).unwrap_or(u32::MAX));
        let micros = if failed { None } else { Some(micros?) };
        Some(Answer { subset, bucket, micros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_failures_from_successes_and_from_what_is_nobodys() {
        let cases = [
            ((200, 0, None), Some(Some(7))),
            ((404, 0, None), Some(Some(7))),
            ((500, 0, None), Some(None)),
            ((503, 1 << 1, None), Some(None)),
            ((504, 1 << 2, None), Some(None)),
            ((200, 1 << 4, None), Some(None)),
            ((200, 1 << 6, None), Some(None)),
            ((200, 1 << 14, None), None),
            ((0, 1 << 14, None), None),
            ((0, 0, None), None),
            ((503, 1 << 10, None), None),
            ((429, 1 << 11, None), None),
            ((200, 0, Some(0)), Some(Some(7))),
            ((200, 0, Some(5)), Some(Some(7))),
            ((200, 0, Some(14)), Some(None)),
            ((200, 0, Some(2)), Some(None)),
        ];
        for ((status, flags, grpc), expected) in cases {
            let ended = Ended { status, flags, grpc, nanos: Some(7_999) };
            let answer = ended.answer(Subset::Canary, Some(3));
            assert_eq!(answer.map(|answer| answer.micros), expected, "{ended:?}");
        }
        let slow = Ended { status: 200, flags: 0, grpc: None, nanos: Some(u64::MAX) };
        assert_eq!(slow.answer(Subset::Stable, None).unwrap().micros, Some(u32::MAX));
        assert_eq!(Ended { nanos: None, ..slow }.answer(Subset::Stable, None), None);
    }
}
