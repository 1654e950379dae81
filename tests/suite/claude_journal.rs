//! The journal: what was answered is never asked for, or paid, again.

use std::process::Stdio;
use std::time::Duration;

use crate::double::KEY;
use crate::fixture::{Bench, Outcome, without_times};
use crate::raw_double::{RawDouble, Reply, numbered_tickets};

const RUN: [&str; 6] = ["classify", "--input", "in.jsonl", "--output", "out.jsonl", "--json"];

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_500_tickets_it_goes_on_and_asks_nothing_twice() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(500));
    let double = RawDouble::start(|_, _| Reply::intent("order_status").after(Duration::from_millis(25))).await;
    for asked in [100, 220, 350] {
        let mut child = double.command(&bench, &RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while double.log().len() < asked {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let before = double.log().len();
    assert!((20..500).contains(&before), "the kills missed the middle: {before}");
    let outcome = double.run(&bench, &RUN).ok();
    // Only what was under way at a kill (8 at a time) may have been asked for again.
    let asked_again = double.log().len() - 500;
    assert!(asked_again <= 3 * 8, "{asked_again} requests were sent again");
    assert_eq!(double.repeats().len(), 500);
    let written = std::fs::read_to_string(bench.dir.path().join("out.jsonl")).unwrap();
    let ids: Vec<String> = written
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..500).map(|i| format!("n{i}")).collect::<Vec<_>>());
    assert!(outcome.stderr.contains("from the journal"), "{}", outcome.stderr);

    // Run to its end, it answers from its journal; --fresh starts over.
    let total = double.log().len();
    double.run(&bench, &RUN).ok();
    assert_eq!(double.log().len(), total);
    double.run(&bench, &[&RUN[..], &["--fresh", "--concurrency", "64"]].concat()).ok();
    assert_eq!(double.log().len(), total + 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_holds_no_key_is_its_owners_alone_and_belongs_to_one_run_at_a_time() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(30));
    // The first run goes on until the second one has given up.
    let (may_answer, held) = tokio::sync::watch::channel(false);
    let double = RawDouble::start(move |_, _| Reply::intent("order_status").once(held.clone())).await;
    // Another store, so that the journal is what both runs want.
    crate::fixture::copy_dir(&bench.store(), &bench.dir.path().join("copy"));
    let first = double.command(&bench, &RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while double.log().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    double
        .run(&bench, &[&RUN[..], &["--store", "copy"]].concat())
        .fails_with(&["out.jsonl.journal is in use by another run", "another --output"]);
    may_answer.send(true).unwrap();
    assert!(first.wait_with_output().unwrap().status.success());
    let journal = bench.dir.path().join("out.jsonl.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(text.lines().count(), 31);
    assert!(!text.contains(KEY) && !text.contains("ticket no"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&journal).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_tickets_are_two_requests_and_a_recorded_run_replays_without_a_key() {
    let bench = Bench::with_small_store();
    bench.write("in.jsonl", numbered_tickets(3) + &numbered_tickets(3));
    let double = RawDouble::start(|_, _| Reply::intent("order_status")).await;
    let recorded = double.run(&bench, &["classify", "--input", "in.jsonl", "--json", "--record", "r.journal"]).ok();
    assert_eq!(double.log().len(), 6);
    let replayed = bench.run(&["classify", "--input", "in.jsonl", "--json", "--replay", "r.journal"]).ok();
    let lines = |outcome: &Outcome| outcome.json_lines().into_iter().map(without_times).collect::<Vec<_>>();
    assert_eq!(lines(&recorded), lines(&replayed));
    assert!(replayed.stderr.contains("6 from the journal"), "{}", replayed.stderr);

    let missing = bench.run(&["classify", "another ticket", "--json", "--replay", "r.journal"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.json_lines()[0]["error"].as_str().unwrap().contains("r.journal holds no answer for this request"),
        "{}",
        missing.stdout
    );
    bench.write("r.journal", "not a journal\n");
    bench
        .run(&["classify", "x", "--replay", "r.journal"])
        .fails_with(&["r.journal, line 1", "not a line of a journal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_with_an_output_goes_on_from_its_journal_too() {
    let bench = Bench::with_small_store();
    bench.write("test.csv", "id,text,intent\na,ticket no 1 is late,order_status\nb,ticket no 2 is late,order_status\n");
    let double = RawDouble::start(|_, _| Reply::intent("order_status")).await;
    let args = ["eval", "test.csv", "--output", "report.json", "--json"];
    double.run(&bench, &args).ok();
    let read = || {
        serde_json::from_str::<serde_json::Value>(
            &std::fs::read_to_string(bench.dir.path().join("report.json")).unwrap(),
        )
        .unwrap()
    };
    let first = read();
    assert_eq!(double.log().len(), 6);
    double.run(&bench, &args).ok();
    assert_eq!(double.log().len(), 6);
    assert_eq!(without_times(first), without_times(read()));
}
