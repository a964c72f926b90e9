//! One conformance suite, run over every provider.
