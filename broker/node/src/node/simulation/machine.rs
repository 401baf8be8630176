//! The node: one start of it, on all its cores.

use crate::broker::Broker;
use crate::config::{Address, NodeConfig};
use crate::metadata::Walks;
use crate::node::opening::{Opened, Opening, open_another, open_first, others};
use crate::node::serving::{self, Listening};
use crate::post::{CAPACITY, Letter};
use cluster::config::{StaticConfig, TopicConfig};
use ids::{CoreId, PartitionIndex, TopicId};
use runtime::sim::{NodeId, Outcome, World};
use runtime::{Io, Mailbox, Mailboxes, Pin};
use std::rc::Rc;
use store::DataDir;

/// Where the node listens: the first node's address in the simulated network.
pub(super) const ADDRESS: &str = "10.0.0.1:9092";

/// A node that serves.
pub(super) struct Machine {
    pub(super) node: NodeId,
    cores: Vec<Rc<Broker>>,
    _dirs: Vec<DataDir>,
}

fn config(cores: u16) -> NodeConfig {
    let address = Address { host: "10.0.0.1".into(), port: 9092 };
    NodeConfig {
        data: "/data".into(),
        listen: address.clone(),
        advertise: address.clone(),
        admin: address,
        cores,
        io: Io::Auto,
        pin: Pin::Never,
        memory: 32 << 20,
        ring_bytes: 1 << 20,
        reserve: Some(0),
        metrics_series: 100,
        node_id: 1,
        fixed: StaticConfig::default(),
        notices: Vec::new(),
    }
}

fn why<T>(outcome: Outcome<Result<T, crate::node::Stopped>>) -> Result<T, String> {
    match outcome {
        Outcome::Done(Ok(value)) => Ok(value),
        Outcome::Done(Err(e)) => Err(format!("{}: {}", e.what, e.cause)),
        Outcome::Died => Err("it died while it opened".to_owned()),
        Outcome::Stuck => Err("opening waits for ever".to_owned()),
        Outcome::TimedOut => Err("opening takes too long".to_owned()),
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A server and its broker hold each other, and through the broker this one would hold its world.
        for broker in &self.cores {
            broker.server.borrow_mut().take();
        }
    }
}

impl Machine {
    /// Whether this start is written down; until then it only reads.
    pub(super) fn is_registered(&self) -> bool {
        self.cores[0].controller.as_ref().is_some_and(|log| log.is_registered())
    }

    /// The bytes of requests that are held, and the most that ever were: of all cores.
    pub(super) fn frame_bytes(&self) -> (usize, usize) {
        let counters = self
            .cores
            .iter()
            .filter_map(|broker| broker.server.borrow().as_ref().map(server::Server::counters));
        counters.fold((0, 0), |(now, most), c| (now + c.frame_bytes, most + c.frame_bytes_highest))
    }

    /// The core that leads the first partition of a topic, and the topic's id.
    pub(super) fn leader_of(&self, topic: &str) -> Option<(Rc<Broker>, TopicId)> {
        self.cores.iter().find_map(|broker| {
            let led = broker.shard.replicas();
            let replica = led.iter().find(|r| &*r.topic == topic && r.id.index.0 == 0)?;
            Some((Rc::clone(broker), replica.id.topic))
        })
    }

    /// The bytes that all cores have read of a topic for its readers.
    pub(super) fn served(&self, topic: &str) -> u64 {
        let led = self.cores.iter().flat_map(|broker| broker.shard.replicas());
        led.filter(|r| &*r.topic == topic).map(|r| r.traffic().bytes_out).sum()
    }

    /// What changes of configurations have cost each core.
    pub(super) fn walks(&self) -> Vec<Walks> {
        self.cores.iter().map(|broker| broker.metadata.walks()).collect()
    }

    /// What the leader of a partition is configured to be.
    pub(super) fn config_of(&self, topic: &str, index: PartitionIndex) -> Option<Rc<TopicConfig>> {
        self.cores.iter().find_map(|broker| {
            let led = broker.shard.replicas();
            let replica = led.iter().find(|r| &*r.topic == topic && r.id.index == index)?;
            Some(Rc::clone(&replica.config.borrow()))
        })
    }

    /// Opens the data directory on every core and listens.
    pub(super) fn start(world: &World, node: NodeId, cores: u16) -> Result<Self, String> {
        let config = Rc::new(config(cores));
        let boxes = Mailboxes::new(cores, 0).map_err(|e| e.to_string())?;
        let seats = boxes.open::<Letter>(CAPACITY);
        let runtimes: Vec<_> = (0..cores).map(|i| world.core(node, CoreId(i))).collect();
        let mut mail: Vec<Mailbox<Letter>> =
            runtimes.iter().zip(seats).map(|(rt, seat)| rt.mailbox(seat)).collect();
        let (mut brokers, mut dirs) = (Vec::new(), Vec::new());
        let first = mail.remove(0);
        let (rt, c) = (runtimes[0].clone(), Rc::clone(&config));
        let opened = world.run(&runtimes[0], async move { open_first(&rt, &c, first).await });
        let Opened { broker, dir, deleted, .. } = why(opened)?;
        for (core, mail) in others(cores).zip(mail) {
            let opening = Opening {
                dir: dir.share(),
                image: broker.metadata.image().clone(),
                deleted: std::sync::Arc::clone(&deleted),
            };
            let (rt, c) = (runtimes[core.index()].clone(), Rc::clone(&config));
            let opened = world.run(&runtimes[core.index()], async move {
                open_another(&rt, &c, mail, opening).await
            });
            let opened = why(opened)?;
            brokers.push(opened.broker);
            dirs.push(opened.dir);
        }
        brokers.insert(0, broker);
        dirs.insert(0, dir);
        if let Some(log) = &brokers[0].controller {
            log.join_all();
        }
        for broker in &brokers {
            let (b, how) = (Rc::clone(broker), Listening::new(&config, broker));
            let how = how.map_err(|e| e.cause)?;
            let listening = world.run(&broker.rt, async move { serving::listen(&b, how).await });
            match listening {
                Outcome::Done(Ok(())) => {}
                Outcome::Done(Err(e)) => return Err(format!("it does not listen: {e}")),
                Outcome::Died => return Err("it died before it listened".to_owned()),
                Outcome::Stuck | Outcome::TimedOut => {
                    return Err("it never gets to listen".to_owned());
                }
            }
        }
        Ok(Self { node, cores: brokers, _dirs: dirs })
    }
}
