//! From a configuration to a broker that serves on all its cores, and to its end.
//!
//! Core 0 opens the data directory, replays the metadata log, and hands the image to the other cores, which open their parts.
//! When all are open they listen, all on the same address. At the end core 0 lets all of them finish, closes the others'
//! stores, and its own last.

mod banner;
mod descriptors;
mod file_system;
mod opening;
mod serving;
#[cfg(test)]
mod simulation;

use crate::admin::{self, Ready};
use crate::broker::Broker;
use crate::config::NodeConfig;
use crate::latency::{Beat, Pulse, pulse};
use crate::metrics;
use crate::post::{CAPACITY, Letter};
use crate::say::{self, exit};
use opening::{Opened, Opening, open_another, open_first, others};
use runtime::{Capacity, Class, Mailbox, Mailboxes, Runtime, Seat, StartConfig, Tuning};
use serving::Listening;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Why a node does not start.
pub(crate) struct Stopped {
    what: String,
    cause: String,
    remedy: String,
}

pub(crate) fn stopped(
    what: impl Into<String>,
    cause: impl ToString,
    remedy: impl Into<String>,
) -> Stopped {
    Stopped { what: what.into(), cause: cause.to_string(), remedy: remedy.into() }
}

/// How often the stop flag is looked at.
const WATCH: Duration = Duration::from_millis(100);
/// How many looks there are between two counts.
const LOOKS: u32 = 10;

/// What core 0 and another core say to each other before the other one has a broker.
enum Setup {
    Open(Box<Opening>),
    Opened(Result<u64, Stopped>),
    /// The node does not start.
    Quit,
}

type Main = Box<dyn FnOnce(Runtime) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

struct Seats {
    letters: Seat<Letter>,
    setup: Seat<Setup>,
}

/// Runs a broker until it is told to stop.
pub(crate) fn run(config: NodeConfig) -> ExitCode {
    let cannot = |e: std::io::Error| {
        say::error(
            "the reactor cannot start",
            &e.to_string(),
            "run `ringwood doctor`, which explains each prerequisite",
        );
        ExitCode::from(exit::FAILED)
    };
    let descriptors = descriptors::raise();
    descriptors::tell(descriptors, descriptors::connections_max(descriptors, config.cores));
    let boxes = match Mailboxes::new(config.cores, 0) {
        Ok(boxes) => boxes,
        Err(e) => return cannot(e),
    };
    let setup = boxes.open(Capacity { control: 4, data: 1, background: 1 });
    let letters = boxes.open(CAPACITY);
    let seats = letters.into_iter().zip(setup).map(|(letters, setup)| Seats { letters, setup });
    let start = StartConfig {
        memory_limit: config.memory_per_core(),
        pin: config.pin,
        tuning: Tuning { io: config.io, mailboxes: Some(boxes.clone()), ..Tuning::default() },
    };
    let config = Arc::new(config);
    let outcome: Arc<Mutex<Option<Result<(), Stopped>>>> = Arc::default();
    let mut mains: Vec<Main> = Vec::new();
    for (i, seats) in seats.enumerate() {
        let (config, outcome) = (Arc::clone(&config), Arc::clone(&outcome));
        mains.push(if i == 0 {
            Box::new(move |rt| {
                Box::pin(async move {
                    let ended = first(rt, seats, &config).await;
                    *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
                })
            })
        } else {
            Box::new(move |rt| Box::pin(another(rt, seats, config)))
        });
    }
    let ended = runtime::start(&start, mains).and_then(runtime::Cores::join);
    if let Err(e) = ended {
        return cannot(e);
    }
    match outcome.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(Err(e)) => {
            say::error(&e.what, &e.cause, &e.remedy);
            ExitCode::from(exit::FAILED)
        }
        Some(Ok(())) | None => ExitCode::SUCCESS,
    }
}

/// Core 0.
async fn first(rt: Runtime, seats: Seats, config: &NodeConfig) -> Result<(), Stopped> {
    let (setup, mail) = (rt.mailbox(seats.setup), rt.mailbox(seats.letters));
    let result = serve(&rt, config, &setup, mail).await;
    if result.is_err() {
        // Those that have opened already end with the process; they have nothing that is not in their journals.
        for core in others(config.cores) {
            let _ = setup.try_send(core.index(), Class::Control, Setup::Quit);
        }
    }
    result
}

