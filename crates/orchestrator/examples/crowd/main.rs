//! Who uses an Orchestrator in great numbers, in one process: the other half of `scripts/orchestrator/scale`, which runs it.
//!
//! Each node has keys, a membership, TCP connections and channels of its own; the Orchestrator is another process and cannot
//! tell. What to do comes as a line of JSON on standard input, what came of it goes as one to standard output.
#![allow(
    clippy::print_stdout,
    reason = "what it measured goes to whoever started it"
)]

mod maker;
mod nodes;

use std::io::BufRead;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use maker::Makers;
use nodes::Nodes;

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
    let (mut makers, mut nodes) = (None, None);
    while let Some(line) = orders.recv().await {
        let order: Value = serde_json::from_str(&line)?;
        let answer = match (text(&order, "do")?, &mut makers, &mut nodes) {
            ("enroll", none @ None, _) => {
                *none = Some(Makers::enroll(&order).await?);
                json!({})
            }
            ("create", Some(makers), _) => makers.create(&order).await?,
            ("list", Some(makers), _) => makers.list().await?,
            ("connect", _, none @ None) => {
                let (connected, answer) = Nodes::connect(&order).await?;
                *none = Some(connected);
                answer
            }
            ("speak", _, Some(nodes)) => nodes.speak(&order).await?,
            ("leave", _, connected @ Some(_)) => {
                let count = match connected.take() {
                    Some(nodes) => nodes.leave().await,
                    None => 0,
                };
                json!({ "left": count })
            }
            (order, ..) => return Err(format!("`{order}` is not to be done now").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn text<'a>(order: &'a Value, name: &str) -> Result<&'a str, Failure> {
    let given = order.get(name).and_then(Value::as_str);
    given.ok_or_else(|| format!("there is no `{name}` in {order}").into())
}

fn number(order: &Value, name: &str) -> Result<usize, Failure> {
    let given = order.get(name).and_then(Value::as_u64);
    let given = given.ok_or_else(|| format!("there is no `{name}` in {order}"))?;
    Ok(usize::try_from(given)?)
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
