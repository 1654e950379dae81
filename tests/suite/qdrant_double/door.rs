//! What stands before the services: the key, the faults and the book of calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use hyper::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::metadata::MetadataValue;
use tonic::server::NamedService;
use tonic::{Code, Status};

const HEALTH: &str = "HealthCheck";

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It is refused, and nothing was done.
    Refused(Code),
    /// It is done, and the answer is lost.
    AnswerLost,
}

pub(super) struct Behaviour {
    pub(super) version: String,
    pub(super) key: Option<String>,
    pub(super) delay: (&'static str, Duration),
    pub(super) faults: Vec<(&'static str, Fault)>,
}

#[derive(Default)]
pub(super) struct Door {
    behaviour: Mutex<Behaviour>,
    calls: Mutex<BTreeMap<String, usize>>,
    largest: Arc<AtomicUsize>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { version: "1.18.0".into(), key: None, delay: ("", Duration::ZERO), faults: Vec::new() }
    }
}

impl Door {
    pub(super) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    pub(super) fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(name, _)| is(method, name)).map(|(_, count)| count).sum()
    }

    pub(super) fn largest(&self) -> usize {
        self.largest.load(Ordering::Relaxed)
    }

    /// Writes the call down; says how long it takes and what goes wrong with it.
    fn enter(&self, method: &str, key: Option<&str>) -> Result<(Duration, Option<Fault>), Status> {
        *self.calls.lock().unwrap().entry(method.to_owned()).or_default() += 1;
        let mut behaviour = self.behaviour();
        // The server lets everybody ask for its health.
        if let Some(required) = behaviour.key.as_deref().filter(|_| method != HEALTH) {
            match key {
                None => {
                    return Err(Status::unauthenticated("Must provide an API key or an Authorization bearer token"));
                }
                Some(key) if key != required => return Err(Status::unauthenticated("Invalid API key or JWT")),
                Some(_) => {}
            }
        }
        let (slow, delay) = behaviour.delay;
        let fault = behaviour.faults.iter().position(|(of, _)| is(of, method));
        let fault = fault.map(|found| behaviour.faults.remove(found).1);
        Ok((if is(slow, method) { delay } else { Duration::ZERO }, fault))
    }
}

fn is(wanted: &str, method: &str) -> bool {
    wanted.is_empty() || wanted == method
}

/// A service behind the door.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    service: S,
    door: Arc<Door>,
}

impl<S> Guarded<S> {
    pub(super) fn new(service: S, door: &Arc<Door>) -> Self {
        Self { service, door: Arc::clone(door) }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let key = request.headers().get("api-key").and_then(|key| key.to_str().ok());
        let (delay, fault) = match self.door.enter(method, key) {
            Ok(entered) => entered,
            Err(refused) => return Box::pin(async move { Ok(refused.into_http()) }),
        };
        if let Some(Fault::Refused(code)) = fault {
            let mut refusal = Status::new(code, "this call was made to fail");
            if code == Code::ResourceExhausted {
                // As where the server limits the rate.
                refusal.metadata_mut().insert("retry-after", MetadataValue::from_static("1"));
            }
            return Box::pin(async move { Ok(refusal.into_http()) });
        }
        let largest = Arc::clone(&self.door.largest);
        let answer = self.service.call(request.map(|body| Body::new(Weighed { body, bytes: 0, largest })));
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            let answer = answer.await;
            match fault {
                Some(_) => Ok(Status::unavailable("the answer was made to be lost").into_http()),
                None => answer,
            }
        })
    }
}

/// A request's body, whose bytes are counted as they come.
struct Weighed {
    body: Body,
    bytes: usize,
    largest: Arc<AtomicUsize>,
}

impl HttpBody for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.bytes += frame.data_ref().map_or(0, Bytes::len);
            self.largest.fetch_max(self.bytes, Ordering::Relaxed);
        }
        frame
    }
}
