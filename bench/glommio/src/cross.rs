//! Round trips between two executors, over a pair of shared channels.

use glommio::channels::shared_channel::{self, SharedReceiver, SharedSender};
use glommio::{LocalExecutorBuilder, Placement};
use std::collections::VecDeque;
use std::io;
use std::time::Instant;

/// Messages that a channel holds.
const CHANNEL: usize = 1024;

/// Sends `trips` messages to the other executor, `depth` of them on their way at any time, and hands the nanoseconds of each
/// round trip to `note`. `processors` are those of the two executors.
///
/// # Errors
/// An executor cannot be made, or a channel closes early.
pub fn cross(
    trips: u64,
    depth: u64,
    processors: [usize; 2],
    mut note: impl FnMut(u64) + Send + 'static,
) -> io::Result<()> {
    let (there, there_end) = shared_channel::new_bounded::<u64>(CHANNEL);
    let (back, back_end) = shared_channel::new_bounded::<u64>(CHANNEL);
    let near = LocalExecutorBuilder::new(Placement::Fixed(processors[0]))
        .name("near")
        .spawn(move || async move { ping(trips, depth, there, back_end, &mut note).await })?;
    let far = LocalExecutorBuilder::new(Placement::Fixed(processors[1]))
        .name("far")
        .spawn(move || async move { echo(trips, there_end, back).await })?;
    near.join()??;
    far.join()??;
    Ok(())
}

async fn ping(
    trips: u64,
    depth: u64,
    there: SharedSender<u64>,
    back: SharedReceiver<u64>,
    note: &mut impl FnMut(u64),
) -> io::Result<()> {
    let (there, back) = (there.connect().await, back.connect().await);
    let (mut sent, mut begun) = (0, VecDeque::new());
    for received in 0..trips {
        while sent < trips && sent < received + depth {
            begun.push_back(Instant::now());
            there.send(sent).await.map_err(|_| closed())?;
            sent += 1;
        }
        let message = back.recv().await.ok_or_else(closed)?;
        if message != received {
            return Err(io::Error::other(format!("message {message} instead of {received}")));
        }
        let since = begun.pop_front().ok_or_else(closed)?;
        note(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(())
}

async fn echo(trips: u64, there: SharedReceiver<u64>, back: SharedSender<u64>) -> io::Result<()> {
    // In the order of the other side: each waits until its peer has connected too.
    let (there, back) = (there.connect().await, back.connect().await);
    for _ in 0..trips {
        let message = there.recv().await.ok_or_else(closed)?;
        back.send(message).await.map_err(|_| closed())?;
    }
    Ok(())
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "a channel was closed")
}
