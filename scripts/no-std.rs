//! Links every pure crate into a program without the standard library; `scripts/no-std` compiles it.
//!
//! The panic handler below is a language item that `std` has too. If any pure crate, or anything far below one, were to
//! bring `std` in, the compiler would find the item twice and refuse.

#![no_std]

extern crate ockam_channel;
extern crate ockam_identity;
extern crate ockam_policy;
extern crate ockam_vault;
extern crate ockam_wire;

// Shows that the check can fail.
#[cfg(with_std)]
extern crate std;

#[panic_handler]
fn stop(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
