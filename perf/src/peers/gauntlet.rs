//! `perf peers --gauntlet`: the same situations for every contender, each against a baseline of its own.
//!
//! A ratio of p99s says how much a situation hurts, and nothing of how fast a broker is without it: the tables have both. What a
//! scenario has to show (see [`crate::gauntlet`]) is asked of a broker that tells it; Kafka tells neither what retention nor what
//! compaction took, so that its rows are taken at their word.

use super::{Contender, Lengths, PeersArgs, contenders, kafka::Kafka};
use crate::{
    failure::Failure,
    gauntlet::{Course, Ground},
    interrupt,
    measure::Scene,
    own::{OwnBroker, Sides},
    terminal, view,
};

/// How often each baseline is measured.
const BASELINES: u32 = 3;

/// A contender, fresh for every scenario.
struct Field<'a> {
    contender: Contender,
    args: &'a PeersArgs,
    kafka: &'a Kafka,
    cores: Option<&'a [usize]>,
    broker: Option<OwnBroker>,
}

impl Ground for Field<'_> {
    fn scene(&self) -> Scene {
        // Without a broker there is nothing to measure, and the measurement says so.
        let Some(broker) = &self.broker else { return Scene::default() };
        Scene {
            data_dir: Some(broker.directory().to_path_buf()),
            admin: broker.admin().map(str::to_owned),
            ..super::scene(broker.address())
        }
    }

    fn renew(&mut self) -> Result<(), Failure> {
        // The one before has ended when the next begins: two would share the cores.
        drop(self.broker.take());
        let (broker, _) = self.contender.start(self.args, self.kafka, self.cores, true)?;
        self.broker = Some(broker);
        Ok(())
    }
}

/// Runs the situations on all of them.
pub(super) fn run(
    args: &PeersArgs,
    kafka: &Kafka,
    sides: &Sides,
    memory: &str,
) -> Result<(), Failure> {
    let duration = Lengths::of(args).duration;
    let head = format!(
        "{} of values of 1 KiB, each scenario {:.0} s; a fresh broker for each; {}; {memory}\n",
        args.rate,
        duration.as_secs_f64(),
        sides.words()
    );
    let (mut text, mut markdown) = (head.clone(), head);
    let mut results = Vec::new();
    for contender in contenders(args.only) {
        let name = contender.name();
        terminal::note(name);
        interrupt::check()?;
        let folder = |out: &std::path::PathBuf| out.join(name.replace([' ', '='], "-"));
        let course = Course {
            rate: args.rate.clone(),
            duration,
            scenario: None,
            baselines: BASELINES,
            out: args.out.as_ref().map(folder),
        };
        let cores = sides.broker.as_deref();
        let mut field = Field { contender, args, kafka, cores, broker: None };
        // One that cannot be run does not take the others with it.
        match field.renew().and_then(|()| course.run(&mut field)) {
            Ok(ran) => {
                let (who, last) = (&ran.fingerprint, ran.last_lines());
                let table = ran.table.render(terminal::colour());
                text.push_str(&format!("\n{name}: {who}\n{table}{last}"));
                let table = ran.table.markdown();
                markdown.push_str(&format!("\n{name}: {who}\n\n{table}\n{last}"));
                // What a peer does not survive is its row, and no fault of this command's.
                results.push(if contender.is_kafka { Ok(()) } else { ran.conclude(None) });
            }
            Err(failure) => {
                terminal::note(&failure.to_string());
                text.push_str(&format!("\n{name}: {failure}\n"));
                markdown.push_str(&format!("\n{name}: {failure}\n"));
                results.push(Err(failure));
            }
        }
    }
    if let Some(place) = args.markdown.as_deref() {
        view::put_markdown(place, &markdown)?;
    }
    if args.markdown.as_deref() != Some("-") {
        terminal::print(&text);
    }
    results.into_iter().collect()
}
