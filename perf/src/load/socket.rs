//! A non-blocking connection: pieces go out as they are, frames come in.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

use crate::protocol::{FRAME_BYTES_MAX, Malformed};

/// Pieces handed to the kernel at once.
const PIECES_AT_ONCE: usize = 64;

/// The most bytes that one read asks for. The kernel copies them without giving the core to anybody, and a producer of the same
/// core would be as late.
const READ_BYTES: usize = 128 << 10;

/// The input buffer's first size.
const INPUT_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    out: VecDeque<Vec<u8>>,
    /// How much of the first piece is gone.
    gone: usize,
    queued: u64,
    written: u64,
    input: Vec<u8>,
    start: usize,
    end: usize,
}

impl Socket {
    /// Takes over a connected stream.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            out: VecDeque::new(),
            gone: 0,
            queued: 0,
            written: 0,
            input: vec![0; INPUT_BYTES],
            start: 0,
            end: 0,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Puts a piece at the end of what goes out.
    pub(super) fn send(&mut self, piece: Vec<u8>) {
        self.queued += piece.len() as u64;
        self.out.push_back(piece);
    }

    /// Bytes ever put in, and bytes ever handed to the kernel.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.queued, self.written)
    }

    /// Whether something waits for the kernel.
    pub(super) fn is_pending(&self) -> bool {
        !self.out.is_empty()
    }

    /// Hands to the kernel what it takes; finished pieces go to `done`.
    pub(super) fn flush(&mut self, mut done: impl FnMut(Vec<u8>)) -> io::Result<()> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_AT_ONCE];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.out) {
                let from = if count == 0 { self.gone } else { 0 };
                *slice = IoSlice::new(&piece[from..]);
                count += 1;
            }
            let mut taken = match self.stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => taken,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.written += taken as u64;
            while let Some(piece) = self.out.front() {
                let left = piece.len() - self.gone;
                if taken < left {
                    self.gone += taken;
                    break;
                }
                taken -= left;
                self.gone = 0;
                if let Some(piece) = self.out.pop_front() {
                    done(piece);
                }
            }
        }
        Ok(())
    }

    /// Reads what the kernel has, up to a full buffer. `false`: the other side has closed.
    pub(super) fn receive(&mut self) -> Result<bool, io::Error> {
        loop {
            self.make_room()?;
            let room = (self.input.len() - self.end).min(READ_BYTES);
            match self.stream.read(&mut self.input[self.end..self.end + room]) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.end += count;
                    // A short read emptied the kernel: no need to ask again.
                    if count < room {
                        return Ok(true);
                    }
                    if self.whole_frame() {
                        return Ok(true);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The next whole frame without its size.
    pub(super) fn frame(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some(size) = self.frame_bytes()? else { return Ok(None) };
        if self.end - self.start < 4 + size {
            return Ok(None);
        }
        let from = self.start + 4;
        self.start = from + size;
        Ok(Some(&self.input[from..from + size]))
    }

    fn frame_bytes(&self) -> Result<Option<usize>, Malformed> {
        let Some(head) = self.input[self.start..self.end].first_chunk::<4>() else {
            return Ok(None);
        };
        let size = u32::from_be_bytes(*head) as usize;
        if size > FRAME_BYTES_MAX { Err(Malformed) } else { Ok(Some(size)) }
    }

    fn whole_frame(&self) -> bool {
        matches!(self.frame_bytes(), Ok(Some(size)) if self.end - self.start >= 4 + size)
    }

    /// Room for the frame that is coming, and for at least one more byte.
    fn make_room(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let frame = self
            .frame_bytes()
            .map_err(|e| io::Error::new(ErrorKind::InvalidData, e.to_string()))?;
        let need = 4 + frame.unwrap_or(0);
        if self.input.len() - self.start < need.max(1) || self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let wanted = need.max(self.end + INPUT_BYTES / 2);
            if self.input.len() < wanted {
                // Grown in steps by what has really come, so that a lying size costs nothing.
                let step = wanted.min((self.end * 2).max(INPUT_BYTES));
                self.input.resize(step.max(self.end + 1), 0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn pieces_arrive_as_frames_whatever_their_size() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender =
            Socket::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        let mut receiver = Socket::new(listener.accept().unwrap().0).unwrap();
        let sizes = [0_usize, 5, 70_000, 1, 3_000_000, 12];
        for size in sizes {
            sender.send((size as u32).to_be_bytes().to_vec());
            sender.send(vec![size as u8; size]);
        }
        let (mut seen, mut pieces) = (Vec::new(), 0);
        while seen.len() < sizes.len() {
            sender.flush(|_| pieces += 1).unwrap();
            assert!(receiver.receive().unwrap());
            while let Some(frame) = receiver.frame().unwrap() {
                assert!(frame.iter().all(|byte| *byte == frame.len() as u8));
                seen.push(frame.len());
            }
        }
        assert_eq!(seen, sizes);
        assert_eq!(pieces, 12);
        let (queued, written) = sender.progress();
        assert!(queued == written && !sender.is_pending());
        drop(sender);
        assert!(!receiver.receive().unwrap());
    }

    #[test]
    fn a_frame_of_absurd_size_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut out = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut receiver = Socket::new(stream).unwrap();
        out.write_all(&[0xff; 8]).unwrap();
        let refused = loop {
            match receiver.receive() {
                Ok(_) => match receiver.frame() {
                    Ok(None) => {}
                    Ok(Some(_)) => break false,
                    Err(Malformed) => break true,
                },
                Err(_) => break true,
            }
        };
        assert!(refused);
    }
}
