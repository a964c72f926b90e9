//! The story of an authority and its members, each with a home of its own: tickets, portals between members, restarts, and
//! tickets that cannot be used.

use std::time::Duration;

use crate::home::Home;
use crate::process::wait_until;
use crate::traffic::{Target, assert_echo};
use crate::trial::Trial;

/// An authority and whoever makes its tickets.
struct Authority {
    home: Home,
}

impl Authority {
    fn start(trial: &Trial, project: &str) -> Self {
        let home = trial.home(&format!("authority-{project}"));
        home.ok(&format!(
            "authority create --project-identifier {project} --tcp-listener-address 127.0.0.1:0"
        ));
        Self { home }
    }

    fn ticket(&self, options: &str) -> String {
        let made = self.home.ockam(&format!("project ticket {options}"));
        let ticket = made.out.trim().to_owned();
        // The code is in the ticket and nowhere else.
        let code = ticket.split(',').nth(3).unwrap_or("no code");
        assert!(!made.err.contains(code), "{made:#?}");
        made.success();
        ticket
    }
}

#[test]
fn members_enroll_and_share_a_portal_that_survives_restarts_of_all() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let authority = Authority::start(&trial, "p");
    let (database, web) = (trial.home("database"), trial.home("web"));
    // A file and a pipe.
    let ticket = authority.ticket("--attribute component=database");
    let file = trial.directory().join("database.ticket");
    std::fs::write(&file, ticket).unwrap();
    let enrolled = database.json(&format!("project enroll {}", file.display()));
    assert_eq!(
        enrolled["credential"]["attributes"]["component"],
        "database"
    );
    assert_eq!(enrolled["project_name"], "p");
    let ticket = authority.ticket("--attribute component=web");
    let piped = web.shell(&format!(
        "echo '{ticket}' | ockam project enroll --output json"
    ));
    assert!(piped.success().contains("\"component\": \"web\""));
    database.ok("node create db");
    database.ok(&format!(
        "tcp-outlet create --at db --to {} --allow component=web",
        target.address()
    ));
    web.ok("node create web");
    let to = format!("{}/secure/api/service/outlet", database.node("db").route());
    let inlet = web.ok(&format!(
        "tcp-inlet create --at web --allow component=database --to {to}"
    ));
    let inlet = inlet.parse().unwrap();
    assert_echo(inlet);
    // A stranger, and a member that is something else, get nowhere; what was denied is told.
    let (stranger, other) = (trial.home("stranger"), trial.home("other"));
    other
        .run(&[
            "project",
            "enroll",
            &authority.ticket("--attribute component=printer"),
        ])
        .success();
    for home in [&stranger, &other] {
        home.ok("node create n");
        let inlet = home.ok(&format!(
            "tcp-inlet create --at n --connection-wait 1s --to {to}"
        ));
        let who = home.ok("identity show");
        wait_until("the denial is counted", Duration::from_secs(60), || {
            let inlet = inlet.parse().unwrap();
            let sent = crate::traffic::exchange(inlet, b"x", Duration::from_millis(200));
            assert!(sent.is_err(), "{who} came through");
            database
                .ok("policy denials --at db --output json")
                .contains(&who)
        });
    }
    let back = |what: &str| {
        wait_until(what, Duration::from_secs(60), || {
            crate::traffic::exchange(inlet, b"x", Duration::from_secs(1)).is_ok()
        });
    };
    // Without the authority what was issued goes on, also over restarts.
    let node = "authority-p";
    authority.home.kill(node);
    database.kill("db");
    database.ok("node start db");
    back("the portal is back after a restart of the outlet's node");
    web.kill("web");
    web.ok("node start web");
    back("the portal is back after a restart of the inlet's node");
    authority.home.ok(&format!("node start {node}"));
    let late = trial.home("late");
    late.run(&["project", "enroll", &authority.ticket("")])
        .success();
    // What a node trusts is kept with it.
    let refused = web.ockam("project delete p --yes").failure();
    assert!(refused.contains("is used by the node(s): web"), "{refused}");
    for home in [&authority.home, &database, &web] {
        assert!(!home.logs().contains("panicked"));
    }
}

