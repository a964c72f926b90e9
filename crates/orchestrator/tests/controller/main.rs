//! The controller as whoever asks it sees it: who may what, what changes, the bytes of a whole enrollment.

mod changes;
mod enrollment;
mod rights;
mod strangers;
mod world;
