//! What other processes change: looked at twice a second, while any project runs.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ockam_identity::{Identifier, UnixTime};
use ockam_store::{Store, StoreError};
use tokio::time::Instant;

use super::started::Started;
use super::{ProjectId, Projects, ProjectsError, now};

/// Up to where changes are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    event: u64,
    withdrawal: u64,
}

impl Seen {
    /// Nothing of before concerns a process in which no project runs yet.
    pub(super) async fn at_latest(store: &Store) -> Result<Self, StoreError> {
        let (event, withdrawal) = store.latest_hosting_changes().await?;
        Ok(Self { event, withdrawal })
    }
}

/// Follows changes as long as the projects are there.
pub(super) async fn follow(projects: Weak<Projects>, mut seen: Seen) {
    let mut told = false;
    let mut tidied: Option<Instant> = None;
    let mut swept = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(projects) = projects.upgrade() else {
            return;
        };
        let looked = projects.look(&mut seen).await;
        if let (Err(error), false) = (&looked, told) {
            let cause = std::error::Error::source(error);
            tracing::warn!(?cause, "changes of projects are not seen: {error}");
        }
        told = looked.is_err();
        if swept.elapsed() >= projects.options.idle.min(SWEEP_EVERY) {
            swept = Instant::now();
            projects.sweep().await;
        }
        if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
            tidied = Some(Instant::now());
            if let Err(error) = projects.tidy().await {
                tracing::warn!("old news of projects are not forgotten: {error}");
            }
        }
    }
}

impl Projects {
    async fn look(&self, seen: &mut Seen) -> Result<(), ProjectsError> {
        if self.running().is_empty() {
            return Ok(());
        }
        loop {
            let events = self
                .store()
                .hosting_events_behind(seen.event, AT_ONCE)
                .await?;
            for event in &events {
                if let Some(running) = self.if_running_as(&event.project) {
                    match &event.dismissed {
                        Some((who, before)) => running.dismiss(who, *before),
                        None => self.end_deleted(&event.project).await,
                    }
                }
                seen.event = event.sequence;
            }
            if events.len() < AT_ONCE {
                break;
            }
        }
        loop {
            let withdrew = self
                .store()
                .authorities_that_withdrew(seen.withdrawal, AT_ONCE)
                .await?;
            let authorities: HashSet<Identifier> =
                withdrew.iter().map(|(_, authority)| *authority).collect();
            for running in self.started_of(&authorities) {
                running.catch_up().await?;
            }
            if let Some((last, _)) = withdrew.last() {
                seen.withdrawal = *last;
            }
            if withdrew.len() < AT_ONCE {
                return Ok(());
            }
        }
    }

    async fn end_deleted(&self, project: &str) {
        let Ok(id) = project.parse::<ProjectId>() else {
            return;
        };
        let _turn = self.turn(&id).await;
        tracing::info!(project = %id, "the project is deleted, it is stopped");
        self.end(&id).await;
    }

    fn started_of(&self, authorities: &HashSet<Identifier>) -> Vec<Arc<Started>> {
        let running = self.running();
        let started = running.values();
        started
            .filter(|started| authorities.contains(&started.identifier))
            .cloned()
            .collect()
    }

    /// Stops what nobody uses.
    async fn sweep(&self) {
        let running: Vec<(ProjectId, Arc<Started>)> = self
            .running()
            .iter()
            .map(|(id, started)| (id.clone(), started.clone()))
            .collect();
        for (id, started) in running {
            if started.is_idle_for(self.options.idle) {
                drop(started);
                self.end_idle(&id).await;
            }
        }
    }

    async fn tidy(&self) -> Result<(), ProjectsError> {
        let before = |seconds: u64| UnixTime(now().0.saturating_sub(seconds));
        let store = self.store();
        store.forget_hosting_events(before(KEEP_EVENTS)).await?;
        store.forget_tickets(before(KEEP_TICKETS)).await?;
        Ok(())
    }
}

/// So that nothing is older than a second, with what looking takes.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// Changes that are read at once.
const AT_ONCE: usize = 256;
/// Seconds after which whatever a dismissed administrator was given has ended, and every process has seen what was deleted.
const KEEP_EVENTS: u64 = 400 * 24 * 60 * 60;
/// Seconds that used and ended tickets are shown.
const KEEP_TICKETS: u64 = 90 * 24 * 60 * 60;
