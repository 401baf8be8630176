//! Zero-copy sends over a pair of network interfaces between two namespaces, to clients that are killed in mid-send.
//!
//! Over loopback the kernel never sends from our memory, so this needs two namespaces, and with them root and iproute2. Where
//! they are not to be had the test says so in one line.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "refusal/skip.rs"]
mod skip;

use ids::CoreId;
use ringwood_runtime::{
    Io, Listen, Listener, Runtime, RuntimeConfig, Stream, Tuning, WhyNot, probe, run_with,
};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

const CLIENT: &str = "RINGWOOD_TEST_CLIENT";
const TEST: &str = "zero_copy_sends_outlive_clients_that_are_killed";
const BLOCK: usize = 256 << 10;
const SERVER: [u8; 4] = [10, 231, 0, 1];

fn ip(arguments: &str) -> Result<(), String> {
    let out = Command::new("ip").args(arguments.split(' ')).output();
    match out {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

/// Two namespaces and a cable between them.
struct Cable {
    near: String,
    far: String,
}

impl Cable {
    fn lay() -> Result<Self, String> {
        let id = std::process::id();
        let cable = Self { near: format!("rw{id}a"), far: format!("rw{id}b") };
        let (near, far) = (&cable.near, &cable.far);
        ip(&format!("netns add {near}"))?;
        ip(&format!("netns add {far}"))?;
        ip(&format!("link add va netns {near} type veth peer name vb netns {far}"))?;
        for (name, card, address) in [(near, "va", "10.231.0.1/24"), (far, "vb", "10.231.0.2/24")] {
            ip(&format!("-n {name} addr add {address} dev {card}"))?;
            ip(&format!("-n {name} link set {card} up"))?;
        }
        Ok(cable)
    }

    /// This thread's sockets are the near namespace's from now on.
    fn enter(&self) {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.near)).unwrap();
        // SAFETY: plain system call.
        let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
    }

    /// A client in the far namespace: it checks `bytes` bytes, says so, and reads on if `reads_on`.
    fn client(&self, port: u16, bytes: usize, reads_on: bool) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &self.far])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture"])
            .env(CLIENT, format!("{port} {bytes} {reads_on}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.near));
        let _ = ip(&format!("netns del {}", self.far));
    }
}

/// Every block is filled with its own byte.
fn byte_of(block: usize) -> u8 {
    (block % 251) as u8
}

/// What runs in the client's process.
fn be_client(order: &str) -> ! {
    let mut words = order.split(' ');
    let port: u16 = words.next().unwrap().parse().unwrap();
    let bytes: usize = words.next().unwrap().parse().unwrap();
    let reads_on: bool = words.next().unwrap().parse().unwrap();
    let mut s = TcpStream::connect(SocketAddr::from((SERVER, port))).unwrap();
    let mut piece = vec![0; 64 << 10];
    let mut at = 0;
    while at < bytes || reads_on {
        let n = match s.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) => panic!("after {at} bytes: {e}"),
        };
        for (i, b) in piece[..n].iter().enumerate() {
            assert_eq!(*b, byte_of((at + i) / BLOCK), "at {}", at + i);
        }
        at += n;
    }
    let mut out = std::io::stdout();
    writeln!(out, "\nchecked {at}").unwrap();
    out.flush().unwrap();
    if !reads_on {
        // Until it is killed.
        std::thread::sleep(Duration::from_secs(60));
    }
    // Nobody listens to what the harness would say.
    std::process::exit(0);
}

/// Waits for the client's line without holding up the core; how many bytes it has checked.
async fn checked(rt: &Runtime, client: &mut Child) -> usize {
    let mut out = client.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let mut piece = [0; 256];
        loop {
            let n = out.read(&mut piece).unwrap();
            text.push_str(&String::from_utf8_lossy(&piece[..n]));
            if let Some((_, rest)) = text.split_once("checked ")
                && let Some((number, _)) = rest.split_once('\n')
            {
                return number.parse::<usize>().unwrap();
            }
            assert!(n > 0, "the client ended with {text}");
        }
    });
    while !reader.is_finished() {
        rt.sleep(Duration::from_millis(2)).await;
    }
    reader.join().unwrap()
}

/// Sends block after block, each from memory of its own, until that fails or `blocks` have gone.
async fn pour(
    rt: &Runtime,
    door: &mut Listener,
    blocks: usize,
    sent: Rc<Cell<usize>>,
) -> Weak<Stream> {
    let stream = Rc::new(door.accept().await.unwrap());
    let weak = Rc::downgrade(&stream);
    let rt = rt.clone();
    rt.clone().spawn(async move {
        for i in 0..blocks {
            let mut b = rt.memory().alloc(BLOCK).unwrap();
            b.spare_mut()[..BLOCK].fill(byte_of(i));
            b.advance(BLOCK);
            if stream.send(vec![b.freeze()]).await.is_err() {
                return;
            }
            sent.set(sent.get() + 1);
        }
    });
    weak
}

