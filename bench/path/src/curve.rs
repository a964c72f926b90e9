//! What a handshake costs at least: its operations on the curve, done by the library itself with ready keys.
//!
//! spec: trust 5.3. Each side makes an ephemeral key and agrees three times (`ee`, `es`, `se`); each verifies two
//! signatures of the other, that of its change history and that of its purpose key.

use std::hint::black_box;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

use crate::scenario::Repeat;

const SIDES: usize = 2;
const AGREEMENTS: usize = 3;
const SIGNATURES: usize = 2;

/// The operations of both sides.
pub(crate) fn of_one_handshake(_: usize) -> Repeat {
    let own = PrivateKey::generate(&X25519).unwrap();
    let peer = PrivateKey::generate(&X25519).unwrap();
    let peer = UnparsedPublicKey::new(&X25519, peer.compute_public_key().unwrap());
    let signer = Ed25519KeyPair::generate().unwrap();
    let message = [7; 32];
    let signature = signer.sign(&message);
    let public = ParsedPublicKey::new(&ED25519, signer.public_key().as_ref()).unwrap();
    Box::new(move |rounds| {
        for _ in 0..rounds * SIDES {
            black_box(PrivateKey::generate(&X25519).unwrap());
            for _ in 0..AGREEMENTS {
                agree(&own, &peer, (), |shared| {
                    black_box(shared);
                    Ok(())
                })
                .unwrap();
            }
            for _ in 0..SIGNATURES {
                public.verify_sig(&message, signature.as_ref()).unwrap();
            }
        }
    })
}
