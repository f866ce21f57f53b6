//! What a deadlock looks like from outside: who waits for what, and where.
use super::{block::State, worker::Worker};
use std::{collections::BTreeMap, fmt::Write};

/// "deadlock: threads 0..=95 wait at barrier 1, at x.cu:7 (96 of 128 arrived); threads 96..=127 exited"
pub(super) fn deadlock(worker: &Worker) -> String {
    let mut threads_by_state: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (i, thread) in worker.block.threads.iter().enumerate() {
        threads_by_state
            .entry(describe(worker, i as u32, thread.state))
            .or_default()
            .push(i as u32);
    }
    let mut groups: Vec<_> = threads_by_state.into_iter().collect();
    groups.sort_by_key(|(_, threads)| threads[0]);
    let groups: Vec<String> = groups
        .iter()
        .map(|(state, threads)| format!("threads {} {state}", ranges(threads)))
        .collect();
    format!("deadlock: {}", groups.join("; "))
}

fn describe(worker: &Worker, thread: u32, state: State) -> String {
    let block = &worker.block;
    match state {
        State::Unstarted => "have not started".into(),
        State::Runs | State::GivesWay => "poll for what does not come".into(),
        State::Exited => "exited".into(),
        State::AtBarrier { id, site } => {
            let barrier = &block.barriers[id as usize];
            let expected = if barrier.expected == 0 {
                block.live
            } else {
                barrier.expected
            };
            format!(
                "wait at barrier {id}, at {site} ({} of {expected} arrived)",
                barrier.arrived
            )
        }
        State::AtMbarrier {
            address,
            parity,
            site,
        } => format!(
            "wait for the phase of parity {parity} of an mbarrier, at {site} ({})",
            worker.describe_mbarrier(address)
        ),
        State::AtStores { site } => format!("wait for stores to be read or written, at {site}"),
        State::AtProducts { site } => {
            format!(
                "wait for wgmma, at {site} ({})",
                block.describe_products(thread)
            )
        }
        State::InWarp { mask, what, site } => format!("wait in {what}, at {site} (mask {mask:#x})"),
    }
}

/// Ascending numbers as ranges; all but the first four are counted only.
fn ranges(threads: &[u32]) -> String {
    let runs: Vec<&[u32]> = threads.chunk_by(|a, b| a + 1 == *b).collect();
    let mut text = String::new();
    for (i, run) in runs.iter().take(4).enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        match run {
            [one] => write!(text, "{comma}{one}"),
            [first, .., last] => write!(text, "{comma}{first}..={last}"),
            [] => Ok(()),
        }
        .expect("a string takes all");
    }
    if runs.len() > 4 {
        let more: usize = runs[4..].iter().map(|run| run.len()).sum();
        write!(text, " and {more} more").expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[0, 1, 2, 7]), "0..=2, 7");
        assert_eq!(ranges(&[0, 2, 4, 6, 8, 10]), "0, 2, 4, 6 and 2 more");
    }
}
