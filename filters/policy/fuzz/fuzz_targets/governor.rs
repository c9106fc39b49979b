//! Governs by any state, any answers and any report: nothing panics, and a state is read back as it was written. Run it with
//! `cargo +nightly fuzz run governor` in `filters/policy`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_policy::canary::governor::{Answer, EVERYONE, Governor, Order, Record, State, Subset, Tolerance};

/// Who answered, to which bucket, how fast, and when.
type Answered = (bool, Option<u16>, Option<u32>, u64);

fuzz_target!(|input: (Vec<u8>, Vec<Answered>, (u16, u32), Vec<u8>)| {
    let (bytes, answers, (share, round), report) = input;
    let governor = Governor::new(0.000_5, Tolerance::DEFAULT);
    let (mut state, mut closed) = (State::from_bytes(&bytes), Vec::new());
    for (canary, bucket, micros, now) in answers {
        let subset = if canary { Subset::Canary } else { Subset::Stable };
        governor.observe(&mut state, &[Answer { subset, bucket, micros }], now, &mut closed);
        governor.advance(&mut state, now.wrapping_mul(3));
        assert!(state.share() <= EVERYONE);
    }
    governor.obey(&mut state, Order { share: share.min(EVERYONE), round, since: 0 }, 0, &mut closed);
    for (_, record) in Record::read_all(&report).unwrap_or_default() {
        if let Record::Block(block) = record {
            governor.take(&mut state, &block, 0);
        }
    }
    let mut sent = Vec::new();
    closed.iter().for_each(|block| Record::Block((*block).into()).append("a", &mut sent));
    let sent = Record::without_repetitions(&sent);
    let read = Record::read_all(&sent);
    assert_eq!(read.map(|records| records.len()), Some(closed.len()));
    assert_eq!(State::from_bytes(&state.to_bytes()), state);
});
