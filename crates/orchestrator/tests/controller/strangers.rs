//! Whatever comes is answered or passed over.

use ockam_orchestrator::controller::{OPERATIONS, Service};
use ockam_wire::envelope::{MessageId, Request};

use crate::world::World;

#[tokio::test]
async fn mutated_requests_are_answered_or_passed_over() {
    let world = World::new().await;
    let askers = [&world.stranger, &world.administrator, &world.space_admin];
    let mut seed = 1_u64;
    let mut next = || {
        // A sequence that is the same in every run.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for round in 0..600 {
        let operation = OPERATIONS[round % OPERATIONS.len()];
        let body: Vec<u8> = (0..next() % 40).map(|_| next() as u8).collect();
        let mut message =
            Request::new(MessageId(1), operation.method, operation.path).encode(Some(&body));
        for _ in 0..next() % 4 {
            let at = next() % message.len();
            message[at] = next() as u8;
        }
        message.truncate(message.len() - next() % 3);
        let asker = askers[round % askers.len()];
        let service = Service::ALL[next() % Service::ALL.len()];
        for service in [operation.service, service] {
            drop(
                world
                    .empty
                    .controller
                    .answer(service, Some(&asker.caller), &message)
                    .await,
            );
        }
        assert!(
            world
                .empty
                .controller
                .answer(operation.service, None, &message)
                .await
                .is_none_or(|answer| answer.len() < 400)
        );
    }
    assert_eq!(world.empty.store.verify_audit().await.unwrap().broken, None);
}