async fn serve(
    rt: &Runtime,
    config: &NodeConfig,
    setup: &Mailbox<Setup>,
    mail: Mailbox<Letter>,
) -> Result<(), Stopped> {
    let shared = Arc::new(admin::Shared::new(config.metrics_series));
    let admin_at = config.admin.resolve().ok_or_else(|| {
        stopped(format!("cannot resolve {}", config.admin), "unknown host", "check --admin")
    })?;
    let names = [config.admin.host.as_str(), config.advertise.host.as_str()];
    admin::start(admin_at, &names, Arc::clone(&shared)).map_err(|e| {
        let what = format!("cannot listen on {}", config.admin);
        stopped(what, e, "choose another with --admin, or stop what listens there")
    })?;
    let Opened { broker, mut records, deleted, dir } = open_first(rt, config, mail).await?;
    for core in others(config.cores) {
        let opening = Opening {
            dir: dir.share(),
            image: broker.metadata.image().clone(),
            deleted: Arc::clone(&deleted),
        };
        setup.send(core, Class::Control, Setup::Open(Box::new(opening))).await;
    }
    for _ in others(config.cores) {
        match setup.recv().await.1 {
            Setup::Opened(Ok(n)) => records += n,
            Setup::Opened(Err(e)) => return Err(e),
            Setup::Open(_) | Setup::Quit => {}
        }
    }
    if let Some(log) = &broker.controller {
        log.join_all();
    }
    listen_everywhere(config, &broker).await?;
    crate::rest::serve(&broker, Arc::clone(&shared.rest));
    let (lag, progress) = (Arc::clone(&shared.lag), Arc::clone(&shared.progress));
    crate::lag::watch(&broker, lag, progress, config.metrics_series);
    shared.set_recovered(records);
    let registered = || broker.controller.as_ref().is_none_or(|log| log.is_registered());
    shared.set_ready(if registered() { Ready::Yes } else { Ready::DiskFull });
    banner::print(rt, config, &broker, records, &dir);
    shared.set_backend(rt.features().backend);
    let mut beaten = rt.now();
    let mut looks = 0u32;
    while !shared.is_stopping() {
        if registered() {
            shared.set_ready(Ready::Yes);
        }
        if looks.is_multiple_of(LOOKS) {
            let (counted, pulses) = gather(&broker).await.into_iter().unzip();
            shared.set_counted(counted);
            let (now, wall) = (rt.now(), u64::try_from(rt.wall().0).unwrap_or(0));
            let length_ms = u64::try_from(now.since(beaten).as_millis()).unwrap_or(0);
            beaten = now;
            shared.put(Beat { ended_ms: wall, length_ms, pulses });
        }
        looks = looks.wrapping_add(1);
        rt.sleep(WATCH).await;
    }
    stop(config, &broker).await;
    drop(dir);
    Ok(())
}

async fn listen_everywhere(config: &NodeConfig, broker: &Rc<Broker>) -> Result<(), Stopped> {
    let how = Listening::new(config, broker)?;
    let asked: Vec<_> = others(config.cores)
        .map(|core| {
            let how = how.clone();
            let run = |b: Rc<Broker>| async move { serving::listen(&b, how).await };
            broker.post.ask(core, Class::Control, false, run)
        })
        .collect();
    let mut results = vec![serving::listen(broker, how).await];
    for answer in asked {
        results.extend(answer.await);
    }
    for result in results {
        result.map_err(|e| {
            let what = format!("cannot listen on {}", config.listen);
            stopped(what, e, "choose another with --listen, or stop what listens there")
        })?;
    }
    Ok(())
}

/// What all cores count, in the order of the cores.
async fn gather(broker: &Rc<Broker>) -> Vec<(metrics::Counted, Pulse)> {
    let asked: Vec<_> = others(broker.metadata.cores)
        .map(|core| {
            let run = |b: Rc<Broker>| async move { (metrics::count(&b), pulse(&b)) };
            broker.post.ask(core, Class::Background, false, run)
        })
        .collect();
    let mut all = vec![(metrics::count(broker), pulse(broker))];
    for answer in asked {
        all.extend(answer.await);
    }
    all
}

async fn stop(config: &NodeConfig, broker: &Rc<Broker>) {
    runtime::tell!("stopping: connections finish, then everything is flushed");
    // No core ends before all have finished: requests cross cores to their last moment.
    let asked: Vec<_> = others(config.cores)
        .map(|core| {
            let run = |b: Rc<Broker>| async move { serving::drain(&b).await };
            broker.post.ask(core, Class::Control, false, run)
        })
        .collect();
    let mut cut_off = serving::drain(broker).await;
    for answer in asked {
        cut_off += answer.await.unwrap_or(0);
    }
    if cut_off > 0 {
        runtime::tell!("{cut_off} connections were cut off");
    }
    let asked: Vec<_> = others(config.cores)
        .map(|core| {
            let run = |b: Rc<Broker>| async move { b.shard.store.close().await };
            broker.post.ask(core, Class::Control, false, run)
        })
        .collect();
    for answer in asked {
        let _ = answer.await;
    }
    for core in others(config.cores) {
        broker.post.tell(core, Class::Control, |b| b.ended.notify());
    }
    broker.shard.store.close().await;
    runtime::tell!("stopped");
}

/// Every core but the first.
async fn another(rt: Runtime, seats: Seats, config: Arc<NodeConfig>) {
    let (setup, mail) = (rt.mailbox(seats.setup), rt.mailbox(seats.letters));
    let zero = ids::CoreId(0);
    let (_, Setup::Open(opening)) = setup.recv().await else { return };
    match open_another(&rt, &config, mail, *opening).await {
        Err(e) => setup.send(zero, Class::Control, Setup::Opened(Err(e))).await,
        Ok(opened) => {
            setup.send(zero, Class::Control, Setup::Opened(Ok(opened.records))).await;
            let mut ended = std::pin::pin!(opened.broker.ended.notified());
            let mut quit = std::pin::pin!(setup.recv());
            std::future::poll_fn(|cx| match ended.as_mut().poll(cx) {
                std::task::Poll::Ready(()) => std::task::Poll::Ready(()),
                std::task::Poll::Pending => quit.as_mut().poll(cx).map(|_| ()),
            })
            .await;
            drop(opened.dir);
        }
    }
}
