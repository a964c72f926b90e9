//! Checks on encodings that no provider may leave out, so they are written once for all.

/// Whether this encoding of an Edwards point is refused as a key or as the `R` of a signature.
///
/// Refused are encodings whose `y` is not reduced and every encoding of the eight points of small order, with either sign bit:
/// under such a key anyone can sign. `spec: trust 11.2 (2)`
pub(crate) fn is_refused_ed25519_point(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    y[31] &= 0x7f;
    is_unreduced(&y) || SMALL_ORDER_Y.contains(&y)
}

/// Whether an Ed25519 signature's `R`, its first half, is refused.
pub(crate) fn has_refused_r(signature: &[u8; 64]) -> bool {
    signature.first_chunk().is_none_or(is_refused_ed25519_point)
}

/// Whether these bytes are a P-256 scalar that may be a secret: at least 1 and below the group order.
pub(crate) fn is_p256_scalar(bytes: &[u8; 32]) -> bool {
    // The comparison must not tell by its duration where secret and order first differ.
    let (_, borrow) = subtract(bytes, &P256_ORDER);
    let any = bytes.iter().fold(0, |any, byte| any | byte);
    borrow == 1 && any != 0
}

/// Gives a P-256 signature `r ‖ s` the lower of the two possible `s`.
///
/// `spec: trust 11.1 (6)`
pub(crate) fn with_low_s(mut signature: [u8; 64]) -> [u8; 64] {
    let (_, s) = signature.split_at_mut(32);
    let mut high = [0; 32];
    high.copy_from_slice(s);
    let (low, _) = subtract(&P256_ORDER, &high);
    // s is low exactly if it is not above n - s; n is odd, so they are never equal.
    let (_, s_is_below) = subtract(&high, &low);
    if s_is_below == 0 {
        s.copy_from_slice(&low);
    }
    signature
}

/// Big-endian `a - b` modulo 2^256, and 1 if it borrowed.
fn subtract(a: &[u8; 32], b: &[u8; 32]) -> ([u8; 32], u8) {
    let mut difference = [0; 32];
    let mut borrow = 0_u16;
    for ((out, a), b) in difference.iter_mut().zip(a).zip(b).rev() {
        let wide = 0x100 + u16::from(*a) - u16::from(*b) - borrow;
        *out = wide.to_le_bytes()[0];
        borrow = 1 - (wide >> 8);
    }
    (difference, borrow.to_le_bytes()[0])
}

/// Whether a little-endian 255-bit `y` is at least the field prime 2^255 - 19.
fn is_unreduced(y: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = y;
    *last == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed
}

/// The order of P-256.
pub(crate) const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The reduced `y` of the eight points of small order: orders 4, 1, 2 and 8.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_order_and_unreduced_points_are_refused_with_either_sign() {
        let mut refused = SMALL_ORDER_Y.to_vec();
        for low in 0xed..=0xff {
            let mut unreduced = [0xff; 32];
            unreduced[0] = low;
            unreduced[31] = 0x7f;
            refused.push(unreduced);
        }
        for mut point in refused {
            assert!(is_refused_ed25519_point(&point));
            point[31] |= 0x80;
            assert!(is_refused_ed25519_point(&point));
        }
    }

    #[test]
    fn the_base_point_is_not_refused() {
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(!is_refused_ed25519_point(&base));
    }

    #[cfg(feature = "portable")]
    #[test]
    fn the_list_of_small_order_points_is_the_libraries() {
        for point in SMALL_ORDER_Y {
            let key = ed25519_dalek::VerifyingKey::from_bytes(&point).unwrap();
            assert!(key.is_weak());
        }
    }

    #[test]
    fn low_s_stays_and_high_s_is_mirrored() {
        let mut low = [0; 64];
        low[63] = 5;
        assert_eq!(with_low_s(low), low);

        let mut high = [0; 64];
        high[32..].copy_from_slice(&P256_ORDER);
        high[63] -= 5;
        assert_eq!(with_low_s(high), low);
    }

    #[test]
    fn half_of_the_order_divides_low_from_high() {
        // (n - 1) / 2, the highest low s.
        let mut half = [0_u8; 32];
        let mut carry = 0;
        for (out, byte) in half.iter_mut().zip(P256_ORDER) {
            *out = (byte >> 1) | carry;
            carry = byte << 7;
        }
        let mut signature = [0; 64];
        signature[32..].copy_from_slice(&half);
        assert_eq!(with_low_s(signature), signature);

        let mut above = signature;
        above[63] += 1;
        assert_eq!(with_low_s(above), signature);
    }
}
