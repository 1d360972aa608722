//! A circuit breaker: after some failures in a row nobody waits for Paystack any
//! more, until one call has found it well again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;

/// What the breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Every call.
    Closed,
    /// None: Paystack did not answer lately.
    Open,
    /// One call, whose end decides.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// With so many failures in a row.
    Closed(u32),
    /// Until then.
    Open(Instant),
    /// One call is on its way.
    HalfOpen,
}

/// One for a client and its clones.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// Failures in a row that open it; 0 keeps it closed.
    failures: u32,
    pause: Duration,
}

/// Leave for one call. Dropped without [`Permit::end`], as when the caller gave
/// up, it says nothing about Paystack; a trial leaves its place to the next call.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    is_trial: bool,
}

impl Breaker {
    pub(super) fn new(failures: u32, pause: Duration) -> Self {
        Self { state: Mutex::new(State::Closed(0)), failures, pause }
    }

    pub(super) fn state(&self) -> BreakerState {
        match *self.lock() {
            State::Closed(_) => BreakerState::Closed,
            State::Open(_) => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// Leave to call at `now`.
    ///
    /// # Errors
    /// [`Error::CircuitOpen`] with the time after which it is worth asking again.
    pub(super) fn begin(&self, now: Instant) -> Result<Permit<'_>, Error> {
        let mut state = self.lock();
        let is_trial = match *state {
            State::Closed(_) => false,
            State::Open(until) if until <= now => {
                *state = State::HalfOpen;
                true
            }
            State::Open(until) => return Err(Error::CircuitOpen { retry_after: until - now }),
            State::HalfOpen => return Err(Error::CircuitOpen { retry_after: self.pause }),
        };
        Ok(Permit { breaker: self, is_trial })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Tells at `now` how the call ended: whether Paystack answered, with whatever.
    pub(super) fn end(mut self, answered: bool, now: Instant) {
        let mut state = self.breaker.lock();
        *state = match *state {
            _ if answered => State::Closed(0),
            State::HalfOpen if self.is_trial => State::Open(now + self.breaker.pause),
            State::Closed(before) => match before.saturating_add(1) {
                count if self.breaker.failures > 0 && count >= self.breaker.failures => {
                    State::Open(now + self.breaker.pause)
                }
                count => State::Closed(count),
            },
            // A call that began before it opened tells nothing new.
            unchanged => unchanged,
        };
        self.is_trial = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            let mut state = self.breaker.lock();
            if matches!(*state, State::HalfOpen) {
                *state = State::Open(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn wait(result: Result<Permit<'_>, Error>) -> Duration {
        match result {
            Err(Error::CircuitOpen { retry_after }) => retry_after,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("let through"),
        }
    }

    /// A breaker that was opened at `now` by three failures.
    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(3, PAUSE);
        for _ in 0..3 {
            assert_eq!(breaker.state(), BreakerState::Closed);
            breaker.begin(now).unwrap().end(false, now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_does_not() {
        let now = Instant::now();
        let breaker = Breaker::new(3, PAUSE);
        for answered in [false, false, true, false, false] {
            breaker.begin(now).unwrap().end(answered, now);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.begin(now).unwrap().end(false, now);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(wait(breaker.begin(now + Duration::from_secs(4))), Duration::from_secs(6));
    }

    #[test]
    fn one_call_tries_at_a_time_and_decides() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + PAUSE;
        let trial = breaker.begin(later).unwrap();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(wait(breaker.begin(later)), PAUSE);
        trial.end(false, later);
        assert_eq!(wait(breaker.begin(later + Duration::from_secs(9))), Duration::from_secs(1));

        let trial = breaker.begin(later + PAUSE).unwrap();
        trial.end(true, later + PAUSE);
        assert_eq!(breaker.state(), BreakerState::Closed);
        // It counts from the start again.
        breaker.begin(later).unwrap().end(false, later);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_trial_that_is_given_up_leaves_its_place() {
        let now = Instant::now();
        let breaker = Breaker::new(1, Duration::ZERO);
        breaker.begin(now).unwrap().end(false, now);
        drop(breaker.begin(now).unwrap());
        // The place is free from the moment of the drop on.
        let trial = breaker.begin(Instant::now()).unwrap();
        assert!(trial.is_trial);
        // So is a call that was given up while all was well: it says nothing.
        trial.end(true, now);
        drop(breaker.begin(now).unwrap());
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn old_calls_neither_prolong_the_pause_nor_take_the_trial() {
        let now = Instant::now();
        let breaker = Breaker::new(1, PAUSE);
        let (first, slow, answered) =
            (breaker.begin(now).unwrap(), breaker.begin(now).unwrap(), breaker.begin(now).unwrap());
        first.end(false, now);
        slow.end(false, now + Duration::from_secs(5));
        assert_eq!(wait(breaker.begin(now + Duration::from_secs(5))), Duration::from_secs(5));
        // An answer is an answer, whenever it was asked for.
        answered.end(true, now + Duration::from_secs(6));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn none_is_counted_where_it_is_off() {
        let now = Instant::now();
        let breaker = Breaker::new(0, PAUSE);
        for _ in 0..1_000 {
            breaker.begin(now).unwrap().end(false, now);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
