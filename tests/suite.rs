//! The integration tests, one program so that the engine is linked once.
//!
//! Logic is tested in this process on a `fixture::Desk`; the program is started, in a `fixture::Bench`, for what the
//! command line promises.
//!
//! Where a new test goes: what the program does by command in `index`, `classify`, `eval`
//! (`eval_arms`, `eval_figures`, `eval_honest`), `calibrate`, `lint`, `store`, `taxonomy`; what is retrieved and how it is used in `retrieval`, the way down a taxonomy in
//! `hierarchy`; in `attributes` and `shortlist` what is asked beside the intent and which
//! intents are offered; messages about bad input and a bad set-up in `bad_input`; the API's
//! behaviour in `claude_*`, against the double in `raw_double` where it must misbehave; killed
//! runs in `kill`; what every store must do in `contract`, readers that run while others write in `follow`, and a Qdrant server's misbehaviour in
//! `server_faults`, both against `qdrant_double`; rendered prompts and request bodies in `prompts`; the library in `library`, how it works on many tickets at once in `pipeline`;
//! the provided models in `embedders`; `examples_db` itself in `data`; the documentation in `docs`; the order of the layers in
//! `layers`; how many types are public in `surface`. Pure stages have their tests beside them in `src`.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::format_collect,
    clippy::useless_vec,
    reason = "tests fail loudly, count little and compare what was printed"
)]

#[path = "suite/attributes.rs"]
mod attributes;
#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/calibrate.rs"]
mod calibrate;
#[path = "suite/classify.rs"]
mod classify;
#[path = "suite/claude_batch.rs"]
mod claude_batch;
#[path = "suite/claude_cost.rs"]
mod claude_cost;
#[path = "suite/claude_faults.rs"]
mod claude_faults;
#[path = "suite/claude_journal.rs"]
mod claude_journal;
#[path = "suite/claude_library.rs"]
mod claude_library;
#[path = "suite/contract.rs"]
mod contract;
#[path = "suite/data.rs"]
mod data;
#[path = "suite/docs.rs"]
mod docs;
#[path = "suite/double.rs"]
mod double;
#[path = "suite/embedders.rs"]
mod embedders;
#[path = "suite/eval.rs"]
mod eval;
#[path = "suite/eval_arms.rs"]
mod eval_arms;
#[path = "suite/eval_figures.rs"]
mod eval_figures;
#[path = "suite/eval_honest.rs"]
mod eval_honest;
#[path = "suite/fixture.rs"]
mod fixture;
#[path = "suite/follow.rs"]
mod follow;
#[path = "suite/hierarchy.rs"]
mod hierarchy;
#[path = "suite/index.rs"]
mod index;
#[path = "suite/kill.rs"]
mod kill;
#[path = "suite/layers.rs"]
mod layers;
#[path = "suite/library.rs"]
mod library;
#[path = "suite/lint.rs"]
mod lint;
#[path = "suite/pipeline.rs"]
mod pipeline;
#[path = "suite/prompts.rs"]
mod prompts;
#[path = "suite/qdrant_double.rs"]
mod qdrant_double;
#[path = "suite/raw_double.rs"]
mod raw_double;
#[path = "suite/report.rs"]
mod report;
#[path = "suite/retrieval.rs"]
mod retrieval;
#[path = "suite/server_faults.rs"]
mod server_faults;
#[path = "suite/shortlist.rs"]
mod shortlist;
#[path = "suite/store.rs"]
mod store;
#[path = "suite/surface.rs"]
mod surface;
#[path = "suite/taxonomy.rs"]
mod taxonomy;
