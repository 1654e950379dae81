//! Where a store is: a folder, or a collection on a Qdrant server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::server::is_generation;
use super::{CollectionSettings, Connection, EdgeStore, ExampleStore, ServerStore};
use crate::{Error, Result};

const DEFAULT_COLLECTION: &str = "ticket-router";
/// Qdrant's port for gRPC.
const DEFAULT_PORT: u16 = 6334;

/// What `--store` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A folder, with Qdrant's engine in this process.
    Folder(PathBuf),
    /// A Qdrant server or cluster.
    Server {
        /// `http(s)://host:port`
        url: String,
        /// The name under which the examples are found there.
        collection: String,
    },
}

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// How Qdrant keeps the generations that are built from now on.
    pub settings: CollectionSettings,
    /// The key that a server asks for.
    pub api_key: Option<String>,
    /// How long one request to a server may take.
    pub timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { settings: CollectionSettings::default(), api_key: None, timeout: Duration::from_secs(30) }
    }
}

impl StoreLocation {
    /// Opens the store that is there; `None` when there is none.
    pub async fn find(&self, options: &StoreOptions) -> Result<Option<Arc<dyn ExampleStore>>> {
        let settings = options.settings.clone();
        Ok(match self {
            Self::Folder(root) if !EdgeStore::exists(root) => None,
            Self::Folder(root) => Some(Arc::new(EdgeStore::open(root).await?.with_settings(settings))),
            Self::Server { url, collection } => ServerStore::find(options.connection(url), collection)
                .await?
                .map(|store| Arc::new(store.with_settings(settings)) as Arc<dyn ExampleStore>),
        })
    }

    /// Opens the store that is there; fails when there is none.
    pub async fn open(&self, options: &StoreOptions) -> Result<Arc<dyn ExampleStore>> {
        let settings = options.settings.clone();
        Ok(match self {
            Self::Folder(root) => Arc::new(EdgeStore::open(root).await?.with_settings(settings)),
            Self::Server { url, collection } => {
                Arc::new(ServerStore::open(options.connection(url), collection).await?.with_settings(settings))
            }
        })
    }

    /// Opens the store that is there, or makes an empty one for vectors of `dimension` numbers.
    pub async fn open_or_create(&self, options: &StoreOptions, dimension: usize) -> Result<Arc<dyn ExampleStore>> {
        let settings = options.settings.clone();
        Ok(match self {
            Self::Folder(root) => Arc::new(EdgeStore::open_or_create(root, dimension).await?.with_settings(settings)),
            Self::Server { url, collection } => {
                let store = ServerStore::open_or_create(options.connection(url), collection, dimension).await?;
                Arc::new(store.with_settings(settings))
            }
        })
    }

    /// Removes the store that is there; fails when there is none.
    pub async fn remove(&self, options: &StoreOptions) -> Result<()> {
        match self {
            Self::Folder(root) => EdgeStore::remove(root).await,
            Self::Server { url, collection } => ServerStore::remove(options.connection(url), collection).await,
        }
    }
}

impl StoreOptions {
    fn connection(&self, url: &str) -> Connection {
        Connection { url: url.to_owned(), api_key: self.api_key.clone(), timeout: self.timeout }
    }
}

impl FromStr for StoreLocation {
    type Err = Error;

    /// A folder, or `http(s)://host[:port][/collection]`.
    fn from_str(text: &str) -> Result<Self> {
        if !text.contains("://") {
            return Ok(Self::Folder(text.into()));
        }
        let wrong = |what: &str| {
            Error::configuration(format!(
                "--store {text}: {what}; write it as http://host:6334 or https://host:6334/collection"
            ))
        };
        let url = url::Url::parse(text).map_err(|e| wrong(&format!("this is no address ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("a server is reached by http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("an address holds no key; set QDRANT_API_KEY"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("an address ends with the collection"));
        }
        let host = url.host_str().ok_or_else(|| wrong("the host is missing"))?;
        let collection = match url.path().trim_matches('/') {
            "" => DEFAULT_COLLECTION,
            name => name,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if collection.len() > 200 || !collection.chars().all(is_name) {
            return Err(wrong("a collection's name has letters, digits, '-', '_' and '.', and at most 200 of them"));
        }
        if is_generation(collection) {
            return Err(wrong("names that end in -g and a number are taken: leave that ending out"));
        }
        // What the user wrote: Url leaves the scheme's own port out, and so does the client.
        let port = url.port().or(text.contains(&format!("{host}:")).then(|| url.port_or_known_default()).flatten());
        Ok(Self::Server {
            url: format!("{}://{host}:{}", url.scheme(), port.unwrap_or(DEFAULT_PORT)),
            collection: collection.to_owned(),
        })
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Server { url, collection } => write!(f, "{url}/{collection}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> (String, String) {
        match text.parse().unwrap() {
            StoreLocation::Server { url, collection } => (url, collection),
            StoreLocation::Folder(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn a_path_is_a_folder() {
        for path in [".ticket-router", "/var/lib/desk", "c:/desk", "http"] {
            assert_eq!(path.parse::<StoreLocation>().unwrap(), StoreLocation::Folder(path.into()));
        }
    }

    #[test]
    fn an_address_has_a_port_and_a_collection() {
        let pair = |url: &str, name: &str| (url.to_owned(), name.to_owned());
        assert_eq!(server("http://qdrant"), pair("http://qdrant:6334", "ticket-router"));
        assert_eq!(server("https://q.example:443/desk/"), pair("https://q.example:443", "desk"));
        assert_eq!(server("http://[::1]:7000/a.b"), pair("http://[::1]:7000", "a.b"));
        assert_eq!("http://q/desk".parse::<StoreLocation>().unwrap().to_string(), "http://q:6334/desk");
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        let wrong =
            ["ftp://q", "http://", "http://:80", "http://k@q", "http://q/a/b", "http://q/desk-g2", "http://q?a=b"];
        for text in wrong {
            let message = text.parse::<StoreLocation>().unwrap_err().to_string();
            assert!(message.contains(text) && message.contains("http://host:6334"), "{message}");
        }
    }
}
