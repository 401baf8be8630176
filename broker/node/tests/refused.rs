//! A broker whose io_uring is refused, as the profiles of many containers do: it serves with the other backend, with the same
//! promise, and says so; who insists is told why not.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/broker.rs"]
mod broker;

use broker::{Broker, fresh};
use runtime::WhyNot;
use std::fs::read_to_string;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_ringwood");
const OPTIONS: [&str; 4] = ["--ring", "1MiB", "--memory", "32MiB"];

/// From now on, io_uring_setup(2) answers EPERM on this thread and in the processes that it starts.
fn refuse_io_uring() {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let call = u32::try_from(libc::SYS_io_uring_setup).unwrap();
    // The number of the call is the first word of what a filter sees.
    let mut program = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call),
        op(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(),
        ),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: plain system calls; the kernel copies the filter.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter);
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
}

/// A command of the binary with this input.
fn run(words: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that ends early closes the pipe; its status says why.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

fn consumed(broker: &Broker) -> String {
    let out = run(&["consume", "t", "--bootstrap", broker.address()], b"");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn serves(data: &Path, words: &Path, why: &str) {
    let broker = Broker::saying(data, &OPTIONS, words);
    broker.command(&["topic", "create", "t"]);
    let out = run(&["produce", "t", "--bootstrap", broker.address()], b"one\ntwo\n");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(consumed(&broker), "one\ntwo\n");
    broker.kill();
    let said = read_to_string(words).unwrap();
    let cores = said.lines().find(|line| line.starts_with("cores ")).unwrap();
    assert!(cores.contains("portable") && cores.contains(why), "{said}");
    // What was acknowledged is there after the kill.
    assert_eq!(consumed(&Broker::saying(data, &OPTIONS, words)), "one\ntwo\n");
}

fn who_insists_is_told(data: &Path, why: &str) {
    let free = || format!("127.0.0.1:{}", broker::ports::free());
    let (listen, admin) = (free(), free());
    let mut words = vec!["start", "--data", data.to_str().unwrap(), "--io", "uring"];
    words.extend(["--listen", &listen, "--admin", &admin]);
    words.extend(OPTIONS);
    let out = run(&words, b"");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains(why), "{}: {said}", out.status);
}

fn doctor_explains_it(data: &Path, why: &str) {
    let out = run(&["doctor", "--data", data.to_str().unwrap()], b"");
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("io_uring") && said.contains(why), "{said}");
}

#[test]
fn a_broker_serves_where_io_uring_is_refused_and_says_so() {
    let (data, words) = (fresh("refused"), fresh("refused-data").with_extension("words"));
    // On a thread of its own, with which the filter ends.
    let scene = std::thread::spawn(move || {
        refuse_io_uring();
        // The filter is the reason, unless io_uring is switched off as well.
        let why = runtime::probe().unwrap_err();
        assert!(matches!(why, WhyNot::Seccomp | WhyNot::SwitchedOff(_)), "{why}");
        let why = why.cause();
        serves(&data, &words, &why);
        who_insists_is_told(&data, &why);
        doctor_explains_it(&data, &why);
    });
    if let Err(panic) = scene.join() {
        std::panic::resume_unwind(panic);
    }
}
