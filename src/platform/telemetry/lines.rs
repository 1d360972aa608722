//! Log lines on their way out of the process: those of a few milliseconds leave together, so that a request does not wait for
//! whoever reads them.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// For how long lines are gathered.
const GATHER: Duration = Duration::from_millis(5);
/// Bytes that may wait. Beyond, those who log wait for the reader: no line is lost.
const MOST: usize = 1024 * 1024;

/// Takes lines, which a thread of its own writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when there are lines, and when there is room.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Whether the thread has taken lines that it has not written yet.
    is_writing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`.
    fn wait(&self, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| !ready(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(mut output: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let shared = Arc::clone(&lines.0);
        let write = move || {
            let mut taken = Vec::new();
            loop {
                drop(shared.wait(|state| !state.waiting.is_empty()));
                std::thread::sleep(GATHER);
                {
                    let mut state = shared.state();
                    std::mem::swap(&mut state.waiting, &mut taken);
                    state.is_writing = true;
                }
                // There is nobody to tell that nobody can be told.
                let _ = output.write_all(&taken).and_then(|()| output.flush());
                taken.clear();
                shared.state().is_writing = false;
                shared.changed.notify_all();
            }
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(lines)
    }

    /// Waits until all lines are written.
    pub(super) fn flush(&self) {
        drop(self.0.wait(|state| state.waiting.is_empty() && !state.is_writing));
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.waiting.len() >= MOST {
            drop(state);
            state = self.0.wait(|state| state.waiting.len() < MOST);
        }
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if is_first {
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes into memory, slowly taking in what it gets.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let some = bytes.len().min(100_000);
            self.0.lock().unwrap().extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// More than may wait, from several threads at once: every line arrives whole, those of a thread in their order.
    #[test]
    fn no_line_is_lost_or_torn() {
        let output = Output::default();
        let lines = Lines::start(output.clone()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let mut lines = lines.clone();
                scope.spawn(move || {
                    for number in 0..20_000 {
                        lines.write_all(format!("{thread} {number} {}\n", "x".repeat(30)).as_bytes()).unwrap();
                    }
                });
            }
        });
        lines.flush();
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        assert!(text.len() > MOST);
        let mut next = [0; 4];
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (thread, number): (usize, usize) = (words[0].parse().unwrap(), words[1].parse().unwrap());
            assert_eq!((number, words[2].len()), (next[thread], 30), "{line}");
            next[thread] += 1;
        }
        assert_eq!(next, [20_000; 4]);
    }
}
