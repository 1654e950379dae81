//! Collections and aliases, by the rules of the server's table of content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::qdrant_server::Qdrant;
use qdrant_client::qdrant::{self as wire, FacetHit};
use qdrant_client::qdrant::{
    AliasDescription, ChangeAliases, CollectionClusterInfoRequest, CollectionClusterInfoResponse, CollectionConfig,
    CollectionDescription, CollectionExists, CollectionExistsRequest, CollectionExistsResponse, CollectionInfo,
    CollectionOperationResponse, CollectionParams, CollectionStatus, CreateAlias, CreateCollection,
    CreateShardKeyRequest, CreateShardKeyResponse, DeleteCollection, DeleteShardKeyRequest, DeleteShardKeyResponse,
    GetCollectionInfoRequest, GetCollectionInfoResponse, HealthCheckReply, HealthCheckRequest, ListAliasesRequest,
    ListAliasesResponse, ListCollectionAliasesRequest, ListCollectionsRequest, ListCollectionsResponse,
    ListShardKeysRequest, ListShardKeysResponse, OptimizerStatus, UpdateCollection,
    UpdateCollectionClusterSetupRequest, UpdateCollectionClusterSetupResponse,
};
use qdrant_edge::{EdgeShard, FacetRequest, FacetValue};
use tonic::{Request, Response, Status};

use super::points::not_here;
use super::{Services, convert};

/// A collection: its settings as they were given, and its one shard.
pub(super) struct Collection {
    config: CollectionConfig,
    folder: PathBuf,
    /// The engine's flush wants to be alone, so that writes take the lock alone.
    pub(super) shard: RwLock<EdgeShard>,
    /// All intents that any point ever had: a server's index keeps those that none has any more.
    intents: Mutex<BTreeSet<String>>,
}

impl Collection {
    fn new(config: CollectionConfig, folder: PathBuf, shard: EdgeShard) -> Self {
        Self { config, folder, shard: RwLock::new(shard), intents: Mutex::default() }
    }

    /// After each write.
    pub(super) fn remember_intents(&self) {
        let Ok(found) = self.shard.read().unwrap().facet(intents()) else { return };
        let names = found.hits.into_iter().filter_map(|hit| match hit.value {
            FacetValue::Keyword(name) => Some(name),
            _ => None,
        });
        self.intents.lock().unwrap().extend(names);
    }

    /// Those that no point has any more, among all that there were.
    pub(super) fn forsaken_intents(&self, found: &[FacetHit]) -> Vec<FacetHit> {
        let hit = |name: &String| FacetHit {
            value: Some(wire::FacetValue { variant: Some(Variant::StringValue(name.clone())) }),
            count: 0,
        };
        let all = self.intents.lock().unwrap();
        all.iter().map(hit).filter(|hit| found.iter().all(|found| found.value != hit.value)).collect()
    }

    fn info(&self) -> CollectionInfo {
        let info = self.shard.read().unwrap().info();
        CollectionInfo {
            status: CollectionStatus::Green.into(),
            optimizer_status: Some(OptimizerStatus { ok: true, error: String::new() }),
            segments_count: info.segments_count as u64,
            config: Some(self.config.clone()),
            payload_schema: info
                .payload_schema
                .iter()
                .map(|(key, index)| (key.to_string(), convert::payload_schema(index)))
                .collect(),
            points_count: Some(info.points_count as u64),
            indexed_vectors_count: Some(info.indexed_vectors_count as u64),
            ..CollectionInfo::default()
        }
    }
}

fn intents() -> FacetRequest {
    FacetRequest { key: "intent".parse().unwrap(), limit: usize::MAX >> 1, filter: None, exact: true }
}

/// All that a server keeps.
pub(super) struct Catalogue {
    root: PathBuf,
    content: RwLock<Content>,
}

#[derive(Default)]
struct Content {
    collections: BTreeMap<String, Arc<Collection>>,
    aliases: BTreeMap<String, String>,
}

impl Content {
    /// A collection by its own name or by an alias.
    fn resolve(&self, name: &str) -> Result<Arc<Collection>, Status> {
        let own = self.aliases.get(name).map_or(name, String::as_str);
        let found = self.collections.get(name).or_else(|| self.collections.get(own));
        found.cloned().ok_or_else(|| absent(name))
    }

