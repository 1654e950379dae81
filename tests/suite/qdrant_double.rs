//! A double of a Qdrant server: the interfaces of its gRPC services on a real port, answered by its engine.
//!
//! What it answers, errors included, is what the server's source says for 1.18; what is not used
//! is `Unimplemented`. It differs from a server in that it has one shard whatever it was asked
//! for, never builds a graph, and keeps settings and aliases in memory: the shards are in a
//! folder and outlive [`QdrantDouble::stop`].
//!
//! To try the program by hand against it:
//! `cargo test --release --test suite serve_until_killed -- --ignored --nocapture`

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::QdrantServer;
use tempfile::TempDir;
use ticket_router::store::Connection;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::fixture::{Bench, Outcome};

#[path = "qdrant_double/collections.rs"]
mod collections;
#[path = "qdrant_double/convert.rs"]
mod convert;
#[path = "qdrant_double/door.rs"]
mod door;
#[path = "qdrant_double/points.rs"]
mod points;

use collections::Catalogue;
pub use door::Fault;
use door::{Door, Guarded};

/// The services: what they answer from.
#[derive(Clone)]
struct Services {
    catalogue: Arc<Catalogue>,
    door: Arc<Door>,
}

/// A server in this process; it stops when it is dropped.
pub struct QdrantDouble {
    address: SocketAddr,
    catalogue: Arc<Catalogue>,
    door: Arc<Door>,
    tls: Option<Tls>,
    running: Mutex<Option<Runtime>>,
    folder: TempDir,
}

/// A certificate for `localhost` and its key, in PEM.
struct Tls {
    certificate: String,
    key: String,
}

impl QdrantDouble {
    pub fn start() -> Self {
        Self::new(None)
    }

    /// Speaks TLS with a certificate of its own, see [`Self::authority`].
    pub fn start_with_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        Self::new(Some(Tls { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }))
    }

    fn new(tls: Option<Tls>) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let double = Self {
            address: listener.local_addr().unwrap(),
            catalogue: Arc::new(Catalogue::new(folder.path())),
            door: Arc::default(),
            tls,
            running: Mutex::default(),
            folder,
        };
        double.serve(listener);
        double
    }

    fn serve(&self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let services = Services { catalogue: Arc::clone(&self.catalogue), door: Arc::clone(&self.door) };
        let mut server = Server::builder();
        if let Some(tls) = &self.tls {
            let identity = Identity::from_pem(&tls.certificate, &tls.key);
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        // As the server does, it takes messages of any size.
        let router = server
            .add_service(Guarded::new(QdrantServer::new(services.clone()), &self.door))
            .add_service(Guarded::new(
                CollectionsServer::new(services.clone()).max_decoding_message_size(usize::MAX),
                &self.door,
            ))
            .add_service(Guarded::new(PointsServer::new(services).max_decoding_message_size(usize::MAX), &self.door));
        listener.set_nonblocking(true).unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).unwrap()
        };
        runtime.spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
        *self.running.lock().unwrap() = Some(runtime);
    }

    /// Drops all connections and answers nobody, until [`Self::start_again`].
    pub fn stop(&self) {
        let Some(runtime) = self.running.lock().unwrap().take() else { return };
        // A thread of its own, because a test may be asynchronous. Writes under way are finished.
        std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(10))).join().unwrap();
    }

    /// Is there again, on the same port, with what it had on disk.
    pub fn start_again(&self) {
        self.stop();
        self.catalogue.reload();
        self.serve(TcpListener::bind(self.address).unwrap());
    }

    pub fn url(&self) -> String {
        if self.tls.is_some() {
            return format!("https://localhost:{}", self.address.port());
        }
        format!("http://{}", self.address)
    }

    /// What `--store` takes.
    pub fn store(&self, collection: &str) -> String {
        format!("{}/{collection}", self.url())
    }

    pub fn connection(&self) -> Connection {
        Connection { url: self.url(), api_key: None, timeout: Duration::from_secs(10) }
    }

    /// A file with the certificate that its clients must trust, by `SSL_CERT_FILE`.
    pub fn authority(&self) -> PathBuf {
        let path = self.folder.path().join("authority.pem");
        std::fs::write(&path, &self.tls.as_ref().unwrap().certificate).unwrap();
        path
    }

    /// Asks for this key.
    pub fn require_key(&self, key: &str) {
        self.door.behaviour().key = Some(key.to_owned());
    }

    /// Names this version as its own.
    pub fn set_version(&self, version: &str) {
        version.clone_into(&mut self.door.behaviour().version);
    }

    /// Takes this long for each call of a method, such as `Upsert`, or of all for `""`.
    pub fn delay(&self, method: &'static str, delay: Duration) {
        self.door.behaviour().delay = (method, delay);
    }

    /// Lets the next calls of a method, or of all for `""`, go wrong.
    pub fn fail_next(&self, times: usize, method: &'static str, fault: Fault) {
        self.door.behaviour().faults.extend(std::iter::repeat_n((method, fault), times));
    }

    /// How often a method was called, or all of them for `""`.
    pub fn calls(&self, method: &str) -> usize {
        self.door.calls(method)
    }

    /// Waits until a method was called so often.
    #[track_caller]
    pub fn wait_for_calls(&self, method: &str, count: usize) {
        let begun = Instant::now();
        while self.calls(method) < count {
            assert!(begun.elapsed() < Duration::from_mins(1), "{method} was called {} times", self.calls(method));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Bytes of the largest request on the wire.
    pub fn largest_request(&self) -> usize {
        self.door.largest()
    }

    /// The names of all collections and of what the aliases point to, in order.
    pub fn names(&self) -> (Vec<String>, Vec<(String, String)>) {
        self.catalogue.names()
    }

    /// Runs the program on a store of this server.
    pub fn run(&self, bench: &Bench, args: &[&str]) -> Outcome {
        Outcome::of(self.command(bench, args).output().unwrap())
    }

    pub fn command(&self, bench: &Bench, args: &[&str]) -> std::process::Command {
        let mut command = bench.command(args);
        command.args(["--store", &self.store("desk")]).env_remove("QDRANT_API_KEY");
        command
    }
}

impl Drop for QdrantDouble {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
#[ignore = "for use by hand: it serves until it is killed"]
fn serve_until_killed() {
    let double = QdrantDouble::start();
    println!("{}", double.url());
    loop {
        std::thread::park();
    }
}
