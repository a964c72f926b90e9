//! Many members of one authority in one process: the other half of `scripts/trust/thousand`, which runs the authority.
//!
//! Each member has keys, a node and TCP connections of its own; the authority is another process and cannot tell. What to do
//! comes as a line of JSON on standard input, what came of it goes as one to standard output. Moments are seconds since 1970,
//! so that both halves can compare them.
#![allow(
    clippy::print_stdout,
    reason = "what it measured goes to whoever started it"
)]

mod crowd;
mod member;
mod portal;

use std::io::BufRead;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crowd::Crowd;

/// Whatever goes wrong ends the example.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (lines, mut orders) = mpsc::channel(1);
    // Standard input has no end that could be awaited; the thread ends with it or with the process.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let mut crowd = None;
    while let Some(line) = orders.recv().await {
        let order: Value = serde_json::from_str(&line)?;
        let answer = match (text(&order, "do")?, &mut crowd) {
            ("enroll", none @ None) => {
                let (enrolled, answer) = Crowd::enroll(&order).await?;
                *none = Some(enrolled);
                answer
            }
            ("connect", Some(crowd)) => crowd.connect().await?,
            ("removed", Some(crowd)) => crowd.removed().await?,
            ("remove", Some(crowd)) => crowd.remove(number(&order, "count")?).await?,
            ("prepare-cut-off", Some(crowd)) => {
                crowd
                    .prepare_cut_off(text(&order, "by")?, number(&order, "max_stale")?)
                    .await?
            }
            ("cut-off", Some(crowd)) => crowd.cut_off().await?,
            ("back", Some(crowd)) => crowd.back().await?,
            (order, _) => return Err(format!("`{order}` is not to be done now").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn text<'a>(order: &'a Value, name: &str) -> Result<&'a str, Failure> {
    let given = order.get(name).and_then(Value::as_str);
    given.ok_or_else(|| format!("there is no `{name}` in {order}").into())
}

fn number(order: &Value, name: &str) -> Result<u64, Failure> {
    let given = order.get(name).and_then(Value::as_u64);
    given.ok_or_else(|| format!("there is no `{name}` in {order}").into())
}

/// Seconds since 1970.
fn moment() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// How long things took, as people ask for it.
fn spread(mut seconds: Vec<f64>) -> Value {
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = seconds.len().saturating_sub(1);
        seconds.get((last as f64 * share).round() as usize)
    };
    json!({"p50": at(0.5), "p99": at(0.99), "longest": at(1.0)})
}