#[test]
fn tickets_that_cannot_be_used_say_why_and_leave_nothing_behind() {
    let trial = Trial::beside_others();
    let (authority, other) = (Authority::start(&trial, "p"), Authority::start(&trial, "q"));
    let member = trial.home("member");
    let enroll = |ticket: &str| member.run(&["project", "enroll", ticket]);
    let refused = |ticket: &str, why: &str| {
        let said = enroll(ticket).failure();
        assert!(said.contains(why), "{said}");
        assert!(said.contains("help: "), "{said}");
        assert_eq!(member.ok("project list"), "[]");
    };
    // Used up by somebody else.
    let ticket = authority.ticket("");
    trial
        .home("faster")
        .run(&["project", "enroll", &ticket])
        .success();
    refused(&ticket, "its one-time code is used up");
    // Expired.
    let ticket = authority.ticket("--expires-in 1s --usage-count 1000");
    let watch = trial.home("watch");
    wait_until("the ticket has expired", Duration::from_secs(60), || {
        let name = format!("i{}", watch.json("identity list").as_array().unwrap().len());
        watch.ok(&format!("identity create {name}"));
        let tried = watch.run(&["project", "enroll", &ticket, "--identity", &name]);
        tried.code == Some(70)
    });
    refused(&ticket, "has expired");
    // Forged.
    let real = authority.ticket("");
    let mut fields: Vec<&str> = real.split(',').collect();
    let forged_code = "ab".repeat(32);
    fields[3] = &forged_code;
    refused(&fields.join(","), "was not issued by this authority");
    // Of one authority, with the way to another.
    let theirs = other.ticket("");
    let their_fields: Vec<&str> = theirs.split(',').collect();
    let mut fields: Vec<&str> = real.split(',').collect();
    fields[6] = their_fields[6];
    refused(&fields.join(","), "somebody else than the authority");
    let their_history = their_fields[5];
    let said = member
        .run(&[
            "project",
            "enroll",
            &real,
            "--authority-identity",
            their_history,
        ])
        .failure();
    assert!(said.contains("for another authority"), "{said}");
    // Mangled, in every form.
    let json = authority.home.ok("project ticket --output json");
    let forms = [
        real.clone(),
        authority.ticket("--hex"),
        authority.ticket("--legacy"),
        json,
    ];
    for form in &forms {
        let half = &form[..form.len() / 2];
        let said = enroll(half).failure();
        assert!(said.contains("the ticket cannot be used"), "{said}");
        assert!(!said.contains(&half[half.len() - 40..]), "{said}");
    }
    assert_eq!(member.ok("project list"), "[]");
    // And every form works as it was made.
    for (number, form) in forms.iter().enumerate() {
        let name = format!("whole{number}");
        member.ok(&format!("identity create {name}"));
        member
            .run(&["project", "enroll", form, "--identity", &name])
            .success();
    }
    // The authority was asked for all of this; none of the codes is in what it wrote.
    let code = real.split(',').nth(3).unwrap();
    for home in [&authority.home, &other.home, &member] {
        assert!(!home.logs().contains(code));
    }
    // Once the project is known, a ticket that names another authority for it is refused.
    let imposter = trial.home("imposter");
    imposter.ok("authority create --project-identifier p --tcp-listener-address 127.0.0.1:0");
    let ticket = imposter.ok("project ticket");
    let said = enroll(ticket.trim()).failure();
    assert!(
        said.contains("is known here with another authority"),
        "{said}"
    );
}

#[test]
fn two_identities_of_one_home_are_members_of_projects_of_their_own() {
    let trial = Trial::beside_others();
    let (one, two) = (
        Authority::start(&trial, "one"),
        Authority::start(&trial, "two"),
    );
    let home = trial.home("home");
    for (authority, name) in [(&one, "alice"), (&two, "bob")] {
        home.ok(&format!("identity create {name}"));
        let ticket = authority.ticket(&format!("--attribute name={name}"));
        home.run(&["project", "enroll", &ticket, "--identity", name])
            .success();
    }
    assert_eq!(home.ok("project list --jq .[].name"), "\"one\"\n\"two\"");
    // Several nodes of one member, and one of the other.
    home.ok("node create a1 --identity alice");
    home.ok("node create a2 --identity alice --project one");
    home.ok("node create b1 --identity bob --project two");
    let ask = |from: &str, to: &str| {
        home.ockam(&format!(
            "message send hello --timeout 5s --from {from} --to /node/{to}/secure/api/service/echo"
        ))
    };
    assert_eq!(ask("a1", "a2").success(), "hello");
    assert_eq!(ask("a2", "a1").success(), "hello");
    let scopes = home.ok("credential list --jq .[].scope");
    assert_eq!(scopes, "\"project-member-one\"\n\"project-member-two\"");
}

