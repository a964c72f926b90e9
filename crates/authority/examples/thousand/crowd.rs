//! All members, and what is measured with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ockam_authority::client::{AuthorityClient, WithdrawalOptions, Withdrawals};
use ockam_authority::message::CreateToken;
use ockam_identity::{EnrollmentTicket, OneTimeCode, VerifiedCredential};
use ockam_node::Node;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::member::{Member, Newcomer};
use crate::portal::Portal;
use crate::{Failure, moment, number, spread, text};

/// The members of one authority.
pub(crate) struct Crowd {
    at_once: usize,
    /// Makes codes and removes members; not counted.
    enroller: Member,
    members: Vec<Member>,
    following: Vec<Withdrawals>,
    /// Who is removed next, and what is to become of it.
    removal: Option<Removal>,
    cut_off: Option<Portal>,
}

/// A member that is removed while it uses a portal.
struct Removal {
    portal: Portal,
    known: JoinSet<f64>,
}

impl Crowd {
    /// Has everybody become a member: half of them with a ticket that many may use, the others with a code each.
    pub(crate) async fn enroll(order: &Value) -> Result<(Self, Value), Failure> {
        let read = |name| -> Result<EnrollmentTicket, Failure> {
            Ok(EnrollmentTicket::read(
                ockam_vault::fast(),
                text(order, name)?,
            )?)
        };
        let (ticket, shared) = (read("enroller")?, read("shared")?);
        let count = usize::try_from(number(order, "members")?)?;
        let at_once = usize::try_from(number(order, "at_once")?)?;
        let room = Arc::new(Semaphore::new(at_once));
        let (enroller, _) = Newcomer::new(&ticket)?
            .enroll(ticket.one_time_code())
            .await?;
        let began = Instant::now();
        let codes = codes(&enroller, &shared, count).await?;
        let made_codes = began.elapsed().as_secs_f64();
        let newcomers = codes
            .into_iter()
            .map(|code| Ok((Newcomer::new(&ticket)?, code)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let began = Instant::now();
        let mut enrolling = JoinSet::new();
        for (newcomer, code) in newcomers {
            let permit = room.clone().acquire_owned().await?;
            enrolling.spawn(async move {
                let enrolled = newcomer.enroll(&code).await;
                drop(permit);
                enrolled
            });
        }
        let (mut members, mut took) = (Vec::new(), Vec::new());
        while let Some(enrolled) = enrolling.join_next().await {
            let (member, seconds) = enrolled??;
            members.push(member);
            took.push(seconds);
        }
        let seconds = began.elapsed().as_secs_f64();
        let answer = json!({
            "members": members.len(),
            "codes_seconds": made_codes,
            "seconds": seconds,
            "one": spread(took),
        });
        let crowd = Self {
            at_once,
            enroller,
            members,
            following: Vec::new(),
            removal: None,
            cut_off: None,
        };
        Ok((crowd, answer))
    }

    /// Has everybody follow what the authority withdraws. That each does shows by its knowing of somebody who was removed
    /// before. Then two of them share a portal, and the one that uses it is who is to be removed.
    pub(crate) async fn connect(&mut self) -> Result<Value, Failure> {
        let early = self.members.pop().ok_or("there are no members")?;
        self.enroller
            .client
            .delete_member(&early.identifier)
            .await?;
        self.all_know_of(&early.issued.credential)?;
        let began = Instant::now();
        let room = Arc::new(Semaphore::new(self.at_once));
        let mut connecting = JoinSet::new();
        for member in &self.members {
            let permit = room.clone().acquire_owned().await?;
            self.following.push(follow(&member.client, None));
            let known = void(member.node().clone(), early.issued.credential.clone());
            connecting.spawn(async move {
                let known = tokio::time::timeout(PATIENCE, known).await;
                drop(permit);
                known
            });
        }
        while let Some(connected) = connecting.join_next().await {
            connected??;
        }
        let seconds = began.elapsed().as_secs_f64();
        let [server, leaving, ..] = self.members.as_slice() else {
            return Err("there are too few members".into());
        };
        let portal = Portal::start(server, leaving).await?;
        let known = self.watch(&leaving.issued.credential)?;
        let answer = json!({"connected": self.members.len(), "seconds": seconds, "leaving": leaving.identifier.to_string()});
        self.removal = Some(Removal { portal, known });
        Ok(answer)
    }

    /// When the first and the last node knew that the member of the portal was removed, and when the portal was cut.
    pub(crate) async fn removed(&mut self) -> Result<Value, Failure> {
        let mut removal = self.removal.take().ok_or("nobody is to be removed")?;
        let (first, last, nodes) = heard(removal.known).await?;
        let cut = tokio::time::timeout(PATIENCE, removal.portal.cut()).await??;
        let shut = removal.portal.is_shut().await;
        let leaving = self.members.remove(LEAVING);
        drop(self.following.remove(LEAVING));
        drop(leaving);
        Ok(json!({"nodes": nodes, "first": first, "last": last, "cut": cut, "shut": shut}))
    }

    /// Removes that many more, one after the other; gives for each how long it took until the last node knew, from the moment
    /// when the enroller began to ask for it.
    pub(crate) async fn remove(&mut self, count: u64) -> Result<Value, Failure> {
        let mut took = Vec::new();
        for _ in 0..count {
            let leaving = self.members.pop().ok_or("there are no members")?;
            let following = self.following.pop();
            let known = self.watch(&leaving.issued.credential)?;
            let began = moment();
            let enroller = &self.enroller.client;
            while let Err(error) = enroller.delete_member(&leaving.identifier).await {
                if !error.is_unavailable() || moment() - began > PATIENCE.as_secs_f64() {
                    return Err(error.into());
                }
            }
            let (_, last, _) = heard(known).await?;
            took.push(last - began);
            drop(following);
        }
        Ok(json!({"removed": took.len(), "seconds": spread(took)}))
    }

    /// Has one node reach the authority by another way, and not trust what it knows for longer than that; another member has a
    /// portal to it.
    pub(crate) async fn prepare_cut_off(
        &mut self,
        by: &str,
        max_stale: u64,
    ) -> Result<Value, Failure> {
        let [.., server, client] = self.members.as_slice() else {
            return Err("there are too few members".into());
        };
        let (host, port) = by.rsplit_once(':').ok_or("that is no address")?;
        let client_there = AuthorityClient {
            route: format!("/ip4/{host}/tcp/{port}/service/api").parse()?,
            timeout: REQUEST,
            ..server.client.clone()
        };
        let place = self.following.len().saturating_sub(2);
        // What it heard before counts no more, so that what counts was heard by the other way.
        drop(self.following.remove(place));
        let attested = server.node().attested();
        let longest = Duration::from_secs(max_stale);
        attested.set_max_stale(Some(longest));
        let credential = &client.issued.credential;
        attested.accept(credential.clone())?;
        void(server.node().clone(), credential.clone()).await;
        self.following
            .insert(place, follow(&client_there, Some(longest)));
        tokio::time::timeout(PATIENCE, counts(server.node(), credential)).await?;
        self.cut_off = Some(Portal::start(server, client).await?);
        Ok(json!({"max_stale": max_stale}))
    }

    /// When the node that is cut off denied what it allowed before.
    pub(crate) async fn cut_off(&mut self) -> Result<Value, Failure> {
        let [.., server, client] = self.members.as_slice() else {
            return Err("there are too few members".into());
        };
        let portal = self.cut_off.as_mut().ok_or("nobody is cut off")?;
        let closed = void(server.node().clone(), client.issued.credential.clone());
        let closed = tokio::time::timeout(PATIENCE, closed).await?;
        let cut = tokio::time::timeout(PATIENCE, portal.cut()).await??;
        Ok(json!({"closed": closed, "cut": cut, "shut": portal.is_shut().await}))
    }

    /// When it allowed it again.
    pub(crate) async fn back(&mut self) -> Result<Value, Failure> {
        let [.., server, client] = self.members.as_slice() else {
            return Err("there are too few members".into());
        };
        let portal = self.cut_off.as_mut().ok_or("nobody is cut off")?;
        let open = counts(server.node(), &client.issued.credential);
        let open = tokio::time::timeout(PATIENCE, open).await?;
        let again = tokio::time::timeout(PATIENCE, portal.again()).await?;
        Ok(json!({"open": open, "again": again}))
    }

    /// Tells every node what the authority says of somebody, as if that had connected to it.
    fn all_know_of(&self, credential: &VerifiedCredential) -> Result<(), Failure> {
        for member in &self.members {
            member.node().attested().accept(credential.clone())?;
        }
        Ok(())
    }

    /// The same; gives the moments at which each of them does not count it any more.
    fn watch(&self, credential: &VerifiedCredential) -> Result<JoinSet<f64>, Failure> {
        self.all_know_of(credential)?;
        Ok(self
            .members
            .iter()
            .filter(|member| member.identifier != *credential.subject())
            .map(|member| void(member.node().clone(), credential.clone()))
            .collect())
    }
}

fn follow(client: &AuthorityClient, max_stale: Option<Duration>) -> Withdrawals {
    Withdrawals::start(WithdrawalOptions {
        client: client.clone(),
        max_stale,
        kept: None,
    })
}

/// Waits until a node does not count a credential any more; gives the moment.
async fn void(node: Node, credential: VerifiedCredential) -> f64 {
    let mut changes = node.attested().generation();
    loop {
        changes.borrow_and_update();
        if node.attested().get(credential.subject()).is_none() {
            return moment();
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits until it counts it.
async fn counts(node: &Node, credential: &VerifiedCredential) -> f64 {
    let mut changes = node.attested().generation();
    loop {
        changes.borrow_and_update();
        if node.attested().get(credential.subject()).is_some() {
            return moment();
        }
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The first and the last moment, and how many there are.
async fn heard(mut known: JoinSet<f64>) -> Result<(f64, f64, usize), Failure> {
    let (mut first, mut last, mut nodes) = (f64::INFINITY, 0.0_f64, 0);
    let all = async {
        while let Some(moment) = known.join_next().await {
            let moment = moment?;
            (first, last, nodes) = (first.min(moment), last.max(moment), nodes + 1);
        }
        Ok::<(), Failure>(())
    };
    tokio::time::timeout(PATIENCE, all).await??;
    Ok((first, last, nodes))
}

/// As many codes as there are newcomers: the shared one for the first half, others for the rest.
async fn codes(
    enroller: &Member,
    shared: &EnrollmentTicket,
    count: usize,
) -> Result<Vec<OneTimeCode>, Failure> {
    let mut codes = Vec::new();
    let copy = || OneTimeCode::from_slice(shared.one_time_code().as_bytes());
    for _ in 0..count / 2 {
        codes.push(copy()?);
    }
    let token = CreateToken {
        ttl_secs: Some(CODE_LIFETIME),
        ..CreateToken::default()
    };
    while codes.len() < count {
        codes.push(enroller.client.create_token(&token).await?);
    }
    Ok(codes)
}

/// Who uses the portal when it is removed.
const LEAVING: usize = 1;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an attempt to reach the authority may take when it may not be there.
const REQUEST: Duration = Duration::from_secs(5);
/// Seconds that a code is good.
const CODE_LIFETIME: u64 = 3600;
