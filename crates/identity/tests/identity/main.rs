//! Identities and purpose keys: published vectors, guards, hostile input.

mod arbitrary;
mod credentials;
mod forge;
mod histories;
mod hostile;
mod purpose_keys;
mod tickets;
mod vectors;
