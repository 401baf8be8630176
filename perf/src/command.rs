//! The subcommands of `ringwood perf`.

use crate::{
    ceiling, compare, curve, failure::Failure, gauntlet, interrupt, measure, peers, quick, show,
    terminal,
};

/// `ringwood perf ...`
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Load a broker and measure: open loop, latency from the intended time
    Run(Box<measure::RunArgs>),
    /// A quarter of a minute: one table
    Quick(quick::QuickArgs),
    /// Nine situations that hurt brokers, against a quiet baseline
    Gauntlet(gauntlet::GauntletArgs),
    /// 1 to 10,000 partitions, records of 1 KiB and of 100 B: where it bends
    Curve(curve::CurveArgs),
    /// Hold runs against each other
    Compare(compare::CompareArgs),
    /// Show one run again
    Show(show::ShowArgs),
    /// Apache Kafka and this broker on the same machine, in turns
    Peers(peers::PeersArgs),
    /// The speed of light: device, loopback, CRC, copying
    Ceiling(ceiling::CeilingArgs),
}

/// Runs the subcommand. Gives back the exit code: 0 ok, 1 a file or process of ours, 2 usage, 3 an assertion that does not hold,
/// 4 no broker, 8 an invalid run, 130 and 143 interrupted.
#[must_use]
pub fn run(command: Command) -> u8 {
    if command.leaves_something() {
        interrupt::catch();
    }
    // A command that is interrupted may fail by what the signal did to others: it is interrupted all the same.
    match attempt(command).map_err(|failure| interrupt::check().err().unwrap_or(failure)) {
        Ok(()) => 0,
        Err(failure) => {
            terminal::note(&failure.to_string());
            failure.code()
        }
    }
}

impl Command {
    /// Whether it starts, creates or fills something that does not go with the process.
    fn leaves_something(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Quick(_)
            | Self::Gauntlet(_)
            | Self::Curve(_)
            | Self::Peers(_)
            | Self::Ceiling(_) => true,
            Self::Compare(_) | Self::Show(_) => false,
        }
    }
}

fn attempt(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => measure::run(&args),
        Command::Quick(args) => quick::run(&args),
        Command::Gauntlet(args) => gauntlet::run(&args),
        Command::Curve(args) => curve::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Ceiling(args) => ceiling::run(&args),
    }
}
