//! Index runs that are killed.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixture::{Bench, small_tickets};

const BEFORE: usize = 40;

/// The store answers and counts; nothing else is asked of it.
fn total(bench: &Bench) -> u64 {
    // An index run over a file that is in the store anyway reports the total and writes nothing.
    bench.write("first.jsonl", small_tickets(BEFORE));
    let outcome = bench.run(&["index", "first.jsonl", "--json"]).ok();
    assert_eq!(outcome.json()["unchanged"], BEFORE);
    outcome.json()["total"].as_u64().unwrap()
}

fn killed_after(bench: &Bench, args: &[&str], wait: Duration) {
    let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(wait);
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_bulk_run_killed_at_any_of_twenty_points_leaves_the_old_store_or_the_new_one() {
    let bench = Bench::empty();
    bench.write("first.jsonl", small_tickets(BEFORE));
    bench.run(&["index", "first.jsonl"]).ok();
    let question = ["classify", "where is my parcel", "--labeler", "vote", "--json"];
    let answer = |bench: &Bench| bench.run(&question).ok().json_lines()[0]["neighbours"].clone();
    let old_answer = answer(&bench);

    let all = BEFORE + 400;
    bench.write("all.jsonl", small_tickets(all));
    let pristine = Bench::empty();
    crate::fixture::copy_dir(&bench.store(), &pristine.store());
    pristine.write("all.jsonl", small_tickets(all));
    let begun = Instant::now();
    pristine.run(&["index", "all.jsonl"]).ok();
    let whole = begun.elapsed();

    let mut killed_in_time = 0;
    for point in 0..20 {
        killed_after(&bench, &["index", "all.jsonl"], whole * point / 20);
        match total(&bench) {
            count if count == BEFORE as u64 => {
                killed_in_time += 1;
                assert_eq!(answer(&bench), old_answer, "killed at {point}/20");
            }
            count => {
                assert_eq!(count, all as u64, "killed at {point}/20");
                break;
            }
        }
    }
    // The new store is served before the probe is trained, which takes the rest of the run.
    assert!(killed_in_time >= 5, "only {killed_in_time} kills came before the switch");
    let completed = bench.run(&["index", "all.jsonl", "--json"]).ok();
    assert_eq!(completed.json()["total"], all);
    let again = bench.run(&["index", "all.jsonl", "--json"]).ok();
    assert_eq!(again.json()["unchanged"], all);
    let leftovers = std::fs::read_dir(bench.store()).unwrap().flatten();
    let generations = leftovers.filter(|entry| entry.file_name().to_string_lossy().starts_with("generation-")).count();
    assert_eq!(generations, 1, "killed runs left folders behind");
}

#[test]
fn a_small_change_killed_at_any_of_twenty_points_loses_and_doubles_nothing() {
    let bench = Bench::empty();
    bench.write("first.jsonl", small_tickets(BEFORE));
    bench.run(&["index", "first.jsonl"]).ok();
    // Two more tickets in forty are written in place.
    bench.write("more.jsonl", small_tickets(BEFORE + 2));
    let pristine = Bench::empty();
    crate::fixture::copy_dir(&bench.store(), &pristine.store());
    pristine.write("more.jsonl", small_tickets(BEFORE + 2));
    let begun = Instant::now();
    pristine.run(&["index", "more.jsonl"]).ok();
    let whole = begun.elapsed();
    for point in 0..20 {
        killed_after(&bench, &["index", "more.jsonl"], whole * point / 20);
        let count = total(&bench);
        assert!((BEFORE as u64..=BEFORE as u64 + 2).contains(&count), "{count} after a kill at {point}/20");
    }
    let completed = bench.run(&["index", "more.jsonl", "--json"]).ok();
    assert_eq!(completed.json()["total"], BEFORE + 2);
}
