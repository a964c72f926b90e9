//! The nouns: for each one file with its row in the table, its names and records.

pub(crate) mod authority;
pub(crate) mod credential;
pub(crate) mod flow_control;
pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod message;
pub(crate) mod migrate_database;
pub(crate) mod node;
pub(crate) mod node_services;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod project_member;
pub(crate) mod relay;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod secure_channel;
pub(crate) mod secure_channel_listener;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod tcp_connection;
pub(crate) mod tcp_inlet;
pub(crate) mod tcp_listener;
pub(crate) mod tcp_outlet;
pub(crate) mod vault;
pub(crate) mod way;
pub(crate) mod worker;
