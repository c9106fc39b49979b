//! Messages over unix sockets inside one run: JSON lines, which may carry open files (SCM_RIGHTS).

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The most files that one message carries: standard input, output and error.
const MAX_FILES: usize = 3;

/// A message on the wire. It says how many files belong to it, since the kernel may hand over the files of the next message
/// together with the bytes of this one.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    files: usize,
    message: T,
}

/// Sends one message with its files.
pub fn send<T: Serialize>(stream: &UnixStream, message: &T, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Envelope { files: files.len(), message })?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::other("too many files in one message"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?;
    let mut stream = stream;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

/// The receiving end of a stream of messages.
pub struct Receiver {
    stream: UnixStream,
    bytes: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

impl Receiver {
    /// Receives from `stream`.
    pub fn new(stream: UnixStream) -> Self {
        Receiver { stream, bytes: Vec::new(), files: VecDeque::new() }
    }

    /// The stream, for answers.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Waits for the next message; none when the other side has gone.
    pub fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let envelope: Envelope<T> = serde_json::from_slice(&line)?;
                let count = envelope.files.min(self.files.len());
                return Ok(Some((envelope.message, self.files.drain(..count).collect())));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0_u8; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match recvmsg(&self.stream, &mut [IoSliceMut::new(&mut chunk)], &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        self.bytes.extend_from_slice(chunk.get(..received.bytes).unwrap_or_default());
        Ok(received.bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn a_message_arrives_with_its_own_files_only() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(&near, &"first", &[]).unwrap();
        send(&near, &"second", &[writer.as_fd()]).unwrap();
        drop((near, writer));

        let mut receiver = Receiver::new(far);
        let (first, files) = receiver.receive::<String>().unwrap().unwrap();
        assert_eq!((first.as_str(), files.len()), ("first", 0));
        let (second, files) = receiver.receive::<String>().unwrap().unwrap();
        assert_eq!((second.as_str(), files.len()), ("second", 1));
        std::fs::File::from(files.into_iter().next().unwrap()).write_all(b"hello").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert!(receiver.receive::<String>().unwrap().is_none());
    }
}
