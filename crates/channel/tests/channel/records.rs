use std::collections::HashSet;

use ockam_channel::{Established, OpenError, REKEY_INTERVAL, REPLAY_WINDOW};
use proptest::prelude::*;

use crate::vector::{buffer, channel};

#[test]
fn a_nonce_never_repeats_and_a_key_covers_one_interval() {
    let (mut initiator, _) = channel();
    let mut nonces = HashSet::new();
    let mut sealed = HashSet::new();
    for expected in 0..10 * REKEY_INTERVAL {
        let record = initiator.sender.seal(buffer(&[0; 32])).unwrap();
        let (nonce, ciphertext) = record.as_slice().split_at(8);
        assert_eq!(u64::from_be_bytes(nonce.try_into().unwrap()), expected);
        assert!(nonces.insert(nonce.to_vec()));
        assert!(sealed.insert(ciphertext.to_vec()));
    }
}

#[test]
fn guard_11_2_04_the_two_directions_use_different_keys() {
    let (mut initiator, mut responder) = channel();
    let from_initiator = initiator.sender.seal(buffer(b"same")).unwrap();
    let from_responder = responder.sender.seal(buffer(b"same")).unwrap();
    assert_ne!(from_initiator.as_slice(), from_responder.as_slice());
    // A record sent back to its sender is not authentic there.
    let reflected = initiator.receiver.open(from_initiator).unwrap_err();
    assert_eq!(reflected, OpenError::NotAuthentic { nonce: 0 });
}

#[test]
fn records_of_another_channel_are_refused() {
    let (mut initiator, _) = channel();
    let (_, mut other) = crate::attacks::other_channel();
    let record = initiator.sender.seal(buffer(b"text")).unwrap();
    assert_eq!(
        other.receiver.open(record).unwrap_err(),
        OpenError::NotAuthentic { nonce: 0 }
    );
}

#[test]
fn every_flipped_bit_of_a_record_is_refused_and_leaves_its_nonce_usable() {
    let (mut initiator, mut responder) = channel();
    let record = initiator
        .sender
        .seal(buffer(b"a record"))
        .unwrap()
        .as_slice()
        .to_vec();
    for bit in 0..record.len() * 8 {
        let mut damaged = record.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(
            responder.receiver.open(buffer(&damaged)).is_err(),
            "bit {bit}"
        );
    }
    for length in 0..record.len() {
        assert!(
            responder.receiver.open(buffer(&record[..length])).is_err(),
            "length {length}"
        );
    }
    assert_eq!(responder.receiver.open(buffer(&record)).unwrap().0, 0);
}

#[test]
fn guard_11_2_06_forged_records_of_the_next_interval_do_not_move_the_keys() {
    let (mut initiator, mut responder) = channel();
    let records = seal(&mut initiator, 40);
    assert!(responder.receiver.open(buffer(&records[20])).is_ok());
    for _ in 0..1000 {
        let mut forged = records[33].clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(
            responder.receiver.open(buffer(&forged)).unwrap_err(),
            OpenError::NotAuthentic { nonce: 33 }
        );
    }
    assert!(responder.receiver.open(buffer(&records[21])).is_ok());
    assert!(responder.receiver.open(buffer(&records[33])).is_ok());
    assert!(responder.receiver.open(buffer(&records[22])).is_ok());
}

#[test]
fn guard_11_2_07_more_than_32_lost_records_break_the_channel_and_32_do_not() {
    let (mut initiator, mut responder) = channel();
    let records = seal(&mut initiator, 70);
    assert!(responder.receiver.open(buffer(&records[0])).is_ok());
    assert_eq!(
        responder.receiver.open(buffer(&records[33])).unwrap_err(),
        OpenError::OutsideWindow { nonce: 33 }
    );
    assert!(responder.receiver.open(buffer(&records[32])).is_ok());
    assert_eq!(
        responder.receiver.open(buffer(&records[65])).unwrap_err(),
        OpenError::OutsideWindow { nonce: 65 }
    );
}

#[test]
fn the_nonce_of_the_rekey_is_nobodys() {
    let (_, mut responder) = channel();
    let record = buffer(&[0xff; 64]);
    assert_eq!(
        responder.receiver.open(record).unwrap_err(),
        OpenError::OutsideWindow { nonce: u64::MAX }
    );
    let record = buffer(&[0xff; 64]);
    let receiver = responder.receiver.into_single_key().unwrap();
    assert_eq!(
        receiver.open(record).unwrap_err(),
        OpenError::OutsideWindow { nonce: u64::MAX }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order of arrival with any repetition: a record is opened exactly when the window of the specification has it.
    #[test]
    fn a_receiver_agrees_with_the_window_in_any_order(order in proptest::collection::vec(0usize..200, 1..300)) {
        let (mut initiator, mut responder) = channel();
        let records = seal(&mut initiator, 200);
        let mut accepted = HashSet::new();
        let mut highest = 0u64;
        for index in order {
            let nonce = index as u64;
            let expected = nonce.abs_diff(highest) <= REPLAY_WINDOW && !accepted.contains(&nonce);
            let opened = responder.receiver.open(buffer(&records[index]));
            prop_assert_eq!(opened.is_ok(), expected, "nonce {} at {}", nonce, highest);
            if expected {
                accepted.insert(nonce);
                highest = highest.max(nonce);
            }
        }
    }
}

fn seal(established: &mut Established, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| {
            established
                .sender
                .seal(buffer(&[index as u8; 24]))
                .unwrap()
                .as_slice()
                .to_vec()
        })
        .collect()
}
