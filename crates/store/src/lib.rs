//! What outlives a process: the home directory and the database in it.
//!
//! It keeps names, identities and their secrets, the histories of peers, credentials, nodes and what they were asked for. It does not
//! interpret requests, make keys, or know the environment: the path of the home comes from the caller.
//!
//! Entry types: [`Home`] (checked directory, where files are), [`Store`] (one method for each operation, grouped by noun)
//! and, for names alone, [`Glance`].
//! Records are plain structs.
//!
//! ```text
//! $OCKAM_HOME/              0700
//!   ockam.sqlite3           everything below, secrets of the first vault; -wal and -shm beside it
//!   ockam.sqlite3.lock      held while the database is made or migrated
//!   vault-<name>            secrets of one further vault, plain or sealed under a passphrase
//!   nodes/<name>/           logs of a node
//!   commands/<command>/     logs of a command
//!   run/<hash>              control socket of a running node
//! ```
//!
//! **Invariants**
//! - Directories are 0700 and files 0600 from their first byte.
//! - Every write is one transaction. A process killed at any point leaves a state the next one can use.
//! - Any number of processes may work on one home at once.
//! - Of vaults, identities and nodes, exactly one of each is the default while there are any.
//! - A schema newer than this program is refused, an older one is brought up to date in one transaction.
//! - The files of the published program (`database.sqlite3`) are never written; a copy of them is read when asked for.
//!
//! Specification: `docs/protocol/2-trust.md` 1.4 and 2.6, `docs/protocol/3-command.md` 3.5 to 3.7.

mod accounts;
mod address;
mod archive;
mod audit;
mod backup;
mod catalogue;
mod configurations;
mod controllers;
mod credentials;
mod database;
mod database_backup;
mod dues;
mod enrollment_tokens;
mod enrollments;
mod error;
mod file;
mod glance;
mod heard_withdrawals;
mod histories;
mod home;
mod hosted_projects;
mod hosted_relays;
mod hosted_spaces;
mod hosting;
mod identities;
mod invitations;
mod members;
mod name;
mod nodes;
mod orchestrator_processes;
mod passphrase;
mod process;
mod projects;
mod published;
mod purpose_keys;
mod requests;
mod schema;
mod seal;
mod sealing_key;
mod secrets;
mod server;
mod spaces;
mod sql;
mod store;
mod takeover;
mod tickets;
mod vaults;
mod withdrawals;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod upgrades;

pub use accounts::{AccountChange, AccountRecord, Enrollment, SignInRecord};
pub use address::{DatabaseAddress, DatabaseAddressError};
pub use audit::{AuditNote, AuditRecord, AuditVerdict, NewAudit};
pub use backup::{Backup, BackupSeal, MAX_BACKUP_LEN};
pub use configurations::ConfiguredRecord;
pub use controllers::{ControllerEnrollmentRecord, ControllerRecord};
pub use credentials::CredentialRecord;
pub use database_backup::{DatabaseBackup, IfNotEmpty, backup_database, restore_database};
pub use dues::{DueRecord, Dues};
pub use enrollment_tokens::{EnrollmentTokenRecord, TokenRedemption};
pub use enrollments::EnrollmentRecord;
pub use error::StoreError;
pub use glance::Glance;
pub use home::{Home, HomeError};
pub use hosted_projects::{HostedProjectRecord, HostedRoleRecord, ProjectBegun};
pub use hosted_relays::{HostedRelayRecord, NewHostedRelay, RelayClaimed};
pub use hosted_spaces::{AdminChange, HostedSpaceRecord};
pub use hosting::{HostingEvent, HostingRecord};
pub use identities::{Creation, IdentityRecord, NewIdentity};
pub use invitations::{CodeRecord, CodeRedemption, InvitationRecord};
pub use members::{MemberChange, MemberRecord};
pub use name::{IdentityName, NameError, NodeName, ProjectName, SpaceName, VaultName};
pub use nodes::{IfRunning, NodeRecord, NodeStart};
pub use orchestrator_processes::OrchestratorProcess;
pub use process::{ProcessMark, ProcessState};
pub use projects::{NewProject, ProjectRecord};
pub use published::{Published, read_published};
pub use purpose_keys::PurposeKeyRecord;
pub use requests::RequestRecord;
pub use seal::{NewSeal, Passphrase};
pub use sealing_key::{SealingKey, SealingKeyError};
pub use spaces::{NewSpace, SpaceRecord};
pub use store::Store;
pub use takeover::{
    Effect, Fate, IfVaultExists, Taken, TakenIdentity, TakenNode, TakenVault, Takeover,
    TakeoverReport,
};
pub use tickets::{MOST_USES_TOLD, TicketRecord};
pub use vaults::{OpenVault, VaultRecord};
pub use withdrawals::WithdrawalRecord;
