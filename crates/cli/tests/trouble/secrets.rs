//! Nothing that is written down for others to read holds a secret, however much is logged.

use std::fs;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::home::{Done, Home};
use crate::orchestrator::exchange;
use crate::trial::Trial;

#[test]
fn guard_o08_no_code_token_or_key_is_in_a_log_at_the_finest_level() {
    let trial = Trial::beside_others();
    let [operator, member, machine] =
        ["operator", "member", "machine"].map(|name| trial.home(name));
    let mut heard = String::new();
    let mut run = |home: &Home, words: &str| {
        let done = home.shell(&format!("{FINEST}; exec ockam {words}"));
        heard.push_str(&done.err);
        done
    };
    run(&operator, "orchestrator start").success();
    let first = operator.path().join("orchestrator/first-administrator");
    let first = fs::read_to_string(first).unwrap();
    run(&operator, "enroll").success();
    let invited = last(&run(&operator, "orchestrator invite machine@example.com"));
    let ticket = last(&run(&operator, "project ticket --usage-count 2"));
    let codes = [
        first.trim(),
        invited.rsplit(',').next().unwrap(),
        ticket.split(',').nth(3).unwrap(),
    ]
    .map(str::to_owned);
    for code in &codes {
        assert!(code.len() == 64 && code.bytes().all(|c| c.is_ascii_hexdigit()));
    }
    run(&machine, &format!("enroll '{invited}'")).success();
    run(&member, &format!("project enroll '{ticket}'")).success();
    run(&member, "tcp-outlet create --to 6000").success();
    run(&member, "relay create").success();
    // What is refused is told of too.
    let refused = |done: Done| assert_eq!(done.code, Some(70), "{done:#?}");
    let stranger = trial.home("stranger");
    refused(run(&stranger, &format!("enroll '{invited}'")));
    let damaged = ticket.replacen(&codes[2], &codes[0], 1);
    refused(run(
        &stranger,
        &format!("project enroll '{}'", damaged.trim()),
    ));

    let endpoint = operator.json("orchestrator status")["status_endpoint"].clone();
    heard.push_str(&exchange(
        endpoint.as_str().unwrap(),
        "GET /metrics HTTP/1.1\r\n\r\n",
    ));
    heard.push_str(&operator.ok("orchestrator audit list"));
    let homes = [&operator, &member, &machine, &stranger];
    let mut keys = Vec::new();
    for home in homes {
        read_logs(home.path(), &mut heard);
        for database in ["ockam.sqlite3", "orchestrator.sqlite3"] {
            keys.extend(keys_of(&home.path().join(database)));
        }
    }
    // There is something to search in, and for.
    assert!(heard.contains("DEBUG"), "{heard}");
    assert!(keys.len() > 10, "{}", keys.len());
    for code in &codes {
        assert!(!heard.contains(code.as_str()), "{}", around(&heard, code));
    }
    for key in &keys {
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = format!("{:?}", &key[..8]);
        for form in [hex.as_str(), numbers.trim_end_matches(']')] {
            assert!(!heard.contains(form), "{}", around(&heard, form));
        }
    }
}

/// The last line that a command printed.
fn last(done: &Done) -> String {
    assert_eq!(done.code, Some(0), "{done:#?}");
    done.out.lines().last().unwrap_or_default().to_owned()
}

/// Everything is logged, of every crate, also by commands.
const FINEST: &str = "export OCKAM_LOGGING=true OCKAM_LOG_LEVEL=trace OCKAM_LOG_CRATES_FILTER=all";

fn read_logs(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            read_logs(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            into.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap()));
        }
    }
}

/// The secret keys that a database holds.
fn keys_of(database: &Path) -> Vec<Vec<u8>> {
    if !database.exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(database);
        let mut db: SqliteConnection = options.connect().await.unwrap();
        let keys = sqlx::query_scalar("SELECT secret FROM secret")
            .fetch_all(&mut db)
            .await
            .unwrap();
        db.close().await.unwrap();
        keys
    })
}

/// Where it was found.
fn around(text: &str, found: &str) -> String {
    let line = text.lines().find(|line| line.contains(found));
    line.unwrap_or_default().to_owned()
}
