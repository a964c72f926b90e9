//! The projects that are hosted here: for each a node with relays and an authority, started when somebody comes.
