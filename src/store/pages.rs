//! A whole store, page by page.

use uuid::Uuid;

use super::{Content, StoredExample};
use crate::Result;

/// How many examples a page has: some megabytes with their vectors.
const PAGE: usize = 1_024;

/// Goes through all examples of a store in the order of their keys.
pub struct Pages<'a> {
    store: &'a dyn Content,
    with_vectors: bool,
    next: Next,
}

enum Next {
    From(Option<Uuid>),
    End,
}

impl<'a> Pages<'a> {
    /// From the first example on.
    #[must_use]
    pub fn of(store: &'a dyn Content, with_vectors: bool) -> Self {
        Self::after(store, with_vectors, None)
    }

    /// From this key on.
    #[must_use]
    pub fn after(store: &'a dyn Content, with_vectors: bool, start: Option<Uuid>) -> Self {
        Self { store, with_vectors, next: Next::From(start) }
    }

    /// The key at which the next page starts; `None` at the end.
    #[must_use]
    pub fn position(&self) -> Option<Uuid> {
        match self.next {
            Next::From(start) => start,
            Next::End => None,
        }
    }

    /// The next page; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<StoredExample>>> {
        let Next::From(start) = self.next else { return Ok(None) };
        let (page, following) = self.store.scroll(start, PAGE, self.with_vectors).await?;
        self.next = following.map_or(Next::End, |key| Next::From(Some(key)));
        Ok(Some(page))
    }
}
