//! `ticket-router eval --report`: the files, and the page in headless Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::double::{Double, tagged};
use crate::fixture::{Bench, Outcome, examples};

/// What strangers write.
const HOSTILE: [&str; 5] = [
    "<script>document.title='owned'</script>",
    "</script></style></svg><img src=x onerror=\"document.title='owned'\">",
    "\"'><svg onload=document.title='owned'>{{7*7}}{% raw %}${7*7}",
    "control \u{1}\u{1b}[31m \u{7f} characters \u{202e} and a right-to-left turn",
    "| a | b |\n# heading\n[link](javascript:alert(1)) &lt;b&gt;",
];

/// Chromium.
struct Browser(PathBuf);

struct Page {
    dom: String,
    console: Vec<String>,
}

impl Browser {
    fn find() -> Self {
        let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let mut places = names.iter().flat_map(|name| folders.iter().map(move |it| it.join(name)));
        Self(places.find(|it| it.is_file()).expect("chromium is in the PATH"))
    }

    fn run(&self, bench: &Bench, file: &Path, hash: &str, args: &[&str]) -> Outcome {
        let profile = bench.dir.path().join("profile");
        let mut command = Command::new(&self.0);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]);
        command.args(["--enable-logging=stderr", "--virtual-time-budget=5000"]).args(args);
        command.arg(format!("--user-data-dir={}", profile.display())).arg(format!("file://{}{hash}", file.display()));
        Outcome::of(command.output().unwrap())
    }

    /// The page as its script has made it, and what the console says.
    fn open(&self, bench: &Bench, file: &Path, hash: &str) -> Page {
        let outcome = self.run(bench, file, hash, &["--dump-dom"]).ok();
        let console = outcome.stderr.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect();
        Page { dom: outcome.stdout, console }
    }
}

impl Page {
    /// The first cells of the rows of the table that follows `mark`.
    fn rows_after(&self, mark: &str) -> Vec<&str> {
        let (_, table) = self.dom.split_once(mark).unwrap();
        let (_, body) = table.split_once("<tbody>").unwrap();
        let rows = body.split_once("</tbody>").unwrap().0.split("<th scope=\"row\">").skip(1);
        rows.map(|row| row.split_once("</th>").unwrap().0).collect()
    }
}

/// All arms of `vote` on the held-out tickets, as a page.
fn report_of_vote(bench: &Bench) -> PathBuf {
    let (heldout, fixed) = (examples("heldout.jsonl"), examples("static.jsonl"));
    let args = ["eval", heldout.to_str().unwrap(), "--static", fixed.to_str().unwrap(), "--labeler", "vote"];
    bench.run(&[&args[..], &["--case-column", "case", "--report", "out.html"]].concat()).ok();
    bench.dir.path().join("out.html")
}

#[test]
fn a_report_has_the_form_of_its_ending_and_is_for_its_owner_only() {
    let bench = Bench::with_small_store();
    bench.write("my test.csv", "id,text,intent\n1,my parcel is late,order_status\n2,secret | words,karaoke\n");
    let args = ["eval", "my test.csv", "--labeler", "vote", "--json"];
    let reports = ["--report", "r.html", "--report", "r.md", "--report", "r.json"];
    let outcome = bench.run(&[&args[..], &reports[..]].concat()).ok();
    assert!(!outcome.stdout.contains("secret") && !outcome.stdout.contains("records"), "{}", outcome.stdout);
    let read = |name: &str| fs::read_to_string(bench.dir.path().join(name)).unwrap();
    for name in ["r.html", "r.md", "r.json"] {
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::MetadataExt::mode(&bench.dir.path().join(name).metadata().unwrap()) & 0o777,
            0o600
        );
        assert!(read(name).contains("secret"), "{name}");
    }
    let json: serde_json::Value = serde_json::from_str(&read("r.json")).unwrap();
    let record = &json["arms"][1]["records"][1];
    assert_eq!((record["id"].as_str(), record["gold"].as_str()), (Some("2"), Some("karaoke")));
    assert!(record["neighbours"][0]["text"].as_str().unwrap().contains("needs attention"));
    assert_eq!(json["run"]["examples"], 30);
    assert_eq!(json["run"]["test_sha256"].as_str().unwrap().len(), 64);
    let command = json["run"]["command"].as_str().unwrap();
    assert!(command.starts_with("ticket-router eval 'my test.csv' --labeler vote"), "{command}");
    assert!(read("r.md").contains("| ticket |") && read("r.md").contains("secret \\| words"), "{}", read("r.md"));
    assert!(!read("r.html").contains("http://") && !read("r.html").contains("https://"), "a page needs no network");
}

