//! Accounts, spaces and projects: who may do what, and the services that are asked (spec: trust 9).
