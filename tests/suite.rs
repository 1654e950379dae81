//! The integration tests, one program so that the engine is linked once.
//!
//! Where a new test goes: what the program does by command in `index`, `classify`, `eval`;
//! messages about bad input and a bad set-up in `bad_input`; killed runs in `kill`; rendered
//! prompts and request bodies in `prompts`; the library in `library`; `examples_db` itself
//! in `data`. Pure stages have their tests beside them in `src`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "suite/bad_input.rs"]
mod bad_input;
#[path = "suite/classify.rs"]
mod classify;
#[path = "suite/data.rs"]
mod data;
#[path = "suite/double.rs"]
mod double;
#[path = "suite/eval.rs"]
mod eval;
#[path = "suite/fixture.rs"]
mod fixture;
#[path = "suite/index.rs"]
mod index;
#[path = "suite/kill.rs"]
mod kill;
#[path = "suite/library.rs"]
mod library;
#[path = "suite/prompts.rs"]
mod prompts;
