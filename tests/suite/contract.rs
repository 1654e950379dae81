//! The contract of `ExampleStore`, held against every store: the one in memory, the embedded one, the server one on
//! a double of a server, and the server one on a real server when
//! `TICKET_ROUTER_TEST_QDRANT_URL` is set (its key in `QDRANT_API_KEY`). On a real server each test has a
//! collection of its own, which it removes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use ticket_router::store::{Connection, ServerStore};
use ticket_router::{EdgeStore, ExampleStore, MemoryStore};
use uuid::Uuid;

use crate::qdrant_double::QdrantDouble;

#[path = "contract/contents.rs"]
mod contents;
#[path = "contract/data.rs"]
pub mod data;
#[path = "contract/examples.rs"]
mod examples;
#[path = "contract/parallel.rs"]
mod parallel;
#[path = "contract/search.rs"]
mod search;

use data::DIMENSION;

/// Where a store is, and how it is opened there.
#[async_trait]
pub trait Place: Send + Sync {
    /// A new one; `None` where there is no such server.
    fn there() -> Option<Self>
    where
        Self: Sized;

    /// Opens the store, or makes an empty one.
    async fn open(&self) -> Arc<dyn ExampleStore>;

    /// What another reader has beside an open store: one of its own, where there may be many.
    async fn beside(&self, _: &Arc<dyn ExampleStore>) -> Arc<dyn ExampleStore> {
        self.open().await
    }

    /// The engine starts anew, with what it has on disk. The store is not open then.
    fn restart(&self) {}

    /// How many contents are kept, where it can be told.
    fn contents(&self) -> Option<usize> {
        None
    }

    /// How many contents that were replaced may stay for a while.
    fn replaced(&self) -> usize {
        0
    }
}

struct Memory(MemoryStore);

#[async_trait]
impl Place for Memory {
    fn there() -> Option<Self> {
        Some(Self(MemoryStore::new(DIMENSION)))
    }

    async fn open(&self) -> Arc<dyn ExampleStore> {
        Arc::new(self.0.clone())
    }
}

struct Folder(TempDir);

#[async_trait]
impl Place for Folder {
    fn there() -> Option<Self> {
        Some(Self(TempDir::new().unwrap()))
    }

    async fn open(&self) -> Arc<dyn ExampleStore> {
        Arc::new(EdgeStore::open_or_create(self.0.path(), DIMENSION).await.unwrap())
    }

    async fn beside(&self, store: &Arc<dyn ExampleStore>) -> Arc<dyn ExampleStore> {
        Arc::clone(store)
    }

    fn contents(&self) -> Option<usize> {
        let entries = std::fs::read_dir(self.0.path()).unwrap().flatten();
        Some(entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("generation-")).count())
    }
}

struct Double(QdrantDouble);

#[async_trait]
impl Place for Double {
    fn there() -> Option<Self> {
        Some(Self(QdrantDouble::start()))
    }

    async fn open(&self) -> Arc<dyn ExampleStore> {
        Arc::new(ServerStore::open_or_create(self.0.connection(), "desk", DIMENSION).await.unwrap())
    }

    fn restart(&self) {
        self.0.start_again();
    }

    fn contents(&self) -> Option<usize> {
        Some(self.0.names().0.len())
    }

    fn replaced(&self) -> usize {
        1
    }
}

struct RealServer {
    connection: Connection,
    collection: String,
}

#[async_trait]
impl Place for RealServer {
    fn there() -> Option<Self> {
        let url = std::env::var("TICKET_ROUTER_TEST_QDRANT_URL").ok()?;
        let api_key = std::env::var("QDRANT_API_KEY").ok();
        let connection = Connection { url, api_key, timeout: Duration::from_mins(1) };
        Some(Self { connection, collection: format!("ticket-router-test-{:x}", rand::random::<u64>()) })
    }

    async fn open(&self) -> Arc<dyn ExampleStore> {
        let opened = ServerStore::open_or_create(self.connection.clone(), &self.collection, DIMENSION);
        Arc::new(opened.await.unwrap())
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let (connection, collection) = (self.connection.clone(), self.collection.clone());
        // A thread of its own, because this is called inside a runtime.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(ServerStore::remove(connection, &collection))
        });
        if let Ok(Err(e)) = removing.join() {
            eprintln!("the collection {} stays: {e}", self.collection);
        }
    }
}

/// Every point of the contract, as a test of each store.
macro_rules! contract {
    ($($group:ident: $($point:ident),+;)+) => {
        contract!(@ memory Memory [doc = "Always."] $($($group $point)+)+);
        contract!(@ embedded Folder [doc = "Always."] $($($group $point)+)+);
        contract!(@ server Double [doc = "Always."] $($($group $point)+)+);
        contract!(@ real_server RealServer [ignore = "needs a Qdrant server at TICKET_ROUTER_TEST_QDRANT_URL"]
            $($($group $point)+)+);
    };
    (@ $store:ident $place:ident $when:tt $($group:ident $point:ident)+) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                # $when
                async fn $point() {
                    let place = <super::$place as super::Place>::there().expect("there is such a place");
                    super::$group::$point(&place).await;
                }
            )+
        }
    };
}

contract! {
    examples:
        a_new_store_is_empty,
        writing_the_same_again_changes_nothing,
        an_upsert_replaces_what_was_there,
        an_update_replaces_the_payload_and_keeps_the_vectors,
        deleted_examples_are_gone_and_unknown_keys_are_no_error,
        pages_come_in_the_order_of_keys_and_hold_everything_once,
        intents_are_counted_in_alphabetical_order,
        a_relabel_changes_exactly_one_intent,
        an_index_run_with_prune_takes_out_what_the_files_no_longer_hold,
        what_was_acknowledged_is_there_after_reopening,
        changes_after_much_was_written_stay;
    search:
        the_nearest_come_first_with_their_vectors,
        rare_words_count_more_and_no_words_find_nothing,
        filters_hold_for_both_kinds_of_hits,
        times_are_compared_as_moments,
        excluded_examples_are_not_found,
        scores_are_those_of_the_embedded_store;
    contents:
        blobs_are_kept_byte_for_byte,
        blobs_are_no_examples,
        blobs_that_are_written_at_once_stay_whole,
        readers_see_the_old_content_until_a_rebuild_is_committed,
        a_rebuild_that_is_dropped_leaves_nothing,
        a_snapshot_stays_what_it_was_while_the_store_goes_on,
        small_changes_during_a_rebuild_are_in_its_content,
        a_second_rebuild_waits_for_the_first,
        every_change_changes_the_revision,
        a_named_rebuild_goes_on_where_it_was,
        a_rebuild_may_change_the_dimension,
        a_rebuild_that_expects_many_holds_the_few_it_gets;
    parallel:
        readers_see_whole_contents_while_rebuilds_switch,
        readers_are_served_while_examples_are_written;
}

/// A key that no example has.
fn unknown_key() -> Uuid {
    Uuid::from_u128(7)
}
