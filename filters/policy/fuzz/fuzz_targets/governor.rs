//! Governs by any state and any answers: nothing panics, and a state is read back as it was written. Run it with
//! `cargo +nightly fuzz run governor` in `filters/policy`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_policy::canary::governor::{Answer, Counts, EVERYONE, Governor, State, Subset, Tally, Tolerance};

/// Who answered, to which bucket, how fast, and when.
type Answered = (bool, Option<u16>, Option<u32>, u64);

fuzz_target!(|input: (Vec<u8>, Vec<Answered>, [u32; 4])| {
    let (bytes, answers, [a, b, c, d]) = input;
    let governor = Governor::new(0.000_5, Tolerance::DEFAULT);
    let mut state = State::from_bytes(&bytes);
    for (canary, bucket, micros, now) in answers {
        let subset = if canary { Subset::Canary } else { Subset::Stable };
        governor.observe(&mut state, &[Answer { subset, bucket, micros }], now);
        governor.advance(&mut state, now.wrapping_mul(3));
        assert!(state.share() <= EVERYONE);
    }
    let tally = |requests, failures| Tally { requests, failures };
    governor.count(&mut state, &Counts { canary: tally(a, b), stable: tally(c, d) }, u64::from(a));
    assert_eq!(State::from_bytes(&state.to_bytes()), state);
});
