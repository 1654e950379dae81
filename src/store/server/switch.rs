//! The switch: serves one collection in the place of another, unless somebody else did so first.
//!
//! Every served collection has a second alias, its token. A rebuild renames it, when it begins, to a name of its
//! own. Its switch is one call, whose first action renames that: the server carries the actions out under one lock,
//! in their order, and refuses to rename what is not there, so that nothing happens where another rebuild has begun
//! or switched since.

use std::time::{Duration, Instant};

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::{AliasOperations, ChangeAliases, CreateAlias, RenameAlias};
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Request, Status};

use super::call::{Server, is_passing};
use crate::{Error, Result};

/// The suffix of a collection's token; while a rebuild is under way, its owner follows.
pub(super) const TOKEN: &str = "-token";
/// The pause before a failed call is tried again.
const PAUSE: Duration = Duration::from_millis(200);

fn token(collection: &str) -> String {
    format!("{collection}{TOKEN}")
}

fn create(alias: &str, collection: &str) -> Action {
    Action::CreateAlias(CreateAlias { alias_name: alias.to_owned(), collection_name: collection.to_owned() })
}

fn rename(old: &str, new: &str) -> Action {
    Action::RenameAlias(RenameAlias { old_alias_name: old.to_owned(), new_alias_name: new.to_owned() })
}

impl Server {
    /// Gives the token of a collection to `owner`, so that nobody else can replace the collection any more, and
    /// returns the token's name. A collection of an earlier version has no token yet.
    pub(super) async fn own_token(&self, collection: &str, owner: &str) -> Result<String> {
        let wanted = format!("{}-{owner}", token(collection));
        let begun = Instant::now();
        loop {
            let aliases = self.aliases().await?;
            let of_this = |(alias, of): &&(String, String)| of == collection && alias.starts_with(&token(collection));
            let action = match aliases.iter().find(of_this) {
                Some((found, _)) if *found == wanted => return Ok(wanted),
                Some((found, _)) => rename(found, &wanted),
                None => create(&wanted, collection),
            };
            match self.change_aliases(vec![action]).await {
                Ok(()) => return Ok(wanted),
                // Somebody else renamed it at the same moment.
                Err(status) if is_passing(&status) || status.code() == Code::NotFound => {
                    if begun.elapsed() > self.timeout {
                        return Err(self.failed_with("taking over an alias", &status));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(self.failed_with("taking over an alias", &status)),
            }
        }
    }

    /// Serves `next` under the alias `name`, in the place of `old`, whose token is `owned`. If `kept` is given,
    /// `old` is found under that name from then on. Fails and changes nothing where the token is somebody else's.
    pub(super) async fn switch(
        &self,
        name: &str,
        (old, owned): (&str, &str),
        next: &str,
        kept: Option<&str>,
    ) -> Result<()> {
        let mut actions = vec![rename(owned, &token(next)), create(&token(next), next), create(name, next)];
        actions.extend(kept.map(|kept| create(kept, old)));
        let begun = Instant::now();
        loop {
            let Err(refused) = self.change_aliases(actions.clone()).await else { return Ok(()) };
            // The switch may be done although the answer was lost or says otherwise.
            let served = self.behind(name).await?;
            match served.as_deref() {
                Some(served) if served == next => return Ok(()),
                Some(served) if served == old && is_passing(&refused) && begun.elapsed() < self.timeout => {
                    tokio::time::sleep(PAUSE).await;
                }
                Some(served) if served == old && refused.code() != Code::NotFound => {
                    return Err(self.failed_with("switching the alias", &refused));
                }
                served => {
                    let instead = served.map(|served| format!(" (it serves {served} now)")).unwrap_or_default();
                    return Err(Error::store(format!(
                        "the Qdrant server {}: another run took {name:?} over{instead}; nothing was changed by this one, \
                         run it again",
                        self.url
                    )));
                }
            }
        }
    }

    /// Serves a store's first collection.
    pub(super) async fn serve_first(&self, name: &str, collection: &str) -> Result<()> {
        let actions = vec![create(&token(collection), collection), create(name, collection)];
        let begun = Instant::now();
        loop {
            match self.change_aliases(actions.clone()).await {
                Ok(()) => return Ok(()),
                Err(status) if is_passing(&status) && begun.elapsed() < self.timeout => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(self.failed_with("naming the first collection", &status)),
            }
        }
    }

    /// Sends all actions in one call, once. The client's own method sends one action at a time.
    async fn change_aliases(&self, actions: Vec<Action>) -> Result<(), Status> {
        let mut client = CollectionsClient::new(self.channel().await?);
        let actions = actions.into_iter().map(|action| AliasOperations { action: Some(action) }).collect();
        let mut request = Request::new(ChangeAliases { actions, timeout: None });
        if let Some(key) = &self.api_key {
            let key = key.parse().map_err(|_| Status::invalid_argument("the key has characters that no key has"))?;
            request.metadata_mut().insert("api-key", key);
        }
        client.update_aliases(request).await.map(|_| ())
    }

    async fn channel(&self) -> Result<Channel, Status> {
        let wrong = |e: tonic::transport::Error| Status::unavailable(format!("Failed to connect: {e}"));
        let mut endpoint = Channel::from_shared(self.url.clone())
            .map_err(|e| Status::invalid_argument(format!("this is no address: {e}")))?
            .timeout(self.timeout)
            .connect_timeout(self.timeout);
        if self.url.starts_with("https://") {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(wrong)?;
        }
        endpoint.connect().await.map_err(wrong)
    }
}