#[test]
fn a_node_enrolls_with_the_ticket_of_its_command_line_variable_or_configuration() {
    let trial = Trial::beside_others();
    let authority = Authority::start(&trial, "p");
    let home = trial.home("home");
    // An option, with an identity that is made for it.
    let ticket = authority.ticket("");
    let made = home.run(&[
        "node",
        "create",
        "n1",
        "--identity",
        "alice",
        "--enrollment-ticket",
        &ticket,
    ]);
    assert!(
        made.err.contains("is a member of the project p"),
        "{made:#?}"
    );
    made.success();
    // It is not used again.
    home.ok("node delete n1 --yes");
    let again = home.run(&[
        "node",
        "create",
        "n1",
        "--identity",
        "alice",
        "--enrollment-ticket",
        &ticket,
    ]);
    assert!(again.err.contains("is already enrolled"), "{again:#?}");
    assert_eq!(again.success(), "n1");
    // A variable.
    let variable = trial.home("variable");
    let ticket = authority.ticket("");
    let made = variable.shell(&format!(
        "ENROLLMENT_TICKET='{ticket}' ockam node create n2"
    ));
    assert_eq!(made.success(), "n2");
    assert_eq!(variable.ok("project list --jq .[].id"), "\"p\"");
    // A configuration, and a file for several nodes; the ticket is in a file of its own.
    for (command, text) in [
        (
            "node create ./node.yaml",
            "ticket: member.ticket\nname: n3\n",
        ),
        (
            "run ./node.yaml",
            "ticket: member.ticket\nnodes: [n3, n4]\n",
        ),
    ] {
        let name = command.split(' ').next().unwrap();
        let configured = trial.home(&format!("configured-{name}"));
        std::fs::write(
            trial.directory().join("member.ticket"),
            authority.ticket(""),
        )
        .unwrap();
        std::fs::write(trial.directory().join("node.yaml"), text).unwrap();
        configured.ok(command);
        assert_eq!(
            configured.ok("credential list --jq .[].is_verified"),
            "true"
        );
        configured.ok(command);
        configured.node("n3");
    }
    // One that cannot be used leaves no node behind.
    let stranger = trial.home("stranger");
    let used = stranger.run(&["node", "create", "n5", "--enrollment-ticket", &ticket]);
    assert!(used.failure().contains("its one-time code is used up"));
    assert_eq!(stranger.ok("node list"), "[]");
}

#[test]
fn a_credential_of_a_minute_is_renewed_while_a_portal_is_open() {
    let trial = Trial::beside_others();
    let target = Target::echo();
    let authority = trial.home("authority");
    authority
        .ok("authority create --project-identifier p --tcp-listener-address 127.0.0.1:0 --ttl 1m");
    let member = trial.home("member");
    let ticket = authority.ok("project ticket");
    member.run(&["project", "enroll", ticket.trim()]).success();
    member.ok("node create n1");
    member.ok("node create n2");
    member.ok(&format!(
        "tcp-outlet create --at n1 --to {}",
        target.address()
    ));
    let inlet = member.ok("tcp-inlet create --at n2 --to /node/n1/secure/api/service/outlet");
    let mut open = crate::traffic::connect(inlet.parse().unwrap(), Duration::from_secs(5)).unwrap();
    let ends = || {
        let text = member.ok("credential list --jq .[].credential.expires_at");
        text.parse::<u64>().unwrap_or_default()
    };
    let first = ends();
    wait_until("the credential is renewed", Duration::from_secs(90), || {
        ends() > first
    });
    // The connection that was opened before is still there.
    use std::io::{Read as _, Write as _};
    open.write_all(b"still here").unwrap();
    let mut echoed = [0; 10];
    open.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"still here");
}