#[test]
fn another_ending_or_a_missing_folder_is_refused_before_anything_runs() {
    let bench = Bench::empty();
    let wrong = bench.run(&["eval", "none.csv", "--report", "out.pdf"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("give it .html, .md or .json"), "{}", wrong.stderr);
    bench
        .run(&["eval", "none.csv", "--labeler", "vote", "--report", "no/out.html"])
        .fails_with(&["--report no/out.html", "no folder no"]);
}

#[test]
#[ignore = "needs chromium; scripts/test installs it where it can, and runs it"]
fn the_page_works_in_a_browser() {
    let bench = Bench::with_model_and_store();
    let (browser, file) = (Browser::find(), report_of_vote(&bench));
    let page = browser.open(&bench, &file, "");
    assert!(page.console.is_empty(), "{:?}", page.console);
    let plots = page.dom.matches("<svg class=\"plot framed\"").count();
    assert_eq!(plots, 5, "coverage, two of reliability, two of time");
    assert!(page.dom.contains("<svg class=\"plot flush\""), "accuracy");
    for part in
        ["Coverage against precision", "Reliability", "Accuracy by case", "Confusion", "Mistakes", "Run it again"]
    {
        assert!(page.dom.contains(part), "{part}");
    }
    assert!(page.dom.contains("retrieved is right on 8"), "the headline says what came out");
    for part in ["retrieved: vote, by the examples most like the ticket", "ticket-router calibrate makes a probability"]
    {
        assert!(page.dom.contains(part), "{part}");
    }

    let names = |hash: &str| {
        let page = browser.open(&bench, &file, hash);
        assert!(page.console.is_empty(), "{:?}", page.console);
        page.rows_after("id=\"intents\"").into_iter().map(String::from).collect::<Vec<_>>()
    };
    let (mut sorted, by_name) = (names(""), names("#sort=intent"));
    assert_ne!(sorted, by_name, "the weakest come first unless asked");
    sorted.sort_by_key(|name| name.to_lowercase());
    assert_eq!(sorted, by_name);
    let backwards = names("#sort=intent&down");
    assert!(by_name.iter().rev().eq(&backwards));
    let page = browser.open(&bench, &file, "#find=refund&arm=1&sort=f1");
    assert!(page.dom.contains("data-intents=\"refund_request\"><th"), "what fits stays");
    assert!(page.dom.contains("data-intents=\"order_status\" hidden"), "what does not is hidden");
    assert!(page.dom.contains("aria-sort=\"ascending\""));

    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.png");
    let shot = format!("--screenshot={}", picture.display());
    browser.run(&bench, &file, "", &[&shot, "--window-size=1280,900"]).ok();
    assert!(fs::metadata(&picture).unwrap().len() > 20_000, "{}", picture.display());
}

/// What strangers write, answered and reported as a page and as Markdown.
async fn hostile_report() -> (Bench, PathBuf) {
    let bench = Bench::with_small_store();
    let rows = HOSTILE.iter().enumerate().map(|(i, text)| {
        let gold = if i == 0 { "<b onclick=x>gold</b>" } else { "password_reset" };
        serde_json::json!({"id": format!("<i>{i}"), "text": text, "intent": gold}).to_string() + "\n"
    });
    bench.write("<test>.jsonl", rows.collect::<String>());
    let double = Double::answering(tagged("order_status")).await;
    let args = ["eval", "<test>.jsonl", "--report", "out.html", "--report", "out.md"];
    double.run(&bench, &args).ok();
    let file = bench.dir.path().join("out.html");
    (bench, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_write_is_shown_and_is_no_markup() {
    let (bench, file) = hostile_report().await;
    let html = fs::read_to_string(&file).unwrap();
    for part in ["<script>document", "<img", "onload=document.title='", "<i>", "<b onclick", "\u{1b}", "\u{1}"] {
        assert!(!html.contains(part), "{part:?}");
    }
    assert!(html.contains("{{7*7}}{% raw %}${7*7}"), "a template in a text stays a text");
    assert!(html.contains("␛[31m"), "control characters can be seen");
    assert_eq!(html.matches("</script>").count(), 1);
    assert!(html.contains("Accuracy against cost"), "Claude's answers have a cost");
    let markdown = fs::read_to_string(bench.dir.path().join("out.md")).unwrap();
    assert!(!markdown.contains("<script") && !markdown.contains("\n# heading"), "{markdown}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium; scripts/test installs it where it can, and runs it"]
async fn what_strangers_write_does_nothing_in_a_browser() {
    let browser = Browser::find();
    let (bench, file) = hostile_report().await;
    let page = browser.open(&bench, &file, "");
    assert!(page.console.is_empty(), "{:?}", page.console);
    assert!(page.dom.contains("<title>Evaluation: &lt;test&gt;.jsonl</title>"), "nobody changed the title");
    assert!(!page.dom.contains("<img") && !page.dom.contains("<b onclick"));
}