    fn validate_absent(&self, name: &str) -> Result<(), Status> {
        if self.collections.contains_key(name) {
            return Err(Status::already_exists(format!("Wrong input: Collection `{name}` already exists!")));
        }
        Ok(())
    }

    fn apply(&mut self, action: Action) -> Result<(), Status> {
        match action {
            Action::CreateAlias(CreateAlias { collection_name, alias_name }) => {
                if !self.collections.contains_key(&collection_name) {
                    return Err(absent(&collection_name));
                }
                self.validate_absent(&alias_name)?;
                self.aliases.insert(alias_name, collection_name);
            }
            Action::RenameAlias(rename) => {
                let Some(collection) = self.aliases.remove(&rename.old_alias_name) else {
                    let old = rename.old_alias_name;
                    return Err(Status::not_found(format!("Not found: Alias {old} does not exists!")));
                };
                self.aliases.insert(rename.new_alias_name, collection);
            }
            Action::DeleteAlias(delete) => {
                self.aliases.remove(&delete.alias_name);
            }
        }
        Ok(())
    }
}

/// A process that another test is just about to start holds copies of all locks for a moment.
fn load(folder: &Path) -> EdgeShard {
    let begun = Instant::now();
    loop {
        match EdgeShard::load(folder, None) {
            Ok(shard) => return shard,
            Err(e) => assert!(begun.elapsed() < Duration::from_secs(10), "{e}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn absent(name: &str) -> Status {
    Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"))
}

impl Catalogue {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), content: RwLock::default() }
    }

    pub(super) fn resolve(&self, name: &str) -> Result<Arc<Collection>, Status> {
        self.content.read().unwrap().resolve(name)
    }

    pub(super) fn names(&self) -> (Vec<String>, Vec<(String, String)>) {
        let content = self.content.read().unwrap();
        (content.collections.keys().cloned().collect(), content.aliases.clone().into_iter().collect())
    }

    /// Lets go of all shards and reads them from disk again.
    pub(super) fn reload(&self) {
        let collections = &mut self.content.write().unwrap().collections;
        for (name, collection) in std::mem::take(collections) {
            let Collection { config, folder, shard, .. } = Arc::into_inner(collection).expect("nobody is served");
            drop(shard);
            let shard = load(&folder);
            collections.insert(name, Arc::new(Collection::new(config, folder, shard)));
        }
    }

    fn create(&self, request: CreateCollection) -> Result<(), Status> {
        let name = request.collection_name.clone();
        // Alone from the first look to the insertion, as on the server.
        let mut content = self.content.write().unwrap();
        content.validate_absent(&name)?;
        if content.aliases.contains_key(&name) {
            return Err(Status::invalid_argument(format!(
                "Wrong input: Can't create collection with name {name}. Alias with the same name already exists"
            )));
        }
        let engine = convert::engine_config(&request)?;
        let folder = self.root.join(&name);
        std::fs::create_dir(&folder)?;
        let shard = EdgeShard::new(&folder, engine).map_err(|e| convert::refused(&e))?;
        let config = CollectionConfig {
            params: Some(CollectionParams {
                shard_number: request.shard_number.unwrap_or(1),
                vectors_config: request.vectors_config,
                sparse_vectors_config: request.sparse_vectors_config,
                replication_factor: Some(request.replication_factor.unwrap_or(1)),
                write_consistency_factor: Some(request.write_consistency_factor.unwrap_or(1)),
                ..CollectionParams::default()
            }),
            hnsw_config: request.hnsw_config,
            optimizer_config: request.optimizers_config,
            wal_config: request.wal_config,
            quantization_config: request.quantization_config,
            strict_mode_config: request.strict_mode_config,
            metadata: request.metadata,
        };
        content.collections.insert(name, Arc::new(Collection::new(config, folder, shard)));
        Ok(())
    }

    /// Removes a collection and its aliases; says whether there was one.
    fn delete(&self, name: &str) -> bool {
        let removed = {
            let mut content = self.content.write().unwrap();
            content.aliases.retain(|_, collection| collection != name);
            content.collections.remove(name)
        };
        let Some(mut removed) = removed else { return false };
        // Those who read it may finish.
        let Collection { folder, shard, .. } = loop {
            match Arc::try_unwrap(removed) {
                Ok(alone) => break alone,
                Err(shared) => removed = shared,
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        drop(shard);
        std::fs::remove_dir_all(folder).unwrap();
        true
    }

    fn aliases(&self, wanted: impl Fn(&str) -> bool) -> ListAliasesResponse {
        let content = self.content.read().unwrap();
        let aliases = content.aliases.iter().filter(|(_, collection)| wanted(collection));
        let description = |(alias, collection): (&String, &String)| AliasDescription {
            alias_name: alias.clone(),
            collection_name: collection.clone(),
        };
        ListAliasesResponse { aliases: aliases.map(description).collect(), time: 0.0 }
    }
}

fn done(result: bool) -> Response<CollectionOperationResponse> {
    Response::new(CollectionOperationResponse { result, time: 0.0 })
}

#[tonic::async_trait]
impl Qdrant for Services {
    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckReply>, Status> {
        let version = self.door.behaviour().version.clone();
        Ok(Response::new(HealthCheckReply { title: "qdrant - vector search engine".into(), version, commit: None }))
    }
}

#[tonic::async_trait]
impl Collections for Services {
    async fn get(
        &self,
        request: Request<GetCollectionInfoRequest>,
    ) -> Result<Response<GetCollectionInfoResponse>, Status> {
        let name = request.into_inner().collection_name;
        let result = Some(self.blocking(move |catalogue| Ok(catalogue.resolve(&name)?.info())).await?);
        Ok(Response::new(GetCollectionInfoResponse { result, time: 0.0 }))
    }

    async fn list(&self, _: Request<ListCollectionsRequest>) -> Result<Response<ListCollectionsResponse>, Status> {
        let collections = self.catalogue.names().0.into_iter().map(|name| CollectionDescription { name }).collect();
        Ok(Response::new(ListCollectionsResponse { collections, time: 0.0 }))
    }

    async fn create(
        &self,
        request: Request<CreateCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let request = request.into_inner();
        self.blocking(move |catalogue| catalogue.create(request)).await?;
        Ok(done(true))
    }

    async fn delete(
        &self,
        request: Request<DeleteCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let name = request.into_inner().collection_name;
        Ok(done(self.blocking(move |catalogue| Ok(catalogue.delete(&name))).await?))
    }

    /// One after the other under one lock; those before one that fails stay done.
    async fn update_aliases(
        &self,
        request: Request<ChangeAliases>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let mut content = self.catalogue.content.write().unwrap();
        for operation in request.into_inner().actions {
            let action = operation.action.ok_or_else(|| Status::invalid_argument("Malformed AliasOperation type"))?;
            content.apply(action)?;
        }
        Ok(done(true))
    }

    async fn list_collection_aliases(
        &self,
        request: Request<ListCollectionAliasesRequest>,
    ) -> Result<Response<ListAliasesResponse>, Status> {
        let name = request.into_inner().collection_name;
        Ok(Response::new(self.catalogue.aliases(|collection| collection == name)))
    }

    async fn list_aliases(&self, _: Request<ListAliasesRequest>) -> Result<Response<ListAliasesResponse>, Status> {
        Ok(Response::new(self.catalogue.aliases(|_| true)))
    }

    async fn collection_exists(
        &self,
        request: Request<CollectionExistsRequest>,
    ) -> Result<Response<CollectionExistsResponse>, Status> {
        let exists = self.catalogue.resolve(&request.into_inner().collection_name).is_ok();
        Ok(Response::new(CollectionExistsResponse { result: Some(CollectionExists { exists }), time: 0.0 }))
    }

    not_here! {
        update: UpdateCollection => CollectionOperationResponse;
        collection_cluster_info: CollectionClusterInfoRequest => CollectionClusterInfoResponse;
        update_collection_cluster_setup: UpdateCollectionClusterSetupRequest => UpdateCollectionClusterSetupResponse;
        create_shard_key: CreateShardKeyRequest => CreateShardKeyResponse;
        delete_shard_key: DeleteShardKeyRequest => DeleteShardKeyResponse;
        list_shard_keys: ListShardKeysRequest => ListShardKeysResponse;
    }
}
