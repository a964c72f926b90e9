//! An authority under siege: fifty redeem one ticket at the same moment, and it is killed meanwhile.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process;
use crate::trial::Trial;

#[test]
fn uses_of_a_ticket_are_counted_exactly_once_whoever_redeems_and_whatever_is_killed() {
    let trial = Trial::alone();
    let home = trial.home("authority");
    home.ok("authority create --project-identifier demo --tcp-listener-address 127.0.0.1:0");
    let ticket = home.ok(&format!(
        "project ticket --usage-count {USES} --expires-in 1h"
    ));
    let pid = home.node("authority-demo").pid;
    let members: Vec<_> = (0..NODES)
        .map(|number| trial.home(&format!("member{number}")))
        .collect();
    for member in &members {
        member.ok("identity create");
    }
    let (start, done) = (Barrier::new(NODES + 1), AtomicUsize::new(0));
    let enrolled = std::thread::scope(|threads| {
        let redeeming: Vec<_> = members
            .iter()
            .map(|member| {
                let (ticket, start, done) = (ticket.trim(), &start, &done);
                threads.spawn(move || {
                    start.wait();
                    let begun = Instant::now();
                    let enrolled = loop {
                        let told = member.run(&["project", "enroll", ticket]);
                        assert!(begun.elapsed() < Duration::from_secs(300), "{told:#?}");
                        if told.code == Some(0) {
                            break true;
                        }
                        // Whoever did not reach it asks again; whoever was refused is refused.
                        if told.err.contains("refused with 403") || told.err.contains("used up") {
                            break false;
                        }
                    };
                    done.fetch_add(1, Ordering::Relaxed);
                    enrolled
                })
            })
            .collect();
        start.wait();
        process::wait_until("some are through", Duration::from_secs(120), || {
            done.load(Ordering::Relaxed) >= 5
        });
        process::kill(pid);
        process::wait_until("it is gone", Duration::from_secs(60), || {
            !process::runs(pid)
        });
        home.ok("node start authority-demo");
        redeeming
            .into_iter()
            .map(|redeeming| redeeming.join().unwrap())
            .filter(|enrolled| *enrolled)
            .count()
    });
    let listed = home
        .json("project-member list-ids")
        .as_array()
        .unwrap()
        .len();
    // The one more made the ticket.
    assert_eq!((enrolled, listed), (USES, USES + 1));

    // What was removed stays so after a kill, and so do the others.
    let gone = members
        .iter()
        .map(|member| {
            member.json("identity show")["identifier"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .find(|who| home.ockam(&format!("project-member show {who}")).code == Some(0))
        .unwrap();
    home.ok(&format!("project-member delete {gone} --yes"));
    home.kill("authority-demo");
    home.ok("node start authority-demo");
    let listed = home
        .json("project-member list-ids")
        .as_array()
        .unwrap()
        .len();
    assert_eq!(listed, USES);
}

const NODES: usize = 50;
const USES: usize = 20;