/// Sends go on until the window of a peer that does not read, and our queue, are full, and then stand.
async fn stall(rt: &Runtime, sent: &Cell<usize>) {
    let mut last = usize::MAX;
    while last != sent.get() {
        last = sent.get();
        rt.sleep(Duration::from_millis(20)).await;
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn wait_until(rt: &Runtime, what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if done() {
            return;
        }
        rt.sleep(Duration::from_millis(2)).await;
    }
    panic!("not within 10 s: {what}");
}

async fn scene(rt: Runtime, cable: Rc<Cable>) -> ([Child; 2], Instant) {
    let at = SocketAddr::from((SERVER, 0));
    let mut door = rt.net().listen(at, Listen::default()).await.unwrap();
    let port = door.local_addr().port();
    let memory = rt.memory().clone();
    let before = memory.used();
    // One client reads and checks all the time, 400 blocks, 100 MiB, while others come and are killed.
    let mut steady = cable.client(port, 0, true);
    let steady_sent = Rc::new(Cell::new(0));
    pour(&rt, &mut door, 400, Rc::clone(&steady_sent)).await;
    for round in 0..12usize {
        let sent = Rc::new(Cell::new(0));
        let mut doomed = cable.client(port, (1 + round % 4) * BLOCK + round * 1000, false);
        pour(&rt, &mut door, usize::MAX, Rc::clone(&sent)).await;
        checked(&rt, &mut doomed).await;
        stall(&rt, &sent).await;
        assert!(memory.used() > before, "what the peer has not taken is still ours to keep");
        doomed.kill().unwrap();
        doomed.wait().unwrap();
    }
    let all = checked(&rt, &mut steady).await;
    assert_eq!(all, 400 * BLOCK);
    assert!(steady.wait().unwrap().success());
    assert_eq!(steady_sent.get(), 400);
    // Every notification has come, also those of the dead.
    wait_until(&rt, "all memory is given back", || memory.used() == before).await;
    let counters = rt.counters();
    assert!(counters.zero_copy_sends >= 400, "{counters:?}");
    assert_eq!(counters.zero_copy_refused, 0, "{counters:?}");
    // One that we throw out gives its memory back, though its peer lives and has not taken all.
    let sent = Rc::new(Cell::new(0));
    let mut thrown_out = cable.client(port, BLOCK, false);
    let stream = pour(&rt, &mut door, usize::MAX, Rc::clone(&sent)).await;
    checked(&rt, &mut thrown_out).await;
    stall(&rt, &sent).await;
    assert!(memory.used() > before);
    stream.upgrade().unwrap().abort();
    wait_until(&rt, "the task has ended", || stream.strong_count() == 0).await;
    wait_until(&rt, "what the peer has not taken is ours again", || memory.used() == before).await;
    thrown_out.kill().unwrap();
    thrown_out.wait().unwrap();
    // A connection that we end is closed, though its peer has not taken all, and we keep the memory of that.
    let sent = Rc::new(Cell::new(0));
    let mut idler = cable.client(port, BLOCK, false);
    let stream = pour(&rt, &mut door, usize::MAX, Rc::clone(&sent)).await;
    checked(&rt, &mut idler).await;
    stall(&rt, &sent).await;
    let open = descriptors();
    stream.upgrade().unwrap().shutdown();
    wait_until(&rt, "the task has ended", || stream.strong_count() == 0).await;
    wait_until(&rt, "the socket is closed", || descriptors() < open).await;
    assert!(memory.used() > before, "the kernel still has what the peer has not taken");
    // Another one is in mid-send when the core ends, which does not wait for its peer for long.
    let sent = Rc::new(Cell::new(0));
    let mut other = cable.client(port, BLOCK, false);
    pour(&rt, &mut door, usize::MAX, Rc::clone(&sent)).await;
    checked(&rt, &mut other).await;
    stall(&rt, &sent).await;
    ([idler, other], Instant::now())
}

#[test]
fn zero_copy_sends_outlive_clients_that_are_killed() {
    if let Ok(order) = std::env::var(CLIENT) {
        be_client(&order);
    }
    if !skip::has_io_uring() {
        return;
    }
    let cable = match Cable::lay() {
        Ok(cable) => Rc::new(cable),
        Err(why) => {
            // Past the harness, which shows nothing of a test that passes.
            let line =
                format!("SKIPPED runtime/namespaces: {why} (root and iproute2 are needed)\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            assert!(std::env::var_os("RINGWOOD_REQUIRE").is_none(), "this test is required");
            return;
        }
    };
    cable.enter();
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 256 << 20, pin: None };
    let tuning = Tuning { io: Io::Uring, ..Tuning::default() };
    let (idlers, ended) = run_with(&config, &tuning, |rt| scene(rt, cable)).unwrap();
    assert!(ended.elapsed() < Duration::from_secs(5), "{:?}", ended.elapsed());
    for mut idler in idlers {
        idler.kill().unwrap();
        idler.wait().unwrap();
    }
}
