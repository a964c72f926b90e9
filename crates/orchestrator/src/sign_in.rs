//! Who somebody is, as an OpenID Connect provider says (spec: trust 9.9).
